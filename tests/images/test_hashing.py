import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from humanmade.images.corruptions import recompress
from humanmade.images.hashing import NEAR, near_pairs, phash
from tests.conftest import scene


def connected(pairs: np.ndarray, count: int) -> list[int]:
    """Smallest member of each row's connected set, by plain union."""
    root = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            root[a] = root[b] = min(root[a], root[b])
    return root


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 63), max_size=6)), max_size=25))
def test_near_pairs_connect_what_brute_force_connects(rows: list[tuple[int, list[int]]]):
    centres = [0, 0xFFFFFFFFFFFFFFFF, 0x0F0F0F0F0F0F0F0F, 0x123456789ABCDEF0]
    values = []
    for centre, bits in rows:
        value = centres[centre]
        for bit in bits:
            value ^= 1 << bit
        values.append(value)
    expected = [
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= NEAR
    ]
    found = near_pairs(np.array(values, dtype=np.uint64))
    assert all((values[a] ^ values[b]).bit_count() <= NEAR for a, b in found)
    assert connected(found, len(values)) == connected(np.array(expected), len(values))


def test_recompressed_pictures_are_near_and_other_scenes_are_not():
    first, second = scene(1, (96, 96)), scene(2, (96, 96))
    image = Image.fromarray(first)
    base = phash(image)
    assert (base ^ phash(Image.fromarray(recompress(first, "jpeg", 60)))).bit_count() <= NEAR
    assert (base ^ phash(image.resize((48, 48)))).bit_count() <= NEAR
    assert (base ^ phash(Image.fromarray(second))).bit_count() > NEAR


def test_the_hash_is_imagehashs_own():
    for seed, size in enumerate([(300, 401), (32, 32), (20, 90), (1, 1)]):
        image = Image.fromarray(scene(seed, size))
        assert phash(image) == phash(image.convert("L")) == int(str(imagehash.phash(image)), 16)


def test_of_eighty_thousand_hashes_few_pairs_are_compared(monkeypatch: pytest.MonkeyPatch):
    compared = 0

    def count(bits: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(bits)
        assert compared < 100 * len(hashes), "and not the 3.2 thousand million pairs there are"
        return popcount(bits)

    popcount = np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", count)
    hashes = np.random.default_rng(0).integers(0, 2**63, 80_000).astype(np.uint64)
    hashes[40_000:] = hashes[:40_000] ^ np.uint64(0b1011)
    assert len(near_pairs(hashes)) >= 40_000
    assert compared >= 40_000
