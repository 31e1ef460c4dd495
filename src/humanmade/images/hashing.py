"""Perceptual hashes, and the near-duplicates they tell."""

from __future__ import annotations

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

NEAR = 4
"""Two pictures whose 64-bit pHashes differ in at most this many bits are near-duplicates."""


def phash(image: Image.Image) -> int:
    """64-bit pHash: signs of the lowest DCT coefficients of a 32 x 32 grey thumbnail."""
    grey = image if image.mode == "L" else image.convert("L")
    # What is small already is neither copied whole nor resized by imagehash; the hash is the same.
    return int(str(imagehash.phash(grey.resize((32, 32), Image.Resampling.LANCZOS))), 16)


def near_pairs(hashes: Hashes) -> Pairs:
    """Index pairs (m x 2, first < second) of hashes that differ in at most `NEAR` bits.

    Two such hashes agree in at least one of `NEAR + 1` bands of bits (pigeonhole), so only hashes
    that share a band are compared: sorted by the band, each with its next neighbours. Of several
    equal hashes the first stands for all.
    """
    values, first, codes = np.unique(hashes, return_index=True, return_inverse=True)
    pairs = [chains(codes)]
    edges = np.linspace(0, 64, NEAR + 2).astype(np.uint64)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band = (values >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for step in range(1, len(order)):
            left, right = order[:-step], order[step:]
            shared = band[left] == band[right]
            if not shared.any():
                break
            left, right = left[shared], right[shared]
            near = np.bitwise_count(values[left] ^ values[right]) <= NEAR
            pairs.append(np.stack([first[left[near]], first[right[near]]], axis=1))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def chains(codes: npt.NDArray[np.int64]) -> Pairs:
    """Index pairs (m x 2) that connect equal codes: each with the next one."""
    order = np.argsort(codes, kind="stable")
    equal = codes[order[:-1]] == codes[order[1:]]
    return np.stack([order[:-1][equal], order[1:][equal]], axis=1)
