"""Held-out pictures as the world would show them: corrupted, or remade."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humanmade import metrics
from humanmade.data.loader import draw_keys
from humanmade.detectors import counterparts
from humanmade.detectors.base import Detector
from humanmade.fusion import CLEAN
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.seeding import stable_seed
from humanmade.sensitivity import REENCODED, flip_rate, sensitivity
from humanmade.training.budget import Budget

SAMPLE = 400
"""Out-of-fold pictures of a whole run that are scored on the grid."""

SCALES = (1.0, 0.5)
"""Scales at which held-out photos meet their reconstructions."""

AUTOENCODER = "taef2"
"""What reconstructs them, whatever a recipe trains on: runs are compared by it."""


def sample(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """About `count` rows, the same at every call, half of each class, pairs kept whole."""
    order = pd.Series([stable_seed("corrupted", key) for key in draw_keys(rows)], index=rows.index)
    place = order.groupby(rows["label"]).rank(method="first")
    return rows[place <= max(1, count // 2)]


def corrupted_logits(detector: Detector, places: Sequence[Path], rows: pd.DataFrame) -> pd.DataFrame:
    """`id`, `clean` and a column a corruption: logits of one view, the mean over trainings (seeds)."""
    names = list(CORRUPTIONS)
    logits = np.mean([detector.logits(place, rows, ["identity", *names]) for place in places], axis=0)
    return pd.DataFrame(logits, columns=[CLEAN, *names]).assign(id=rows["id"].to_list())


def scores(table: pd.DataFrame, by_fold: bool) -> dict[str, dict[str, float]]:
    """AUC, and F1 at logit 0, of each corruption, their `mean` and the `worst`.

    Args:
        table: `label`, `fold` and the columns of `corrupted_logits`.
        by_fold: score inside each fold and average, for folds whose logits do not compare.
    """
    parts = [part for _, part in table.groupby("fold")] if by_fold else [table]
    found: dict[str, dict[str, float]] = {}
    for name in CORRUPTIONS:
        inside = [metrics.summary(part["label"], part[name]) for part in parts]
        found[name] = {key: float(np.mean([each[key] for each in inside])) for key in ("auc", "f1")}
    overall: dict[str, Any] = {
        key: {score: float(reduce([each[score] for each in found.values()])) for score in ("auc", "f1")}
        for key, reduce in (("mean", np.mean), ("worst", np.min))
    }
    return found | overall


def steadiness(table: pd.DataFrame, by_fold: bool) -> dict[str, float]:
    """`sensitivity` to re-encoding and the share of verdicts it `flips` (`humanmade.sensitivity`).

    Args:
        table, by_fold: as for `scores`.
    """
    parts = [part for _, part in table.groupby("fold")] if by_fold else [table]
    seen = [(part[[CLEAN, *REENCODED]].to_numpy(), part["label"]) for part in parts]
    return {
        "sensitivity": float(np.mean([sensitivity(logits, labels) for logits, labels in seen])),
        "flips": float(np.mean([flip_rate(logits) for logits, _ in seen])),
    }


def counterpart_logits(
    detector: Detector, places: Sequence[Path], rows: pd.DataFrame, budget: Budget
) -> pd.DataFrame:
    """`id, label, logit` of held-out photos and of their reconstructions, at two scales.

    A detector that judges content cannot tell them apart.

    Raises:
        UserError: the autoencoder's weights are nowhere.
    """
    photos = rows[rows["label"] == 0]
    pairs = counterparts.make_pairs(photos.assign(pair=draw_keys(photos)), SCALES, AUTOENCODER, budget)
    logits = np.mean([detector.logits(place, pairs, ["identity"])[:, 0] for place in places], axis=0)
    return pd.DataFrame({"id": pairs["id"], "label": pairs["label"], "logit": logits})
