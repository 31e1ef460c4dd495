"""When to stop: at a deadline, or when the user asks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from humanmade.errors import Interrupted


class OutOfTimeError(Exception):
    """The time budget is used up; the work so far is saved."""


class Budget:
    """A deadline and the user's Ctrl-C, asked between two training steps."""

    def __init__(self, hours: float | None = None) -> None:
        """
        Args:
            hours: from now on; None is without end.
        """
        self.began = time.monotonic()
        self.deadline = self.began + hours * 3600 if hours is not None else float("inf")
        self.reserve = 0.0
        """Seconds before the deadline that later work (predicting) needs."""
        self._asked = False

    @property
    def over(self) -> bool:
        """Whether to stop at this step."""
        return self._asked or time.monotonic() > self.deadline - self.reserve

    def stop(self) -> None:
        """Leave, now that everything is saved.

        Raises:
            Interrupted: the user asked.
            OutOfTimeError: the deadline has come.
        """
        if self._asked:
            raise Interrupted
        raise OutOfTimeError

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Turn the first SIGINT or SIGTERM into a stop at the next step; a second one acts at once."""

        def ask(number: int, _: FrameType | None) -> None:
            self._asked = True
            signal.signal(number, previous[signal.Signals(number)])

        numbers = (signal.SIGINT, signal.SIGTERM)
        try:
            previous = {number: signal.signal(number, ask) for number in numbers}
        except ValueError:  # signals belong to the main thread; elsewhere nobody presses Ctrl-C
            yield
            return
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, previous[number])
