"""A fold's held-out pictures as the world would show them: logits under each corruption, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.data.loader import draw_keys
from humanmade.detectors.base import Detector
from humanmade.fusion import CLEAN
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.run import CORRUPTED
from humanmade.scores import MEAN, WORST, CorruptedScores, FoldScores, Scores, Steadiness
from humanmade.seeding import stable_seed
from humanmade.sensitivity import REENCODED, flip_rate, sensitivity

SAMPLE = 400
"""Out-of-fold pictures of a whole run that are scored on the grid."""


def measure(
    detector: Detector, places: Sequence[Path], valid: pd.DataFrame, folder: Path, share: int
) -> None:
    """Write a fold's logits of a sample of its held-out rows: `id`, `clean` and a column a corruption.

    They are of one view.

    Args:
        places: folders of the fold's trainings (seeds), over which logits are averaged.
        share: how many folds share the sample.
    """
    rows, names = sample(valid, SAMPLE // share, "corrupted"), list(CORRUPTIONS)
    logits = np.mean([detector.logits(place, rows, ["identity", *names]) for place in places], axis=0)
    table = pd.DataFrame(logits, columns=[CLEAN, *names]).assign(id=rows["id"].to_list())
    files.write_csv(folder / CORRUPTED, table)


def sample(rows: pd.DataFrame, count: int, name: str) -> pd.DataFrame:
    """Labelled rows in their order, half of `count` of each class where there are as many, pairs kept whole.

    Whole pairs come first; which they are hangs on the name, not on the order of the rows.
    """
    keys = pd.Series(draw_keys(rows), index=rows.index)
    order = rows[["id", "label"]].assign(
        single=rows["label"].groupby(keys).transform("nunique") < 2,
        draw=[stable_seed(name, key) for key in keys],
    )
    order = order.sort_values(["single", "draw", "id"])
    place = order.groupby("label").cumcount().reindex(rows.index)
    return rows[place < max(1, count // 2)]


def corruptions(table: pd.DataFrame) -> list[str]:
    """The corruptions that a table of corrupted logits holds, which need not be today's."""
    return [name for name in table.columns if name not in ("id", "label", "fold", CLEAN)]


def scored(
    scores: Scores, folds: list[FoldScores], oof: pd.DataFrame, corrupted: pd.DataFrame, by_fold: bool
) -> Scores:
    """Add what out-of-fold rows (`label, logit`) say, and corrupted ones as for `score`."""
    overall = metrics.summary(oof["label"], oof["logit"])
    if by_fold:
        # Logits of different folds come from different models; across sources they do not compare.
        overall["auc"] = float(np.nanmean([fold.auc for fold in folds]))
    return replace(
        scores,
        folds=folds,
        f1=overall["f1"],
        auc=overall["auc"],
        logloss=overall["logloss"],
        scale=float(oof["logit"].std(ddof=0)),
        corrupted=score(corrupted, by_fold),
        steadiness=steadiness(corrupted, by_fold),
    )


def score(table: pd.DataFrame, by_fold: bool) -> dict[str, CorruptedScores]:
    """AUC, and F1 at logit 0, of each corruption in a table, their `mean` and the `worst`.

    Args:
        table: of `humanmade.run.Run.corrupted`; may be empty.
        by_fold: score inside each fold and average, for folds whose logits do not compare.
    """
    names = corruptions(table)
    if not names:
        return {}
    parts = [
        [
            (metrics.auc(part["label"], part[name]), metrics.f1(part["label"], part[name] > 0))
            for name in names
        ]
        for part in _parts(table, by_fold)
    ]
    grid = np.mean(parts, axis=0)
    reduced = [*zip(names, grid, strict=True), (MEAN, grid.mean(axis=0)), (WORST, grid.min(axis=0))]
    return {name: CorruptedScores(auc=float(auc), f1=float(f1)) for name, (auc, f1) in reduced}


def steadiness(table: pd.DataFrame, by_fold: bool) -> Steadiness | None:
    """What re-encoding does to the logits of a table, as for `score`; None where it holds no re-encoding."""
    names = [name for name in REENCODED if name in table]
    if table.empty or not names:
        return None
    parts = [(part[[CLEAN, *names]].to_numpy(), part["label"]) for part in _parts(table, by_fold)]
    moved = float(np.mean([sensitivity(logits, labels) for logits, labels in parts]))
    return Steadiness(
        sensitivity=float("inf") if np.isnan(moved) else moved,
        flips=float(np.mean([flip_rate(logits) for logits, _ in parts])),
    )


def _parts(table: pd.DataFrame, by_fold: bool) -> list[pd.DataFrame]:
    return [part for _, part in table.groupby("fold")] if by_fold else [table]
