"""What a run's scores are worth on its test set: what the forecast stands on, gathered and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.data.folds import Folds
from humanmade.detectors.base import Detector
from humanmade.detectors.embedding import embed
from humanmade.errors import UserError
from humanmade.evaluation import shifted
from humanmade.evaluation.forecast import FEWEST, Distance, chosen, distance, forecast, worlds
from humanmade.progress import warn_once
from humanmade.run import CORRUPTED, Run
from humanmade.training.budget import Budget, OutOfTimeError

COUNTERPARTS = "counterparts.csv"
"""In a fold's folder: logits of held-out photos and of their reconstructions."""

OUTLOOK = "outlook.json"
"""In the run folder: what does not depend on the finished folds, such as the test set's distance."""


def look_at_fold(
    detector: Detector,
    places: Sequence[Path],
    valid: pd.DataFrame,
    folder: Path,
    share: int,
    weights: Path | None,
    budget: Budget,
) -> None:
    """Score a sample of a fold's held-out rows corrupted, and its photos beside their reconstructions.

    Args:
        share: how many folds share the sample.
    """
    rows = shifted.sample(valid, shifted.SAMPLE // share)
    files.write_csv(folder / CORRUPTED, shifted.corrupted_logits(detector, places, rows))
    try:
        table = shifted.counterpart_logits(detector, places, rows, weights, budget)
    except UserError as error:
        warn_once(f"the forecast goes without reconstructions: {error}")
        return
    except OutOfTimeError:
        return  # the fold itself is trained and predicted
    files.write_csv(folder / COUNTERPARTS, table)


def look_around(
    current: Run, detector: Detector, folds: Folds, table: pd.DataFrame, weights: Path | None, budget: Budget
) -> None:
    """Measure once a run how far the test set is, and, of quick detectors, look-alikes held out."""
    path = current.folder / OUTLOOK
    test = table[(table["split"] == "test") & ~table["broken"]]
    scored = any(isinstance(key, int) for key in current.finished())
    if path.is_file() or not scored or min(len(folds.rows), len(test) or FEWEST) < FEWEST:
        return
    found: dict[str, Any] = {}
    try:
        if len(test):
            train_part = folds.rows.iloc[chosen(len(folds.rows), 0)]
            test_part = test.sort_values("id").iloc[chosen(len(test), 1)]
            both = embed(pd.concat([train_part, test_part]), weights, budget)
            found["test"] = asdict(distance(both[: len(train_part)], both[len(train_part) :]))
        if detector.quick and current.recipe.split == "pairs":
            embedding = embed(folds.rows, weights, budget)
            seed = current.recipe.seeds[0]
            found["look_alikes"] = shifted.look_alike_aucs(
                detector, current.recipe, folds.rows, embedding, seed, weights, budget
            )
    except UserError as error:
        warn_once(f"the forecast goes without embeddings: {error}")
        return
    files.write_json(path, found)


def outlook(
    current: Run, oof: pd.DataFrame, corrupted: dict[str, Any], test_size: int, prevalence: float
) -> dict[str, Any]:
    """`shifted` (what was measured for it) and `forecast` for `scores.json`.

    Without test rows the forecast is for a test set that shares nothing with the training set.
    """
    keys = [key for key in current.finished() if isinstance(key, int)]
    folds = [current.finished_fold(key)["auc"] for key in keys]
    if not folds:
        return {"shifted": {}, "forecast": None}
    path = current.folder / OUTLOOK
    known = files.read_json(path, (), f"remove {path} and run cv again") if path.is_file() else {}
    facts: dict[str, Any] = {}
    if known.get("look_alikes"):
        facts["look_alikes"] = float(np.mean(known["look_alikes"]))
    paths = [current.fold(key) / COUNTERPARTS for key in keys]
    remade = [files.read_numbers(path, ("id", "label", "logit")) for path in paths if path.is_file()]
    if remade:
        aucs = [metrics.auc(table["label"], table["logit"]) for table in remade]
        facts["counterparts"] = float(np.mean(aucs))
    found = known.get("test")
    shift = Distance(**found).shift if found else 1.0
    away = worlds(float(corrupted["mean"]["auc"]), facts.get("counterparts"))
    said = forecast(folds, away, shift, test_size or len(oof), prevalence)
    facts |= {"shift": shift, "worlds": away} | ({"test": found} if found else {})
    return {"shifted": facts, "forecast": asdict(said)}
