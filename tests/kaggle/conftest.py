"""Kaggle's stand-in, and the kit as its user runs it: in a child process, with the real client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kaggle.standin import KEY, StandIn


@dataclass
class Kit:
    """The command line in an environment of its own."""

    standin: StandIn
    home: Path
    module: str = "tests.kaggle.quick"

    def __call__(self, *arguments: object, code: int = 0, shown: str = "stdout", **environment: str) -> str:
        """Run one command, and check how it ended.

        Returns:
            What it printed to `shown`; of a failure the one line that says why.
        """
        done = subprocess.run(
            [sys.executable, "-m", self.module, *map(str, arguments)],
            env=self.standin.environment(self.home) | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        everything = done.stdout + done.stderr
        assert done.returncode == code, everything
        assert "Traceback" not in everything
        assert KEY not in everything and "signed-and-secret" not in everything
        if not code:
            return str(getattr(done, shown))
        last = done.stderr.splitlines()[-1]
        assert last.startswith("humanmade") and done.stderr.count("\nhumanmade") <= 1, done.stderr
        return last


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """A stand-in that nothing but loopback was asked of."""
    served = StandIn()
    yield served
    served.close()
    assert served.strays == []


@pytest.fixture
def kit(standin: StandIn, tmp_path: Path) -> Kit:
    return Kit(standin, tmp_path / "home")
