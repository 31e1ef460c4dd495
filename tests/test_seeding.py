from hypothesis import given
from hypothesis import strategies as st

from humanmade.seeding import sample


@given(st.lists(st.text(), unique=True, max_size=30), st.integers(0, 40))
def test_a_sample_does_not_hang_on_the_order(names: list[str], most: int):
    def chosen(names: list[str]) -> set[str]:
        return {name for name, taken in zip(names, sample(names, most, "test"), strict=True) if taken}

    assert chosen(names) == chosen(names[::-1]) and len(chosen(names)) == min(most, len(names))
    assert chosen(names) <= set(names)


def test_each_purpose_has_its_own_sample():
    names = [str(number) for number in range(100)]
    assert (sample(names, 50, "one") != sample(names, 50, "two")).any()
