"""Progress that reads well on a terminal and in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LOG_SECONDS = 20.0


class _Lines:
    """A text stream that turns a bar's carriage returns into lines."""

    def write(self, text: str) -> int:
        line = text.strip()
        if line:
            sys.stderr.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    items: Iterable[T], what: str, unit: str, total: int | None = None, size: int = 1
) -> Iterator[T]:
    """Pass `items` through, showing a bar with a rate; each item counts as `size` units.

    In a log a line appears every 20 seconds instead of a bar that redraws itself.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=what,
        unit=f" {unit}",
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.2 if terminal else LOG_SECONDS,
        delay=0 if terminal else 2,
        dynamic_ncols=terminal,
        ncols=None if terminal else 80,
        leave=not terminal,
    ) as bar:
        for item in items:
            yield item
            bar.update(size)


def warn(text: str) -> None:
    """Tell the user something that does not stop the work."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
