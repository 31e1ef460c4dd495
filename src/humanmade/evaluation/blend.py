"""Several predictions into one, in logit space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, fusion, ledger, metrics, submission
from humanmade.data import manifest
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.evaluation import blend_scores
from humanmade.evaluation.member import (
    Member,
    corrupted_samples,
    same_rows,
    shared_corruptions,
    view,
    views,
)
from humanmade.scores import Scores


def blend(members: Sequence[Member], method: str) -> pd.Series[float]:
    """Blend test logits by one of `choices.FUSIONS`, matched by id, in the order of the first member.

    Raises:
        UserError: the members' ids or folds differ, or weights cannot be learned.
    """
    first = members[0]
    twice = [member.name for i, member in enumerate(members) if member.name in {m.name for m in members[:i]}]
    if twice:
        raise UserError(f"{twice[0]}: given twice, so it would count double")
    if first.test.empty:
        raise UserError(f"{first.name}: has no rows")
    for member in members[1:]:
        _check_same_ids(first, member)
        if first.folds is not None and member.folds is not None and not first.folds.equals(member.folds):
            raise UserError(
                f"{member.name}: its folds.csv differs from that of {first.name}; "
                "blend runs of the same data, folds, fold_seed and split"
            )
    stacked = np.column_stack([member.test.reindex(first.test.index) for member in members])
    return pd.Series(_fused(members, method, stacked), index=first.test.index)


def learn(members: Sequence[Member], method: str) -> tuple[Logits, float]:
    """Weights (members,), and the selection score of weights learned on other folds than it is taken on.

    Raises:
        UserError: a member has no out-of-fold logits, or members' rows differ.
    """
    seen = views(members)
    return fusion.weigh(method, seen), fusion.nested_score(method, seen)


def _fused(members: Sequence[Member], method: str, logits: Logits) -> Logits:
    if method == "rank":
        return fusion.rank(logits)
    learned = method in fusion.LEARNED
    weights = fusion.weigh(method, views(members)) if learned else np.ones(len(members))
    return fusion.combine(logits, weights)


def in_order(logits: pd.Series[float], table: pd.DataFrame) -> pd.Series[float]:
    """Bring logits into the order of the test rows, under the ids that a submission writes.

    Args:
        table: of `humanmade.data.manifest`.

    Raises:
        UserError: there are no test rows, or one has no logit.
    """
    ids = table.loc[table["split"] == "test", "id"]
    missing = ids[~ids.isin(logits.index)]
    if len(missing):
        raise UserError(f"blend: {len(missing)} test ids have no logit, '{missing.iloc[0]}' first")
    return logits.reindex(ids).set_axis(manifest.submission_ids(table))


def oof_threshold(members: Sequence[Member], method: str) -> tuple[float, float]:
    """The threshold that is best on the blended out-of-fold logits, and its nested F1 estimate.

    Raises:
        UserError: a member has no out-of-fold logits, or members' rows differ.
    """
    view, nested = _held_out(members, method)
    threshold = metrics.best_threshold(view.labels, view.logits)
    return threshold, metrics.nested_f1(view.labels, nested, view.folds)


def _held_out(members: Sequence[Member], method: str) -> tuple[fusion.View, Logits]:
    """The members' out-of-fold logits, fused, and those of each fold under weights of the other folds."""
    own = view(same_rows(members), "logit")
    blended = fusion.View(own.labels, own.folds, _fused(members, method, own.logits))
    if method in fusion.LEARNED and len(np.unique(own.folds)) > 1:
        return blended, _nested(own, method, views(members))
    return blended, blended.logits


def _nested(own: fusion.View, method: str, seen: fusion.Views) -> Logits:
    """Fused logits, each fold's under weights that are learned on the others: an honest estimate."""
    if method == "rank":
        return fusion.rank(own.logits)
    folds = np.unique(own.folds)
    if method not in fusion.LEARNED or len(folds) == 1:
        return fusion.combine(own.logits, fusion.weigh(method, seen))
    logits = np.empty(len(own.labels))
    for fold in folds:
        inside = own.folds == fold
        logits[inside] = fusion.combine(own.logits[inside], fusion.weigh_without(fold, method, seen))
    return logits


def held_out(members: Sequence[Member], method: str) -> pd.DataFrame:
    """`id, label, fold, logit, group` of a blend, each fold under weights of the other folds.

    Raises:
        UserError: a member has no out-of-fold logits, or members' rows differ.
    """
    first, assigned = same_rows(members)[0], members[0].folds
    assert assigned is not None, "a run has folds"
    logits = _held_out(members, method)[1]
    rows = first[["label", "fold"]].assign(logit=logits).reset_index()
    return rows.merge(assigned[["id", "group"]], on="id", validate="1:1")


def scores(members: Sequence[Member], method: str, test_size: int) -> Scores | None:
    """What `scores.json` would say of a blend of several runs; None where they cannot be scored together."""
    runs = [member.run for member in members if member.run]
    if len(runs) < max(2, len(members)) or len({run.scores.data for run in runs}) > 1:
        return None
    try:
        rows, seen = held_out(members, method), views(members)
    except UserError:
        return None
    samples, corrupted = corrupted_samples(members), pd.DataFrame()
    if samples:
        names = [fusion.CLEAN, *shared_corruptions(samples)]
        fused = {name: _nested(view(samples, name), method, seen) for name in names}
        corrupted = samples[0][["id", "label", "fold"]].reset_index(drop=True).assign(**fused)
    return blend_scores.of_rows(runs, method, rows, corrupted, test_size)


def fold_score(members: Sequence[Member], method: str) -> float | None:
    """Nested out-of-fold score of a blend, by the competition's metric.

    None where not all members have the same out-of-fold rows.
    """
    try:
        view, nested = _held_out(members, method)
    except UserError:
        return None
    if competition.CURRENT.metric == "auc":
        inside = [view.folds == fold for fold in np.unique(view.folds)]
        return float(np.mean([metrics.auc(view.labels[part], nested[part]) for part in inside]))
    return metrics.nested_f1(view.labels, nested, view.folds)


def _check_same_ids(first: Member, other: Member) -> None:
    missing = first.test.index.difference(other.test.index)
    surplus = other.test.index.difference(first.test.index)
    if len(missing) or len(surplus):
        example = f"lacks '{missing[0]}'" if len(missing) else f"has '{surplus[0]}' besides"
        raise UserError(
            f"{other.name}: predicts other ids than {first.name} ({example}; "
            f"{len(missing)} missing, {len(surplus)} surplus)"
        )


@dataclass(frozen=True)
class Cut:
    """How labels are cut from logits: by rank at a prevalence (else the competition's), or at a logit."""

    prevalence: float | None = None
    threshold: float | str | None = None
    """A logit, or `oof` for the one where out-of-fold F1 is best."""

    def __post_init__(self) -> None:
        if self.threshold is not None and self.prevalence is not None:
            raise UserError("--threshold: cuts at a logit and --prevalence by rank; leave one of them out")


def labelled(
    members: Sequence[Member], method: str, logits: pd.Series[float], cut: Cut
) -> tuple[npt.NDArray[np.int64], str]:
    """Labels (rows,) of blended logits, and in words how they were cut.

    Raises:
        UserError: there is no out-of-fold threshold.
    """
    threshold, nested = cut.threshold, ""
    if isinstance(threshold, str):
        threshold, score = oof_threshold(members, method)
        nested = f", nested out-of-fold F1 {score:.3f}"
    labels, how = submission.answer(
        [*logits.index], logits, cut.prevalence or competition.CURRENT.prevalence, threshold
    )
    return labels, how + nested


def submit(
    members: Sequence[Member],
    method: str,
    logits: pd.Series[float],
    labels: npt.ArrayLike,
    how: str,
    out: Path,
    scored: Scores | None = None,
) -> list[str]:
    """Write a checked submission with the note of its origin.

    Args:
        scored: the blend's `scores`, kept in the note.

    Returns:
        What it is made of and holds, in lines.
    """
    ids, names = [*logits.index], [member.origin for member in members]
    submission.write(out, ids, labels)
    ledger.note_origin(out, names, method, how, fold_score(members, method), scored)
    lines = [f"{out}: {submission.summary(dict(zip(ids, np.asarray(labels), strict=True)))} ({how})"]
    if method in fusion.LEARNED:
        weights, nested = learn(members, method)
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        lines.insert(0, f"weights: {shares}; score on the folds left out {nested:.3f}")
    return lines
