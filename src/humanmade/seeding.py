"""Randomness as a pure function of names: the same draw whatever the order, the worker or the resume."""

import hashlib


def stable_seed(*parts: object) -> int:
    """Hash the parts to 32 bits, the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
