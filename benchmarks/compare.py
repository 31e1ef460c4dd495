"""Run works alternately with what they are measured against, and say which bars hold."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from unittest import mock

Run = Callable[[], float]
"""One run; gives seconds a unit (a picture, or the whole), so both sides may do different amounts."""

COLUMNS = ["work", "against", "ratio", "spread", "bar", "holds"]


class Row(NamedTuple):
    """A line of the table; `ratio` and `spread` are the median and the range of the rounds."""

    work: str
    against: str
    ratio: float
    spread: float
    bar: str
    holds: str


class Rival(NamedTuple):
    """What a work is measured against.

    A bar `>= x` is of how many times as fast the work is, a bar `<= x` of how much of the rival's time
    it takes; without a bar the ratio, times as fast, is stated alone.
    """

    name: str
    run: Run
    bar: str = ""


def compare(work: str, ours: Run, rivals: Sequence[Rival], rounds: int) -> list[Row]:
    """Time a work and its rivals one after another, so many rounds, after one round to warm up."""
    seconds = [[run() for run in (ours, *(rival.run for rival in rivals))] for _ in range(rounds + 1)][1:]
    rows = []
    for column, rival in enumerate(rivals, start=1):
        faster = [line[column] / line[0] for line in seconds]
        share = rival.bar.startswith("<=")
        rows.append(row(work, rival.name, [1 / value if share else value for value in faster], rival.bar))
    return rows


def row(work: str, against: str, values: Sequence[float], bar: str = "") -> Row:
    """The line of values measured, a bar being `>= x` or `<= x`, perhaps with a unit behind."""
    middle, spread = statistics.median(values), max(values) - min(values)
    holds = ""
    if bar:
        sign, limit = bar.split()[:2]
        holds = "yes" if (middle >= float(limit) if sign == ">=" else middle <= float(limit)) else "no"
    return Row(work, against, middle, spread, bar, holds)


def timed(work: Callable[[], object], units: int = 1) -> float:
    """Seconds a unit of a work."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / units


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """Let the package find nothing that it computed before."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, HUMANMADE_CACHE=folder):
        yield


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep OpenCV and torch to one thread, as in a loader's worker."""
    import cv2
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
