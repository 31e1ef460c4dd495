"""The mutation tester itself: what it changes, and that it tells who lives."""

from pathlib import Path

import pytest

from tests import mutants

TOY = '''
def least(a, b: int = 3):
    """Doc 1."""
    assert a != 0
    if a < b and not a == 2:
        return a - 0.5
    return None
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src/humanmade").mkdir(parents=True)
    (tmp_path / "src/humanmade/toy.py").write_text(TOY)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)


def test_every_operator_and_number_is_changed_once(toy: None):
    changed = [mutant.after for mutant in mutants.mutants("toy")]
    assert sorted(changed) == sorted(
        [
            *("def least(a, b: int=4):", "def least(a, b: int=2):", "if a <= b and (not a == 2):"),
            *("if a < b or not a == 2:", "if a < b and a == 2:", "if a < b and (not a != 2):"),
            *("if a < b and (not a == 3):", "if a < b and (not a == 1):", "return a + 0.5"),
            *("return a - 1.0", "return None"),
        ]
    ), "neither texts nor annotations nor what an assert says"
    assert all("assert a != 0" in mutant.text() for mutant in mutants.mutants("toy"))


def test_a_test_that_notices_kills(toy: None, tmp_path: Path):
    mutants.prepare()
    test = tmp_path / "test_toy.py"
    test.write_text("from humanmade.toy import least\n\n\ndef test_it():\n    assert least(1, 2) == 0.5\n")
    fate = {"if a <= b and (not a == 2):": True, "return a + 0.5": False, "return None": False}
    tried = (mutant for mutant in mutants.mutants("toy") if mutant.after in fate)
    found = {mutant.after: mutants.lives(mutant, [str(test)]) for mutant in tried}
    assert found == fate, "nothing tests two equal numbers"


def test_equivalent_mutants_are_mutants_of_the_code_as_it_is():
    modules = {key.partition(":")[0] for key in mutants.EQUIVALENT}
    known = {str(mutant) for module in modules for mutant in mutants.mutants(module)}
    assert mutants.EQUIVALENT.keys() <= known
