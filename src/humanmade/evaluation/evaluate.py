"""Scores of logits on a labelled set, as one would want them before a leaderboard does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.errors import UserError
from humanmade.progress import warn
from humanmade.run import Run


def labelled_rows(table: pd.DataFrame, split: str | None) -> pd.DataFrame:
    """The rows to evaluate: those of `split`, else the test rows where there are any, else all.

    Raises:
        UserError: none of them is labelled, or some are not.
    """
    wanted = split or ("test" if (table["split"] == "test").any() else "train")
    rows = table[table["split"] == wanted]
    unlabelled = int((rows["label"] < 0).sum())
    if rows.empty or unlabelled:
        found = f"{unlabelled} of {len(rows)} have no label" if len(rows) else "there are none"
        raise UserError(
            f"evaluate: needs labelled {wanted} rows, {found}; "
            "choose the rows with --split train or --split test"
        )
    return rows


def warn_of_training_rows(run: Run, rows: pd.DataFrame) -> None:
    """Warn where pictures of a set to evaluate, whatever their ids, are among those trained on."""
    trained = files.read_csv(run.folder / "pictures.csv", ("id", "digest"))["digest"]
    shared = int(rows["digest"].isin(trained).sum())
    if shared:
        warn(
            f"{run.name} was trained on {shared} of these {len(rows)} pictures, so the scores are too good; "
            "oof.csv has honest ones"
        )


def evaluate(rows: pd.DataFrame, logits: np.ndarray, prevalence: float = 0.5) -> dict[str, Any]:
    """All scores of a labelled set.

    Args:
        rows: `id, label, source`.
        logits: (rows,).
        prevalence: assumed share of label 1, at which labels are cut by rank.
    """
    labels, ids = rows["label"].to_numpy(), rows["id"].tolist()
    own = float(labels.mean())
    assumed = metrics.labels_at_prevalence(ids, logits, prevalence)
    oracle = metrics.labels_at_prevalence(ids, logits, own)
    return {
        "rows": len(rows),
        "auc": metrics.auc(labels, logits),
        "f1": metrics.f1(labels, logits > 0),
        "accuracy": float(np.mean((logits > 0) == (labels == 1))),
        "prevalence": prevalence,
        "f1_at_prevalence": metrics.f1(labels, assumed),
        "balanced_accuracy": metrics.balanced_accuracy(labels, assumed),
        "own_prevalence": own,
        "f1_oracle": metrics.f1(labels, oracle),
        "f1_all_ones": metrics.all_ones_f1(own),
        "sources": metrics.source_aucs(labels, logits, rows["source"].tolist()),
    }


def as_text(scores: dict[str, Any]) -> str:
    """Lay the scores out for reading."""
    lines = [
        f"{scores['rows']} pictures, {scores['own_prevalence']:.1%} generated",
        f"AUC                                {scores['auc']:.3f}",
        f"F1 at logit 0                      {scores['f1']:.3f}",
        f"accuracy at logit 0                {scores['accuracy']:.3f}",
        f"F1 at prevalence {scores['prevalence']:.2f}              {scores['f1_at_prevalence']:.3f}",
        f"balanced accuracy there            {scores['balanced_accuracy']:.3f}",
        f"F1 at the set's own share (oracle) {scores['f1_oracle']:.3f}",
        f"F1 of answering 1 everywhere       {scores['f1_all_ones']:.3f}",
    ]
    sources = {name: score for name, score in scores["sources"].items() if name != "worst"}
    if sources:
        width = max(map(len, sources))
        worst = min(sources, key=lambda name: sources[name])
        lines.append("AUC of each source against all of the other class:")
        lines += [
            f"  {name:{width}}  {score:.3f}{'  worst' if name == worst else ''}"
            for name, score in sources.items()
        ]
    return "\n".join(lines)
