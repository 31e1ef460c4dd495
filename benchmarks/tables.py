"""The competition's 79,950 rows: reading and checking the table, and cutting folds."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.compare import Row, row
from humanmade.data import folds, manifest

ROWS = 79_950


def manifest_and_folds(_: Path, rounds: int) -> list[Row]:
    """In a process of its own, whose memory is counted from its beginning to its end."""
    seconds, gigabytes = [], []
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        for _round in range(rounds):
            command = [sys.executable, "-m", "benchmarks.tables", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            numbers = done.stdout.split()[-2:]
            seconds.append(float(numbers[0]))
            gigabytes.append(float(numbers[1]))
    work = f"manifest and folds of {ROWS:,} rows"
    return [row(f"{work}, s", "-", seconds, "<= 20 s"), row(f"{work}, GB", "-", gigabytes, "<= 1.5 GB")]


def _write(folder: Path) -> None:
    """A table of pairs, and empty files in the place of pictures."""
    names = [f"{number // 2:05}_{number % 2}.jpg" for number in range(ROWS)]
    for name in names:
        (folder / name).touch()
    table = pd.DataFrame({"path": names, "label": np.arange(ROWS) % 2, "pair": [name[:5] for name in names]})
    table.to_csv(folder / "manifest.csv", index=False)


def main() -> None:
    """Read the table of a folder and cut folds; prints seconds and gigabytes."""
    began = time.perf_counter()
    table = manifest.load([Path(sys.argv[1])])
    # The inventory stands apart; hashes are those of pictures that look nothing alike.
    hashes = np.random.default_rng(0).integers(0, 2**64, len(table), dtype=np.uint64)
    made = folds.make(table.assign(phash=hashes, digest=table["id"], broken=False), 5, 0, "pairs")
    for fold in range(len(made)):
        made.training(fold)
    seconds = time.perf_counter() - began
    print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.3f}")


if __name__ == "__main__":
    main()
