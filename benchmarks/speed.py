"""The table of speed: `python -m benchmarks.speed [WORK...] [--data FOLDER]`.

Each work runs alternately with what it is measured against; medians of the rounds' ratios are printed
and written to a CSV. Times depend on the machine and on what else runs there, so nothing here is a test.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks import growth, networks, pixels, tables
from benchmarks.compare import COLUMNS, Row
from humanmade.data import demo

WORKS: dict[str, Callable[[Path, int], list[Row]]] = {
    "epoch": networks.fine_tuning,
    "features": networks.frozen_features,
    "input": pixels.input_of_one_core,
    "counterparts": networks.reconstructions,
    "inventory": pixels.inventory_of_pictures,
    "spectrum": pixels.spectrum_statistics,
    "folds": networks.folds_of_a_probe,
    "views": networks.six_views,
    "table": tables.manifest_and_folds,
    "growth": growth.growth,
}


def main() -> None:
    """Measure the works asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("work", nargs="*", choices=[*WORKS, []], metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--data", type=Path, help="folder with pictures to train on (default: the demo)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("build/speed.csv"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = asked.data or demo.make(Path(scratch) / "demo")
        rows = [line for name in asked.work or WORKS for line in measured(name, data, asked.rounds)]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).round(4).to_csv(asked.out, index=False)


def measured(name: str, data: Path, rounds: int) -> list[Row]:
    """Measure a work and print its lines as they come."""
    rows = WORKS[name](data, rounds)
    for line in rows:
        print(
            f"{line.work:<48} {line.against:<30} {line.ratio:8.3f} +-{line.spread / 2:<7.3f}"
            f" {line.bar:<10} {line.holds}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
