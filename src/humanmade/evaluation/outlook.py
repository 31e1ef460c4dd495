"""What a run's scores are worth on its test set: what the forecast stands on, gathered and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.data.folds import Folds, sources_by_label
from humanmade.detectors.base import Detector
from humanmade.detectors.embedding import embed
from humanmade.errors import UserError
from humanmade.evaluation import shifted
from humanmade.evaluation.forecast import FEWEST, Distance, chosen, distance, forecast
from humanmade.evaluation.kept import facts_of
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
    budget: Budget,
) -> None:
    """Score a sample of a fold's held-out rows corrupted, and its photos beside their reconstructions.

    Args:
        share: how many folds share the sample.
    """
    rows = shifted.sample(valid, shifted.SAMPLE // share)
    files.write_csv(folder / CORRUPTED, shifted.corrupted_logits(detector, places, rows))
    try:
        table = shifted.counterpart_logits(detector, places, rows, budget)
    except UserError as error:
        warn_once(f"the forecast goes without reconstructions: {error}")
        return
    except OutOfTimeError:
        return  # the fold itself is trained and predicted
    files.write_csv(folder / COUNTERPARTS, table)


def look_around(current: Run, folds: Folds, table: pd.DataFrame, budget: Budget) -> None:
    """Measure once a run how far the test set is."""
    path = current.folder / OUTLOOK
    test = table[(table["split"] == "test") & ~table["broken"]]
    scored = any(isinstance(key, int) for key in current.finished())
    if path.is_file() or not scored:
        return
    try:
        found = how_far(folds.rows, test, budget)
    except UserError as error:
        warn_once(f"the forecast goes without embeddings: {error}")
        return
    if found:
        files.write_json(path, {"test": asdict(found)})


def how_far(train: pd.DataFrame, test: pd.DataFrame, budget: Budget | None = None) -> Distance | None:
    """Distance of test rows from train rows, by a sample of each; None where they are too few.

    Raises:
        UserError: the weights of the embedding are nowhere.
    """
    if min(len(train), len(test)) < FEWEST:
        return None
    train_part = train.iloc[chosen(len(train), 0)]
    test_part = test.sort_values("id").iloc[chosen(len(test), 1)]
    both = embed(pd.concat([train_part, test_part]), budget)
    return distance(both[: len(train_part)], both[len(train_part) :])


def sources_of(table: pd.DataFrame) -> int:
    """Named generators, or named photo sources, that are trained on: the fewer of them, at least 1."""
    return max(1, min(map(len, sources_by_label(table[table["split"] != "test"]))))


def outlook(
    current: Run, scores: dict[str, Any], sources: int, test_size: int, prevalence: float
) -> dict[str, Any]:
    """`shifted` (what was measured for it) and `forecast` for `scores.json`.

    Without test rows the forecast is for a test set that shares nothing with the training set.

    Args:
        scores: what `scores.json` holds beside them.
        sources: of `sources_of`.
    """
    keys = [key for key in current.finished() if isinstance(key, int)]
    if not keys:
        return {"shifted": {}, "forecast": None}
    path = current.folder / OUTLOOK
    about: dict[str, Any] = {"sources": sources, "shift": 1.0}
    if path.is_file():
        found = files.read_json(path, (), f"remove {path} and run cv again").get("test")
        if found:
            test = Distance(found["auc"], found["unlike"])
            about |= {"shift": test.shift, "test": asdict(test)}
    paths = [current.fold(key) / COUNTERPARTS for key in keys]
    remade = [files.read_numbers(path, ("id", "label", "logit")) for path in paths if path.is_file()]
    if remade:
        aucs = [metrics.auc(table["label"], table["logit"]) for table in remade]
        about["counterparts"] = float(np.mean(aucs))
    facts = facts_of(scores | {"shifted": about})
    assert facts, "a scored fold leaves its corrupted pictures"
    spread = float(np.std([fold["auc"] for fold in scores["folds"]]))
    return {"shifted": about, "forecast": asdict(forecast(facts, spread, test_size, prevalence))}
