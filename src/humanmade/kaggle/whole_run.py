"""What the whole run would take, computed from how fast each stage of a run on a part of the data was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humanmade import files, run
from humanmade.data import manifest
from humanmade.progress import duration
from humanmade.recipe import Recipe
from humanmade.run import Run

MARK = "the whole run: "
"""Begins each line, so that they are found in a kernel's log."""
FOLD_STAGES = ("training", "predicting", "scoring")


@dataclass(frozen=True)
class Size:
    """Pictures and folds of a run."""

    train: int
    """With the extra ones."""
    extra: int
    test: int
    folds: int

    @property
    def work(self) -> dict[str, float]:
        """Pictures of each stage, of what folds do in one fold; all folds score parts of one sample."""
        held_out = (self.train - self.extra) / self.folds
        read = self.train + self.test
        fold = {"training": self.train - held_out, "predicting": held_out + self.test}
        return {"reading": read, "preparing": read, **fold, "scoring": 1 / self.folds}


def lines(
    part: Run, recipe: Recipe, data: Sequence[Path], extra: Sequence[Path], seconds: float, ranks: int
) -> list[str]:
    """What the run would take on all of the data, in lines that begin with `MARK`.

    Args:
        part: of the recipe, on a part of the data.
        data: all folders of `cv`.
        extra: its folders of extra pictures.
        seconds: that `cv` took.
        ranks: processes that its folds were dealt to.
    """
    scores = part.scores
    if not scores.folds:
        return [f"{MARK}not known, for no fold was finished in {duration(seconds)}; give more --hours"]
    small, folds = _size_of(part), len(scores.folds)
    counts = manifest.load(data, extra, pictures=False)["split"].value_counts()
    train, more, test = (int(counts.get(split, 0)) for split in ("train", "extra", "test"))
    large = Size(train + more, more, test, small.folds if recipe.split == "source" else recipe.folds)
    rounds = math.ceil(folds / ranks)
    spent = [part.fold_stages(fold.fold) for fold in scores.folds]
    per_fold = {name: sum(stages[name] for stages in spent) / folds for name in FOLD_STAGES}
    took = scores.stages | {name: rounds * value for name, value in per_fold.items()}
    took["start and end"] = max(0.0, seconds - sum(took.values())) + took.pop("measuring")
    needs = dict(took)
    for name, pictures in small.work.items():
        growth = math.ceil(large.folds / ranks) / rounds if name in FOLD_STAGES else 1
        needs[name] *= growth * large.work[name] / pictures
    timed = {"reading": took["reading"], **per_fold}
    rates = {name: small.work[name] / timed[name] for name in ("reading", "training", "predicting")}
    stages = [
        f"{name} {duration(value)}" + (f" ({rates[name]:.3g} pictures/s here)" if name in rates else "")
        for name, value in needs.items()
    ]
    return [
        f"{MARK}{', '.join(stages)}",
        f"{MARK}computed as each stage's seconds here times its pictures in the whole run over those here "
        f"({large.train} train and {large.test} test over {small.train} and {small.test}), "
        f"{ranks} folds at a time; what scoring, start and end take does not grow",
        f"{MARK}about {duration(sum(needs.values()))} for {large.folds} folds",
    ]


def found(log: str) -> list[str]:
    """The lines of `lines` in a kernel's log."""
    return [line for line in log.splitlines() if line.startswith(MARK)]


def _size_of(part: Run) -> Size:
    """Sizes of a run with at least one finished fold."""
    train = len(files.read_csv(part.folder / run.PICTURES, ("id",)))
    tested = part.folder / run.TEST
    test = len(files.read_csv(tested, ("id",))) if tested.is_file() else 0
    return Size(train, train - part.assigned["id"].nunique(), test, part.folds)
