"""Where things outside run folders are: the data, the cache, and the pretrained weights given by the user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

DATA = Path("data")
"""Where the competition lies unless `--data` says otherwise."""
COMPARISON = Path("runs/compare.csv")
"""Where the comparison of runs is saved, anew each time."""

_weights: ContextVar[Path | None] = ContextVar("weights", default=None)


def cache(name: str) -> Path:
    """A folder of the cache: below `HUMANMADE_CACHE`, else the user's cache folder."""
    base = os.environ.get("HUMANMADE_CACHE")
    if base:
        return Path(base) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humanmade" / name


@contextlib.contextmanager
def weights_in(folder: Path | None) -> Iterator[None]:
    """Look for pretrained weights in a folder first, not in `HUMANMADE_WEIGHTS`; None changes nothing."""
    before = _weights.set(folder or _weights.get())
    try:
        yield
    finally:
        _weights.reset(before)


def weights() -> Path | None:
    """The folder of pretrained weights that the user gave; None where there is none."""
    given = os.environ.get("HUMANMADE_WEIGHTS")
    return _weights.get() or (Path(given) if given else None)
