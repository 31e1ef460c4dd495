import os
import signal
import time

import pytest

from humanmade.errors import Interrupted, UserError
from humanmade.training.budget import TRIAL, Budget, OutOfTimeError, Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands unless it is moved."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_deadline_minus_what_predicting_needs(clock: list[float]):
    budget = Budget(hours=1)
    assert not budget.over
    budget.to_predict, budget.per_predicted = 7300, 0.5
    assert budget.over, "by what held-out pictures take, until a fold shows it"
    with pytest.raises(OutOfTimeError):
        budget.check()
    clock[0] += 3000
    assert budget.over
    with budget.predicting():
        assert not budget.over, "what was kept for it is spent"
        clock[0] += 100
    assert budget.reserve == 100 and not budget.over
    clock[0] += 401
    assert budget.over
    assert not Budget().over


def test_what_training_does_after_its_last_question_is_kept_time_for_too(clock: list[float]):
    budget = Budget(hours=1)
    assert not budget.over
    clock[0] += 60  # a head that is fitted in one go
    with budget.predicting():
        clock[0] += 5
    assert budget.reserve == 65


def test_a_budget_that_holds_no_fold_is_refused_after_a_few_steps(clock: list[float]):
    def first_steps(budget: Budget, new: bool = True) -> Pace:
        pace = Pace(budget, pictures=16, new=new)
        for step in range(TRIAL):
            clock[0] += 30 if step == 0 else 8  # the first starts workers
            pace.step(990 - step)
        return pace

    with pytest.raises(UserError, match=r"--hours 2: holds no fold; .* ends 2 h 12 min after the start"):
        first_steps(Budget(hours=2))
    first_steps(Budget(hours=2.25))
    first_steps(Budget(hours=2), new=False)  # it goes on in the next session
    finished = Budget(hours=2)
    finished.spent = 100.0
    pace = first_steps(finished)
    finished.to_come = 2
    assert pace.left(450, 900) == " (62 min left, 5 h 05 min of all folds)"
    assert Pace(Budget(), 16, True).left(450, 900) == "", "nothing is known yet"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_handlers_come_back(number: signal.Signals):
    before = signal.getsignal(number)
    budget = Budget()
    with budget.graceful():
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        assert budget.over
        assert signal.getsignal(number) == before, "a second signal acts at once"
    with pytest.raises(Interrupted):
        budget.stop()
    assert signal.getsignal(number) == before
