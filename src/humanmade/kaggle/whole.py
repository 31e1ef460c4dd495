"""What a whole run would take, computed from how fast each stage of a run on a part of the data was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from humanmade import files, run
from humanmade.data import manifest
from humanmade.run import Run
from humanmade.schema import Recipe

MARK = "the whole run: "
"""Begins each line, so that they are found in a kernel's log."""
FOLD_STAGES = ("training", "predicting", "scoring")


@dataclass(frozen=True)
class Size:
    """Pictures and folds of a run."""

    train: int
    extra: int
    test: int
    folds: int

    @property
    def read(self) -> int:
        """Pictures in all."""
        return self.train + self.extra + self.test

    @property
    def learnt(self) -> float:
        """Pictures that a fold trains on."""
        return self.train * (1 - 1 / self.folds) + self.extra

    @property
    def predicted(self) -> float:
        """Pictures that a fold predicts: those it holds out, and the test set."""
        return self.train / self.folds + self.test


def lines(part: Run, recipe: Recipe, data: Sequence[str], seconds: float, ranks: int) -> list[str]:
    """What the run would take on all of the data, in lines that begin with `MARK`.

    Args:
        part: of the recipe, on a part of the data.
        data: `--data` and `--extra` with their folders, as `cv` was given them.
        seconds: that `cv` took.
        ranks: processes that its folds were dealt to.
    """
    scores = part.scores
    if not scores.folds:
        return [f"{MARK}not known, for no fold was finished in {_time(seconds)}; give more --hours"]
    small, folds = _size_of(part), len(scores.folds)
    by_source = recipe.split == "source"
    large = _size(_table(data), small.folds if by_source else recipe.folds)
    spent = [part.fold_stages(fold.fold) for fold in scores.folds]
    per_fold = {name: sum(stages[name] for stages in spent) / folds for name in FOLD_STAGES}
    took = scores.stages | {name: math.ceil(folds / ranks) * per_fold[name] for name in FOLD_STAGES}
    took["start and end"] = max(0.0, seconds - sum(took.values())) + took.pop("measuring")
    needs = _grown(took, small, large, math.ceil(large.folds / ranks) / math.ceil(folds / ranks))
    rates = {
        "reading": small.read / took["reading"],
        "training": small.learnt / per_fold["training"],
        "predicting": small.predicted / per_fold["predicting"],
    }
    stages = [
        f"{name} {_time(value)}" + (f" ({rates[name]:.3g} pictures/s here)" if name in rates else "")
        for name, value in needs.items()
    ]
    return [
        f"{MARK}{', '.join(stages)}",
        f"{MARK}computed as each stage's seconds here times its pictures in the whole run over those here "
        f"({large.train + large.extra} train and {large.test} test over {small.train + small.extra} and "
        f"{small.test}), {ranks} folds at a time; what scoring, start and end take does not grow",
        f"{MARK}about {_time(sum(needs.values()))} for {large.folds} folds",
    ]


def found(log: str) -> list[str]:
    """The lines of `lines` in a kernel's log."""
    return [line for line in log.splitlines() if line.startswith(MARK)]


def _grown(took: Mapping[str, float], small: Size, large: Size, rounds: float) -> dict[str, float]:
    """Seconds of each stage on all of the data.

    Args:
        took: seconds of each stage on the part, folds that ran side by side counted once.
        rounds: how often as many folds run one after another.
    """
    growth = {
        "reading": large.read / small.read,
        "preparing": large.read / small.read,
        "training": rounds * large.learnt / small.learnt,
        "predicting": rounds * large.predicted / small.predicted,
        # All folds share one sample.
        "scoring": rounds * small.folds / large.folds,
        "start and end": 1.0,
    }
    return {name: took[name] * factor for name, factor in growth.items()}


def _size_of(part: Run) -> Size:
    """Sizes of a run with at least one finished fold."""
    train = part.assigned["id"].nunique()
    extra = len(files.read_csv(part.folder / run.PICTURES, ("id",))) - len(part.assigned)
    tested = part.folder / run.TEST
    test = len(files.read_csv(tested, ("id",))) if tested.is_file() else 0
    return Size(train, extra, test, part.folds)


def _size(table: pd.DataFrame, folds: int) -> Size:
    counts = table["split"].value_counts()
    train, extra, test = (int(counts.get(split, 0)) for split in ("train", "extra", "test"))
    return Size(train, extra, test, folds)


def _table(data: Sequence[str]) -> pd.DataFrame:
    """All rows of `--data` and `--extra`."""
    given = list(zip(data[::2], data[1::2], strict=True))
    folders, extra = ([Path(f) for o, f in given if o == option] for option in ("--data", "--extra"))
    return manifest.load(folders, extra, pictures=False)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"
