"""Randomness as a pure function of names: the same draw whatever the order, the worker or the resume."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def stable_seed(*parts: object) -> int:
    """Hash the parts to 32 bits, the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def sample(names: Sequence[object], most: int, purpose: str) -> npt.NDArray[np.bool_]:
    """Choose at most so many of distinct names; which ones does not hang on their order."""
    chosen = np.argsort([stable_seed(purpose, name) for name in names], kind="stable")[:most]
    mask = np.zeros(len(names), dtype=np.bool_)
    mask[chosen] = True
    return mask
