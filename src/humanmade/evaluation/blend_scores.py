"""A blend scored like a run: by the held-out rows of its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from humanmade import metrics
from humanmade.evaluation import held_out
from humanmade.evaluation.forecast import forecast_of
from humanmade.run import Run
from humanmade.scores import FoldScores, Scores, Shift


def of_rows(
    runs: Sequence[Run], method: str, rows: pd.DataFrame, corrupted: pd.DataFrame, test_size: int
) -> Scores:
    """What `scores.json` would say of a blend, its forecast too.

    Args:
        runs: the members, of the same data.
        method: of `humanmade.choices.FUSIONS`.
        rows: `id, label, fold, logit` of the blend's out-of-fold rows.
        corrupted: as of `humanmade.run.Run.corrupted`, fused; may be empty.
        test_size: test pictures.
    """
    members, by_fold = [run.scores for run in runs], runs[0].recipe.split == "source"
    overall = metrics.summary(rows["label"], rows["logit"])
    folds = _folds(members, rows)
    if by_fold:
        overall["auc"] = float(np.nanmean([fold.auc for fold in folds]))
    scores = Scores(
        data=members[0].data,
        data_folders=members[0].data_folders,
        folds=folds,
        recipe=f"{method} of {', '.join(run.name for run in runs)}",
        f1=overall["f1"],
        auc=overall["auc"],
        logloss=overall["logloss"],
        scale=float(rows["logit"].std(ddof=0)),
        corrupted=held_out.score(corrupted, by_fold) if len(corrupted) else {},
        steadiness=held_out.steadiness(corrupted, by_fold),
        shifted=replace(members[0].shifted or Shift(), counterparts=None),
        lacking=members[0].lacking,
        prevalence=members[0].prevalence,
        unfinished=any(member.unfinished for member in members),
    )
    return replace(scores, forecast=forecast_of(scores, test_size))


def _folds(members: Sequence[Scores], rows: pd.DataFrame) -> list[FoldScores]:
    """The scores of each fold; its seconds are those of all members."""
    seconds = pd.DataFrame([fold for member in members for fold in member.folds]).groupby("fold")["seconds"]
    spent = seconds.sum().to_dict()
    return [
        FoldScores(fold, spent.get(fold, 0.0), 0.0, score["f1"], score["auc"], score["logloss"])
        for fold in sorted({int(key) for key in rows["fold"]})
        for part in [rows[rows["fold"] == fold]]
        for score in [metrics.summary(part["label"], part["logit"])]
    ]
