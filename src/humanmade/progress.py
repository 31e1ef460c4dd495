"""Progress that reads well on a terminal and in a log."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

LOG_SECONDS = 60.0
"""Between two lines of progress in a log."""
AHEAD = 512
"""Items that threads are given before the first of them is done."""
LONGEST_PAUSE = 30.0
"""Seconds between two looks at something that takes its time."""

_stage: ContextVar[str] = ContextVar("stage", default="")


class _Lines:
    """A text stream that turns carriage returns into lines, one in `LOG_SECONDS` from all bars together."""

    last = -math.inf

    def write(self, text: str) -> int:
        line, now = text.strip(), time.monotonic()
        if line and now - _Lines.last >= LOG_SECONDS:
            _Lines.last = now
            sys.stderr.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Say of each bar in the block what its work is for."""
    before = _stage.set(f"{name}: ")
    try:
        yield
    finally:
        _stage.reset(before)


def progress(
    items: Iterable[T], what: str, unit: str, total: int | None = None, size: int = 1
) -> Iterator[T]:
    """Pass `items` through, showing a bar with a rate; each item counts as `size` units.

    In a log a line appears once a minute instead of a bar that redraws itself.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=_stage.get() + what,
        unit=f" {unit}",
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.2 if terminal else 1.0,
        delay=0 if terminal else 2,
        dynamic_ncols=terminal,
        ncols=None if terminal else 110,
        leave=not terminal,
    ) as bar:
        for item in items:
            yield item
            # The last batch may hold fewer.
            bar.update(size if total is None else min(size, total - bar.n))


def in_threads(
    function: Callable[[S], T],
    items: Sequence[S],
    what: str,
    save: Callable[[list[T]], None],
    chunk: int,
    check: Callable[[], None] | None = None,
    size: int = 1,
) -> None:
    """Compute results of pictures, a thread a processor, and save them in the order of `items`.

    Args:
        save: gets `chunk` results at a time; what is finished is saved too when the work is stopped.
        check: asked after each result; it raises to stop.
        size: pictures that an item stands for.
    """
    waiting: list[T] = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        results = _in_order(pool, function, items)
        for result in progress(results, what, "pictures", len(items) * size, size):
            waiting.append(result)
            if len(waiting) == chunk:
                save(waiting)
                waiting = []
            if check:
                check()
    finally:
        pool.shutdown(cancel_futures=True)
        if waiting:
            save(waiting)


def _in_order(pool: ThreadPoolExecutor, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """As `pool.map`, which hands over all items at once, about 1.2 kB each; here `AHEAD` of them wait."""
    handed: deque[Future[T]] = deque()
    for item in items:
        handed.append(pool.submit(function, item))
        if len(handed) == AHEAD:
            yield handed.popleft().result()
    while handed:
        yield handed.popleft().result()


def duration(seconds: float) -> str:
    """Seconds in words: `50 s`, `12 min`, `3 h 05 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


class Waiting:
    """Looks at what takes its time, and a line about it: redrawn on a terminal, now and then in a log."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = time.monotonic()
        self._state = ""
        self._shown = 0.0

    def __iter__(self) -> Iterator[Waiting]:
        """A turn for each look, with pauses between them: short at first."""
        pause = 0.5
        try:
            while True:
                yield self
                time.sleep(pause)
                pause = min(1.5 * pause, LONGEST_PAUSE)
        finally:
            if sys.stderr.isatty() and self._state:
                sys.stderr.write("\n")

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return time.monotonic() - self.began

    def show(self, state: str) -> None:
        """Tell the state that it is in now."""
        minutes, seconds = divmod(int(self.seconds), 60)
        text = f"{self.what}: {state} ({minutes}:{seconds:02})"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")
        elif state != self._state or self.seconds - self._shown >= LOG_SECONDS:
            sys.stderr.write(text + "\n")
            self._shown = self.seconds
        sys.stderr.flush()
        self._state = state


def warn(text: str) -> None:
    """Tell the user something that does not stop the work."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


@cache
def warn_once(text: str) -> None:
    """Warn the first time that this is said; folds and members would say it again and again."""
    warn(text)
