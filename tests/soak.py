"""Kill the demo's training again and again; what comes out must be what an undisturbed run gives.

`python -m tests.soak --rounds 20` starts `humanmade cv demo`, ends it at random moments (Ctrl-C, the
end of a session, a pulled plug), starts the same command again until it is done, and compares the
bytes. After every blow each table, JSON file and safetensors file of the run folder must be whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from safetensors import safe_open

BLOWS = {
    signal.SIGINT: (130,),
    signal.SIGTERM: (130, -signal.SIGTERM),
    signal.SIGKILL: (-signal.SIGKILL,),
}
"""What ends the command, and how it may then exit (0 if it was done before). Training saves itself at a
SIGTERM; outside of it the process just ends."""

RESULTS = ("folds.csv", "oof.csv", "test.csv", "submission.csv")
PATIENCE = 1200.0
"""Seconds that one undisturbed run may take."""


def command(out: Path) -> list[str]:
    """The training that is disturbed: two short folds of the demo, forecast included."""
    options = ("--folds", "2", "--set", "epochs=2", "--limit", "64", "--out", str(out))
    return [sys.executable, "-m", "humanmade", "cv", "demo", *options]


def run(out: Path, scratch: Path, blow: signal.Signals | None = None, after: float = 0.0) -> float:
    """Start the command, end it after so many seconds, and check how it exits.

    Returns:
        Seconds until it was done, or infinity if it was stopped before.
    """
    started = time.monotonic()
    log = scratch / "log.txt"
    environment = os.environ | {"HUMANMADE_CACHE": str(scratch / f"{out.name}-cache")}
    with log.open("w") as sink:
        process = subprocess.Popen(command(out), stdout=sink, stderr=sink, cwd=scratch, env=environment)
        if blow is not None:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                process.send_signal(blow)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
    text = log.read_text(errors="replace")
    expected = (0,) if blow is None else (0, *BLOWS[blow])
    if code not in expected or "Traceback" in text:
        raise SystemExit(f"exit code {code}, expected one of {expected}:\n{text}")
    return time.monotonic() - started if code == 0 else float("inf")


def check_whole(out: Path) -> int:
    """Read what a run folder holds; how many files there are."""
    count = 0
    for path in sorted(out.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        count += 1
        if path.suffix == ".csv":
            pd.read_csv(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                list(file.keys())
    return count


def main() -> None:
    """Run the soak and print a line a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        undisturbed = scratch / "undisturbed"
        length = run(undisturbed, scratch)
        print(f"undisturbed: {length:.0f} s, {check_whole(undisturbed)} files", flush=True)
        for number in range(chosen.rounds):
            out = scratch / "disturbed"
            blows: list[str] = []
            while True:
                # Later blows come later on the whole, so that every round gets somewhere.
                after = rng.uniform(0.1, 0.5 + 0.3 * len(blows)) * length
                blow = rng.choice(list(BLOWS))
                if run(out, scratch, blow, after) < float("inf"):
                    break
                blows.append(f"{blow.name} at {after:.0f} s")
                check_whole(out)
            for name in RESULTS:
                if (out / name).read_bytes() != (undisturbed / name).read_bytes():
                    raise SystemExit(f"round {number}: {name} differs after {', '.join(blows)}")
            count = check_whole(out)
            print(f"round {number}: {', '.join(blows) or 'no blow'}: same bytes, {count} files", flush=True)
            shutil.rmtree(out)
            shutil.rmtree(scratch / f"{out.name}-cache", ignore_errors=True)


if __name__ == "__main__":
    main()
