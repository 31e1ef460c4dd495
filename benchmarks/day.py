"""A competitor's day at size: `python -m benchmarks.day [--pictures N]`.

N small training pictures and N/15 test pictures go through the verbs against the tests' stand-in for Kaggle,
the pushed script through two ranks, with tiny networks. Minutes a stage are printed, and the most memory that
any one process has held by its end.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import TINY_NETWORK, TINY_PROBE
from tests.kaggle.day import open_competition, run, run_kernel
from tests.kaggle.standin import Json, StandIn, State

BLEND = "submissions/two.csv"
SMALL = ("--set", "folds=3", "--set", "workers=0")
STAGES = {
    "data": ("data",),
    "audit": ("audit",),
    "push, which runs": ("push", "train", "--recipe", "network.toml", *SMALL, "--hours", "1", "--wait"),
    "pull": ("pull", "train", "--recipe", "network.toml"),
    "cv": ("cv", "probe.toml", *SMALL),
    "compare": ("compare",),
    "blend": ("blend", "network", "probe", "--data", "data", "--out", BLEND),
    "submit": ("submit", BLEND, "-m", "two"),
}


def main() -> None:
    """Go through the day; prints a line a stage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=__doc__)
    parser.add_argument("--pictures", type=int, default=4_000, metavar="N")
    pictures = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as scratch:
        home, standin = Path(scratch), StandIn()
        began = time.monotonic()
        folder = open_competition(standin, home / "kaggle", pictures // 2, pictures // 15)

        def kernel(asked: Json) -> Iterator[State]:
            yield from (State("QUEUED"), State("RUNNING"))
            yield run_kernel(asked, folder, ranks=2)[-1]

        standin.run_kernel = kernel
        print(f"{'made up':<18} {(time.monotonic() - began) / 60:6.2f} min")
        (home / "day").mkdir()
        for name, recipe in (("network", TINY_NETWORK), ("probe", TINY_PROBE)):
            (home / f"day/{name}.toml").write_text(recipe)
        for stage, command in STAGES.items():
            began = time.monotonic()
            code, said = run(standin, home, *command)
            if code:
                raise SystemExit(f"{stage}: exit code {code}\n{said}")
            minutes = (time.monotonic() - began) / 60
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            print(f"{stage:<18} {minutes:6.2f} min {peak:6.2f} GB", flush=True)
        standin.close()


if __name__ == "__main__":
    main()
