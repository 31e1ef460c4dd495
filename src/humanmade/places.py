"""Where things outside run folders are: the data, the cache, the user's weights, Kaggle's folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from humanmade import competition

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


def kaggle() -> Path:
    """Where a kernel finds its inputs and leaves its outputs; `HUMANMADE_KAGGLE` stands for it elsewhere."""
    return Path(os.environ.get("HUMANMADE_KAGGLE") or "/kaggle")


def attached(inputs: Path) -> list[Path]:
    """All folders of a kernel's inputs in a fixed order, each once; those in folders of pictures are not."""
    contest, found = competition.CURRENT, dict[str, Path]()
    for place, names, _ in os.walk(inputs, followlinks=True):
        # Pictures are far too many files to look through.
        names[:] = sorted({*names} - {*contest.pictures, *contest.more_pictures})
        real = os.path.realpath(place)
        if real in found:
            names.clear()
        found.setdefault(real, Path(place))
    return list(found.values())
