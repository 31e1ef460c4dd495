"""Kaggle's stand-in, and the kit as its user runs it: in a child process, with the real client."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from humanmade.competition import CURRENT
from humanmade.kaggle import client
from tests.conftest import write_competition
from tests.kaggle.day import zipped
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


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_competition(tmp_path_factory.mktemp("competition"), pairs=1, test=2)
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    tables = {name: found[name] for name in CURRENT.tables}
    return {CURRENT.slug: zipped(tables), CURRENT.dataset: zipped(found)}


@pytest.fixture
def kaggle(
    standin: StandIn, archives: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StandIn:
    """The stand-in, which the client of this very process talks to."""
    standin.archives |= archives
    for name, value in standin.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(client, "TIMEOUTS", (0.4, 0.4))
    with client._quiet("import"):
        import kaggle

    monkeypatch.setattr(kaggle.api, "config_values", {})
    return standin


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were asked for; they are cut short."""
    pauses: list[float] = []
    sleep = time.sleep

    def nap(seconds: float) -> None:
        pauses.append(seconds)
        sleep(min(seconds, 0.001))

    monkeypatch.setattr(time, "sleep", nap)
    return pauses
