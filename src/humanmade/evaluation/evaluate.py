"""Scores of logits on a labelled set, as one would want them before a leaderboard does."""

from __future__ import annotations

from pathlib import Path
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


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose pictures can be read.

    Raises:
        UserError: there are none.
    """
    rows = rows[~rows["broken"]]
    if rows.empty:
        raise UserError("none of the labelled pictures can be read; repair them")
    return rows


def save(path: Path, rows: pd.DataFrame, logits: np.ndarray) -> None:
    """Write `id,label,source,logit`, and `repo` where the set names any."""
    columns = ["id", "label", "source", "logit", *(["repo"] if (rows["repo"] != "").any() else [])]
    files.write_csv(path, rows.assign(logit=logits)[columns])


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

    `worse` is its number in the protocol (`metrics.worse_of`) and `worse_error` the sampling error of that;
    `cross` names the pair of sources that is told apart worst. What the set has no names for is empty or
    None.

    Args:
        rows: `id, label, source, repo`.
        logits: (rows,).
        prevalence: assumed share of label 1, at which labels are cut by rank.
    """
    labels, ids = rows["label"].to_numpy(), rows["id"].tolist()
    own = float(labels.mean())
    assumed = metrics.labels_at_prevalence(ids, logits, prevalence)
    oracle = metrics.labels_at_prevalence(ids, logits, own)
    sources, repos = rows["source"].tolist(), rows["repo"].tolist()
    pooled, inside = metrics.auc(labels, logits), metrics.inside_aucs(labels, logits, repos)
    return {
        "rows": len(rows),
        "auc": pooled,
        "inside": inside,
        "inside_mean": float(np.mean([*inside.values()])) if inside else None,
        "inside_worst": min(inside.values(), default=None),
        "worse": metrics.worse_of(pooled, inside),
        "worse_error": _worse_error(rows, pooled, inside),
        "cross": _cross(metrics.cross_aucs(labels, logits, sources)),
        "tpr_at_1_fpr": metrics.tpr_at_fpr(labels, logits, 0.01),
        "offset": metrics.offset(labels, logits, sources),
        "f1": metrics.f1(labels, logits > 0),
        "accuracy": float(np.mean((logits > 0) == (labels == 1))),
        "prevalence": prevalence,
        "f1_at_prevalence": metrics.f1(labels, assumed),
        "balanced_accuracy": metrics.balanced_accuracy(labels, assumed),
        "own_prevalence": own,
        "f1_oracle": metrics.f1(labels, oracle),
        "f1_all_ones": metrics.all_ones_f1(own),
        "sources": metrics.source_aucs(labels, logits, sources),
    }


def _worse_error(rows: pd.DataFrame, pooled: float, inside: dict[str, float]) -> float:
    """Standard error of `metrics.worse_of`: of the pooled AUC, or of the mean over repos."""
    if np.isnan(pooled):
        return pooled
    if metrics.worse_of(pooled, inside) == pooled:
        return _auc_error(rows["label"], pooled)
    errors = [_auc_error(rows.loc[rows["repo"] == repo, "label"], score) for repo, score in inside.items()]
    return float(np.sqrt(np.sum(np.square(errors))) / len(errors))


def _auc_error(labels: pd.Series[int], score: float) -> float:
    return metrics.auc_error(score, float((labels == 1).sum()), float((labels == 0).sum()))


def _cross(pairs: dict[tuple[str, str], float]) -> dict[str, Any]:
    if not pairs:
        return {}
    photos, generator = min(pairs, key=lambda pair: pairs[pair])
    return {
        "mean": float(np.mean([*pairs.values()])),
        "worst": pairs[photos, generator],
        "photos": photos,
        "generator": generator,
    }


def as_text(scores: dict[str, Any]) -> str:
    """Lay the scores out for reading."""
    lines = [
        f"{scores['rows']} pictures, {scores['own_prevalence']:.1%} generated",
        f"AUC                                {scores['auc']:.3f}",
        f"the worse of it and inside repos   {scores['worse']:.3f} +- {scores['worse_error']:.3f}",
        f"true positives at 1 % false ones   {scores['tpr_at_1_fpr']:.3f}",
        f"F1 at logit 0                      {scores['f1']:.3f}",
        f"accuracy at logit 0                {scores['accuracy']:.3f}",
        f"F1 at prevalence {scores['prevalence']:.2f}              {scores['f1_at_prevalence']:.3f}",
        f"balanced accuracy there            {scores['balanced_accuracy']:.3f}",
        f"F1 at the set's own share (oracle) {scores['f1_oracle']:.3f}",
        f"F1 of answering 1 everywhere       {scores['f1_all_ones']:.3f}",
    ]
    sources = {name: score for name, score in scores["sources"].items() if name != "worst"}
    if sources:
        lines += ["AUC of each source against all of the other class:", *_listed(sources)]
    if scores["inside"]:
        lines += [f"AUC inside each repo, mean {scores['inside_mean']:.3f}:", *_listed(scores["inside"])]
    cross = scores["cross"]
    if cross:
        lines += [
            f"AUC of one photo source against one generator: mean {cross['mean']:.3f}, worst "
            f"{cross['worst']:.3f} ({cross['photos']} against {cross['generator']})",
            f"sources of a class lie {scores['offset']:.2f} of a source's spread apart",
        ]
    return "\n".join(lines)


def _listed(scores: dict[str, float]) -> list[str]:
    width, worst = max(map(len, scores)), min(scores, key=lambda name: scores[name])
    return [
        f"  {name:{width}}  {score:.3f}{'  worst' if name == worst else ''}" for name, score in scores.items()
    ]
