"""How time and memory grow with the number of pictures: a whole `cv` of a probe, and a network's epoch.

`python -m benchmarks.growth [SIZE...]` writes so many small pictures, no two alike, as features are kept by
content and near-duplicates share a fold. Each size runs in a process of its own, behind a small one of the
same that loads what only the first picture costs, in one thread, whose processor time counts. Networks are
tiny: what grows here is the kit's own work, reading, tables, folds, heads and scores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.compare import COLUMNS, Row, row
from benchmarks.heads import memory

SIZES = (1_000, 4_000)
"""Pictures by default; the first is what the others are measured against."""

FIRST = 60
"""Pictures of the run before the one that is measured."""

SIDE = 64
TINY = ("backbone=test_efficientnet", "pretrained=false", "image_size=32", "workers=0")


def growth(_: Path, rounds: int, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Seconds a picture, and memory but for the table's own, of each size over the first's."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folders = {size: write(Path(name) / str(size), size) for size in (FIRST, *sizes)}
        for work in WORKS:
            found = [{size: _alone(work, folders, size) for size in sizes} for _round in range(rounds)]
            for size in sizes[1:]:
                shares = [each[size] / each[sizes[0]] for each in found]
                what, against = f"{work} of {size:,} pictures", f"of {sizes[0]:,}"
                lines.append(
                    row(f"{what}, time a picture", against, [s["seconds"] for s in shares], "<= 1.25")
                )
                lines.append(row(f"{what}, memory", against, [s["bytes"] for s in shares], "<= 1.1"))
    return lines


def write(folder: Path, count: int) -> Path:
    """Write a data folder of small JPEGs in pairs, of which label 1 is softened."""
    (folder / "images").mkdir(parents=True)
    rng, lines = np.random.default_rng(count), []
    for number in range(count):
        label, pair = number % 2, number // 2
        if not label:
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            picture = cv2.add(picture, rng.integers(0, 32, picture.shape, dtype=np.uint8))
        shown = cv2.GaussianBlur(picture, (3, 3), 0) if label else picture
        path = f"images/{number:06}.jpg"
        cv2.imwrite(str(folder / path), shown, [cv2.IMWRITE_JPEG_QUALITY, 95])
        lines.append({"path": path, "label": label, "pair": f"p{pair}"})
    pd.DataFrame(lines).to_csv(folder / "manifest.csv", index=False)
    return folder


def _alone(work: str, folders: dict[int, Path], size: int) -> pd.Series[float]:
    """Seconds a picture and bytes beyond the table, in a process of its own with a cache of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--measure", work]
    command += [str(folders[FIRST]), str(folders[size])]
    # With an autoencoder at hand the forecast reconstructs a sample of photos, always the same number.
    environment = {key: value for key, value in os.environ.items() if key != "HUMANMADE_WEIGHTS"}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{work} of {size:,}: {found['seconds']:.4f} s a picture, {found['bytes'] / 1e9:.3f} GB", flush=True
    )
    return pd.Series(found)


def cv_of_a_probe(folder: Path, scratch: Path) -> float:
    """The whole verb, nothing known before: inventory, folds, features, heads, scores, forecast."""
    from humanmade import api

    began = time.process_time()
    api.cv("probe_lite0", folder, scratch / folder.name, settings=[*TINY, "shrinkage=0.01"])
    return time.process_time() - began


def epoch_of_a_network(folder: Path, scratch: Path) -> float:
    """An epoch, the inventory done before."""
    from benchmarks.networks import table
    from humanmade import detectors
    from humanmade import recipe as recipes
    from humanmade.training.budget import Budget

    rows = table(folder, 10**9)
    detector = detectors.create(recipes.load("efficientnet_lite0", [*TINY, "epochs=1"]))
    began = time.process_time()
    detector.fit(rows, rows[:0], 0, scratch / folder.name, Budget())
    return time.process_time() - began


WORKS: dict[str, Callable[[Path, Path], float]] = {
    "a network's epoch": epoch_of_a_network,
    "cv of a probe": cv_of_a_probe,
}


def measure(work: str, first: Path, folder: Path) -> dict[str, float]:
    """What a work took on a folder, after the same on a small one."""
    from benchmarks.compare import empty_cache
    from benchmarks.networks import table

    with tempfile.TemporaryDirectory() as scratch, empty_cache():
        WORKS[work](first, Path(scratch))
        seconds = WORKS[work](folder, Path(scratch))
        peak, rows = memory("VmHWM") * 1e9, table(folder, 10**9)
    return {"seconds": seconds / len(rows), "bytes": peak - float(rows.memory_usage(deep=True).sum())}


def main() -> None:
    """Measure the sizes asked for; with `--measure`, one work in this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, metavar="SIZE", help="the first is the measure")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--measure", nargs=3, metavar=("WORK", "FIRST", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        work, first, folder = asked.measure
        print(json.dumps(measure(work, Path(first), Path(folder))))
        return
    rows = growth(Path(), asked.rounds, asked.sizes or SIZES)
    print(pd.DataFrame(rows, columns=COLUMNS).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
