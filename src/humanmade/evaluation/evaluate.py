"""Scores of logits on a labelled set, as one would want them before a leaderboard does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.errors import UserError
from humanmade.evaluation import columns
from humanmade.progress import warn
from humanmade.run import PICTURES, Run
from humanmade.scores import WORST


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


def refuse_mixture(table: pd.DataFrame) -> None:
    """Refuse folders joined of which some rows are for training, some for testing: which count is not clear.

    Raises:
        UserError: they are.
    """
    if table["split"].nunique() > 1:
        counts = table["split"].value_counts()
        raise UserError(
            f"evaluate: these folders hold {counts['train']} train and {counts['test']} test rows; give one "
            "folder at a time, or choose the rows of all with --split train or --split test"
        )


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
    trained = files.read_csv(run.folder / PICTURES, ("id", "digest"))["digest"]
    shared = int(rows["digest"].isin(trained).sum())
    if shared:
        warn(
            f"{run.name} was trained on {shared} of these {len(rows)} pictures, so the scores are too good; "
            "oof.csv has honest ones"
        )


@dataclass(frozen=True)
class Cross:
    """AUC of one photo source against one generator, over all pairs of them."""

    mean: float
    worst: float
    photos: str
    """The photo source of the worst pair."""
    generator: str


@dataclass(frozen=True)
class SetScores:
    """All scores of a labelled set; what it has no names for is empty or None."""

    rows: int
    auc: float
    inside: dict[str, float]
    """AUC inside each repo that holds both classes."""
    inside_mean: float | None
    inside_worst: float | None
    worse: float
    """The set's number in the protocol: the smaller of `auc` and `inside_mean`."""
    worse_error: float
    """Its sampling error."""
    cross: Cross | None
    tpr_at_1_fpr: float
    offset: float
    f1: float
    """At logit 0."""
    accuracy: float
    prevalence: float
    """Assumed share of label 1, at which labels are cut by rank."""
    f1_at_prevalence: float
    balanced_accuracy: float
    own_prevalence: float
    f1_oracle: float
    f1_all_ones: float
    worst_generator: float | None
    sources: dict[str, float]
    """AUC of each source against all of the other class, and the `worst`."""

    @property
    def named_sources(self) -> dict[str, float]:
        """AUC of each source."""
        return {name: auc for name, auc in self.sources.items() if name != WORST}


def evaluate(rows: pd.DataFrame, logits: np.ndarray, prevalence: float = 0.5) -> SetScores:
    """Score a labelled set, rows of `id, label, source, repo`, by its logits (rows,)."""
    labels, ids = rows["label"].to_numpy(), rows["id"].tolist()
    own = float(labels.mean())
    assumed = metrics.labels_at_prevalence(ids, logits, prevalence)
    oracle = metrics.labels_at_prevalence(ids, logits, own)
    names = rows["source"].tolist()
    pooled, inside = metrics.auc(labels, logits), metrics.inside_aucs(labels, logits, rows["repo"].tolist())
    sources = metrics.source_aucs(labels, logits, names)
    # A source of both labels is scored per label.
    generators = set(rows.loc[rows["label"] == 1, "source"])
    generated = [auc for name, auc in sources.items() if name.removesuffix(" (1)") in generators]
    worse, worse_error = _worse(rows, pooled, inside)
    return SetScores(
        rows=len(rows),
        auc=pooled,
        inside=inside,
        inside_mean=float(np.mean([*inside.values()])) if inside else None,
        inside_worst=min(inside.values(), default=None),
        worse=worse,
        worse_error=worse_error,
        cross=_cross(metrics.cross_aucs(labels, logits, names)),
        tpr_at_1_fpr=metrics.tpr_at_fpr(labels, logits, 0.01),
        offset=metrics.offset(labels, logits, names),
        f1=metrics.f1(labels, logits > 0),
        accuracy=float(np.mean((logits > 0) == (labels == 1))),
        prevalence=prevalence,
        f1_at_prevalence=metrics.f1(labels, assumed),
        balanced_accuracy=metrics.balanced_accuracy(labels, assumed),
        own_prevalence=own,
        f1_oracle=metrics.f1(labels, oracle),
        f1_all_ones=metrics.all_ones_f1(own),
        worst_generator=min(generated, default=None),
        sources=sources,
    )


def _worse(rows: pd.DataFrame, pooled: float, inside: dict[str, float]) -> tuple[float, float]:
    """The smaller of the pooled AUC and the mean AUC inside repos, with its sampling error.

    The pooled AUC can be had by telling collections apart, the mean inside them by what their fakes share.
    Where no repo holds both classes it is the pooled one.
    """
    if np.isnan(pooled):
        return pooled, pooled
    mean = float(np.mean([*inside.values()])) if inside else math.inf
    parts = [(rows["label"], pooled)]
    if mean < pooled:
        parts = [(rows.loc[rows["repo"] == repo, "label"], score) for repo, score in inside.items()]
    errors = [metrics.auc_error(auc, (labels == 1).sum(), (labels == 0).sum()) for labels, auc in parts]
    return min(pooled, mean), float(np.linalg.norm(errors) / len(errors))


def _cross(pairs: dict[tuple[str, str], float]) -> Cross | None:
    if not pairs:
        return None
    worst = min(pairs, key=lambda pair: pairs[pair])
    return Cross(float(np.mean([*pairs.values()])), pairs[worst], *worst)


def as_text(scores: SetScores) -> str:
    """Lay the scores out for reading."""
    lines = [f"{scores.rows} pictures, {scores.own_prevalence:.1%} generated", *columns.lines(scores)]
    if scores.sources:
        lines += ["AUC of each source against all of the other class:", *_listed(scores.named_sources)]
    if scores.inside:
        lines += ["AUC inside each repo:", *_listed(scores.inside)]
    return "\n".join(lines)


def _listed(scores: dict[str, float]) -> list[str]:
    width, worst = max(map(len, scores)), min(scores, key=lambda name: scores[name])
    return [
        f"  {name:{width}}  {score:.3f}{'  worst' if name == worst else ''}" for name, score in scores.items()
    ]
