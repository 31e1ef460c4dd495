"""One fold: trained with every seed, its held-out and the test rows predicted, and marked as done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pandas as pd

from humanmade import files, metrics, run
from humanmade.data.folds import SPLITS, Folds
from humanmade.detectors.base import Detector
from humanmade.evaluation import grid
from humanmade.evaluation.inference import member_logits
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.progress import duration, stage
from humanmade.run import Run
from humanmade.training.budget import Budget
from humanmade.training.curves import Curves


@dataclass(frozen=True)
class Job:
    """What the training of every fold needs."""

    detector: Detector
    folds: Folds
    table: pd.DataFrame
    current: Run
    budget: Budget
    view_names: tuple[str, ...]

    def shown(self, valid: int, test: int) -> int:
        """How many pictures one training predicts, of so many rows under all views and corruptions."""
        corrupted = min(valid, grid.SAMPLE // len(self.folds)) * (1 + len(CORRUPTIONS))
        return (valid + test) * len(self.view_names) + corrupted

    def announced(self, left: Sequence[int | str], continued: bool) -> list[str]:
        """Pictures, folds, members, what is kept, and the time that folds take where one tells.

        Args:
            left: folds that will be trained now.
            continued: whether an earlier start of the run left something.
        """
        recipe, current = self.detector.recipe, self.current
        rows, test = self.folds.rows, int((self.table["split"] == "test").sum())
        ones, extra = int((rows["label"] == 1).sum()), len(rows) - len(self.folds.table)
        lines = [
            f"{current.name}: {len(rows)} pictures to train on ({len(rows) - ones} human-made, {ones} "
            f"generated{f', {extra} of them extra' if extra else ''}), {test} test pictures",
            f"{recipe.detector}: {len(self.folds)} folds, {SPLITS[recipe.split]}; "
            f"{len(recipe.seeds)} seed{'s' * (len(recipe.seeds) > 1)}, {len(self.view_names)} "
            f"view{'s' * (len(self.view_names) > 1)}",
        ]
        if recipe.member_names:
            lines.append(f"members: {', '.join(recipe.member_names)}")
        done = [current.finished_fold(key) for key in (current.finished() if continued else [])]
        if done and left:
            seconds = len(left) * sum(fold.seconds for fold in done) / len(done)
            lines.append(
                f"folds left: {', '.join(map(str, left))}; about {duration(seconds)} if they take as long as "
                "those that are finished"
            )
        return lines


def train_fold(job: Job, key: int | str, to_come: int, predict: bool = True) -> None:
    """Train one fold with every seed, predict its held-out and the test rows, and mark it done.

    Args:
        to_come: how many folds are trained after it.
    """
    detector, folds, table, current, budget = job.detector, job.folds, job.table, job.current, job.budget
    train = folds.training(key) if isinstance(key, int) else folds.rows
    valid = folds.validation(key) if isinstance(key, int) else folds.rows[:0]
    test = table[(table["split"] == "test") & ~table["broken"]]
    members, folder = current.trainings(key), current.fold(key)
    print(f"fold {key}: {len(train)} pictures to train on, {len(valid)} held out", flush=True)
    trainings = len(members) * max(1, len(detector.recipe.member_names))
    budget.to_predict = trainings * job.shown(len(valid), len(test))
    budget.to_come = to_come if trainings == 1 else 0
    fits = [detector.fit_once(train, valid, seed, place, budget) for seed, place in members]
    if not predict:
        return
    training = sum(fit["seconds"] for fit in fits)
    places = [place for _, place in members]
    facts: dict[str, Any] = {"fold": key}
    with budget.predicting(), stage(f"fold {key}"):
        fitted = time.monotonic()
        for name, rows in (("oof", valid), ("test", test)):
            if len(rows):
                found = member_logits(detector, places, rows, job.view_names)
                for member, own in found.items():
                    own_name = f"{name}_{member}.csv" if member else f"{name}.csv"
                    files.write_csv(folder / own_name, pd.DataFrame({"id": rows["id"], "logit": own}))
                if name == "oof":
                    facts |= metrics.summary(rows["label"], found[""])
        predicted = time.monotonic()
        if len(valid):
            with stage(f"corruptions of fold {key}"):
                grid.measure(detector, places, valid, folder, len(folds))
        scoring = time.monotonic() - predicted
    stages = {"training": training, "predicting": predicted - fitted, "scoring": scoring}
    seconds = sum(stages.values())
    seen = sum(fit["pictures"] for fit in fits)
    facts |= {"seconds": seconds, "images_per_second": seen / max(training, 1e-9), "stages": stages}
    files.write_json(folder / run.DONE, facts)
    said = f"trained on all {len(train)} rows"
    if "auc" in facts:
        said = f"F1 {facts['f1']:.3f}, AUC {facts['auc']:.3f}"
        with closing(Curves(folder)) as curves:
            curves.add(int(key), {f"fold/{name}": facts[name] for name in ("auc", "f1", "logloss")})
    after = f"; about {duration(seconds * to_come)} for {to_come} more" if to_come else ""
    print(f"fold {key}: {said}, {duration(seconds)}{after}", flush=True)
