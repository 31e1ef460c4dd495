"""One fold: trained with every seed, its held-out and the test rows predicted, and marked as done."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import files, metrics, run
from humanmade.data.folds import Folds
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
    fits = [_fit(detector, train, valid, seed, place, budget) for seed, place in members]
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


def _fit(
    detector: Detector, train: pd.DataFrame, valid: pd.DataFrame, seed: int, place: Path, budget: Budget
) -> dict[str, float]:
    """Train one seed of a fold, or find that an earlier start did; `pictures` and `seconds` of it."""
    note = place / "trained.json"
    if note.is_file():
        detector.verify(place)
        return files.read_json(note, ("pictures", "seconds"), run.retrain(note))
    place.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    pictures = detector.fit(train, valid, seed, place, budget)
    spent = {"pictures": pictures, "seconds": time.monotonic() - began}
    files.write_json(note, spent)
    return spent
