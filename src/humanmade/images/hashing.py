"""Perceptual hashes, and the near-duplicates they tell."""

from __future__ import annotations

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from humanmade.images.decode import Picture

Hashes = npt.NDArray[np.uint64]

NEAR = 4
"""Two pictures whose 64-bit pHashes differ in at most this many bits are near-duplicates."""


def phash(picture: Picture) -> int:
    """64-bit pHash: signs of the lowest DCT coefficients of a 32 x 32 grey thumbnail."""
    return int(str(imagehash.phash(Image.fromarray(picture))), 16)


def near_pairs(hashes: Hashes, distance: int = NEAR) -> npt.NDArray[np.int64]:
    """Index pairs (m x 2, first < second) of hashes that differ in at most `distance` bits.

    Two such hashes agree in at least one of `distance + 1` bands of bits (pigeonhole), so only
    hashes that share a band are compared: sorted by the band, each with its next neighbours.
    """
    values, inverse = np.unique(hashes, return_inverse=True)
    found = [_same_value(inverse)]
    edges = np.linspace(0, 64, distance + 2).astype(np.uint64)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band = (values >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for step in range(1, len(order)):
            left, right = order[:-step], order[step:]
            shared = band[left] == band[right]
            if not shared.any():
                break
            left, right = left[shared], right[shared]
            near = np.bitwise_count(values[left] ^ values[right]) <= distance
            found.append(_first_of_each(inverse, len(values), left[near], right[near]))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0)


def _same_value(inverse: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Chain the rows that share one hash: each with the next."""
    order = np.argsort(inverse, kind="stable")
    same = inverse[order[:-1]] == inverse[order[1:]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1).astype(np.int64)


def _first_of_each(
    inverse: npt.NDArray[np.intp],
    size: int,
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
) -> npt.NDArray[np.int64]:
    """Turn pairs of distinct hashes into pairs of the first rows that carry them."""
    first = np.full(size, len(inverse), dtype=np.int64)
    np.minimum.at(first, inverse, np.arange(len(inverse)))
    return np.stack([first[left], first[right]], axis=1)
