import os
import signal
import time

import pytest

from humanmade.errors import Interrupted
from humanmade.training.budget import Budget, OutOfTimeError


def test_a_deadline_minus_the_reserve():
    budget = Budget(hours=1)
    assert not budget.over
    budget.reserve = 3700
    assert budget.over
    with pytest.raises(OutOfTimeError):
        budget.stop()
    assert not Budget().over


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
