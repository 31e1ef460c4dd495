"""When to stop: at a deadline, or when the user asks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from humanmade.errors import Interrupted, UserError
from humanmade.progress import duration

TRIAL = 10
"""Steps of a new training after which it is judged whether the budget holds it."""


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
        self.hours = hours or 0.0
        self.to_predict = 0
        """Pictures that the fold at hand predicts once it is trained, every view counted."""
        self.to_come = 0
        """Folds after the one at hand, where each is one training; else 0."""
        self.per_learnt = 0.0
        """Seconds that a picture takes in training, once that is known."""
        self.per_predicted = 0.0
        """Seconds that it takes when it is predicted, as held-out pictures between epochs are."""
        self.spent: float | None = None
        """Seconds that a finished fold took from the last question, which training asked, to its end."""
        self._last = self.began
        self._asked = False

    @property
    def reserve(self) -> float:
        """Seconds before the deadline that predicting needs."""
        return self.to_predict * self.per_predicted if self.spent is None else self.spent

    @property
    def over(self) -> bool:
        """Whether to stop at this step."""
        self._last = time.monotonic()
        return self._asked or self._last > self.deadline - self.reserve

    def check(self) -> None:
        """`stop` if it is over."""
        if self.over:
            self.stop()

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Spend the reserve on predicting a fold that is trained, and keep what that took for the next."""
        before, began = self.spent or 0.0, self._last
        self.spent = 0.0
        yield
        self.spent = max(before, time.monotonic() - began)

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


class Pace:
    """How fast a training goes: told to its budget, and what it says of the time to come."""

    def __init__(self, budget: Budget, pictures: float, new: bool) -> None:
        """
        Args:
            pictures: of a step.
            new: whether nothing of this training was saved before.
        """
        self.budget, self.pictures, self.new = budget, pictures, new
        self.steps = 0
        self.began = self.last = time.monotonic()
        self.fastest = float("inf")

    def step(self, left: int) -> None:
        """Note a step, after which `left` are to come.

        Raises:
            UserError: not even at the pace of the fastest of the first steps does the budget hold a fold.
        """
        budget, now = self.budget, time.monotonic()
        if self.steps:  # the first starts workers and chooses kernels
            self.fastest = min(self.fastest, now - self.last)
            budget.per_learnt = (now - self.began) / (self.steps * self.pictures)
        else:
            self.began = now
        self.steps, self.last = self.steps + 1, now
        if self.steps == TRIAL:
            self._judge(left)

    def watched(self, left: int, seconds: float, pictures: int) -> None:
        """Note how long predicting took; without held-out pictures it is taken to go as training does.

        Raises:
            UserError: as `step`, after the first epoch.
        """
        self.budget.per_predicted = seconds / pictures if pictures else self.budget.per_learnt
        self._judge(left)
        self.new = False

    def _judge(self, left: int) -> None:
        """Refuse a budget that holds no fold, while nothing is lost by that."""
        budget = self.budget
        if self.steps < 2:
            return  # nothing is known of the pace
        # Until it is known, predicting is the forward third of a step's work.
        predicting = budget.to_predict * (budget.per_predicted or self.fastest / self.pictures / 3)
        needed = time.monotonic() + left * self.fastest + predicting
        if self.new and budget.spent is None and needed > budget.deadline:
            raise UserError(
                f"--hours {budget.hours:g}: holds no fold; by its first steps the first one ends "
                f"{duration(needed - budget.began)} after the start; give more hours or fewer epochs"
            )

    def left(self, steps: int, of: int) -> str:
        """In words, once it is known, what a fold with `steps` of its `of` to come takes, and all folds."""
        budget = self.budget
        if not budget.per_learnt:
            return ""
        training, whole = (count * self.pictures * budget.per_learnt for count in (steps, of))
        rest = training + budget.reserve
        every = rest + budget.to_come * (whole + budget.reserve)
        return f" ({duration(rest)} left{f', {duration(every)} of all folds' * (budget.to_come > 0)})"
