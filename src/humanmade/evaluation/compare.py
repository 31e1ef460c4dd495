"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from humanmade.run import Run


def compare(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run, best mean F1 first: `run, f1, spread, auc, logloss, worst_source, seconds`,
    then `fold0`, `fold1`, ... with each fold's F1.

    `spread` is the standard deviation over folds; `folds` counts the finished ones.
    """
    table = pd.DataFrame([_row(run) for run in runs])
    return table.sort_values("f1", ascending=False, na_position="last", ignore_index=True)


def _row(run: Run) -> dict[str, object]:
    scores = run.scores
    folds = scores["folds"]
    f1 = [fold["f1"] for fold in folds]
    row: dict[str, object] = {
        "run": run.name,
        "f1": float(np.mean(f1)) if f1 else None,
        "spread": float(np.std(f1)) if f1 else None,
        "auc": scores.get("auc"),
        "logloss": scores.get("logloss"),
        "worst_source": scores.get("sources", {}).get("worst"),
        "folds": f"{len(folds)}{' (unfinished)' if scores.get('unfinished') else ''}",
        "seconds": sum(fold["seconds"] for fold in folds),
    }
    return row | {f"fold{fold['fold']}": fold["f1"] for fold in folds}


def as_text(table: pd.DataFrame) -> str:
    """Lay the comparison out for a terminal."""
    shown = table.drop(columns=[column for column in table if table[column].isna().all()])
    return shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")
