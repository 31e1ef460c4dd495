"""Several predictions into one, in logit space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, files, fusion, ledger, metrics, submission
from humanmade.data import manifest
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.evaluation.held_out import corruptions
from humanmade.progress import warn_once
from humanmade.run import CORRUPTED, OOF, TEST, Run


@dataclass(frozen=True)
class Member:
    """One prediction to blend, in units of its own spread."""

    name: str
    """As the user wrote it."""
    origin: str
    """As the ledger writes it: a run's own name."""
    test: pd.Series[float]
    """Logits by test id."""
    oof: pd.DataFrame | None
    """`id, label, fold, logit`; None for a bare CSV."""
    folds: pd.DataFrame | None
    corrupted: pd.DataFrame | None = None
    """`id, label, fold, clean` and a column a corruption, of a sample of the held-out rows."""


def read_member(name: str) -> Member:
    """Open a run, or a CSV with `id,logit`, dividing logits by their scale.

    A run's scale is the spread of its out-of-fold logits; a CSV's is its own spread.
    """
    if not name.endswith(".csv"):
        run = Run.find(name)
        test, oof = files.read_numbers(run.folder / TEST, ("id", "logit")), None
        if (run.folder / OOF).is_file():
            oof = files.read_numbers(run.folder / OOF, ("id", "label", "fold", "logit"))
        scale, corrupted = run.scale or _spread(test), None
        if oof is not None:
            scored = [key for key in run.finished() if isinstance(key, int)]
            if scored and all((run.fold(key) / CORRUPTED).is_file() for key in scored):
                corrupted = run.corrupted(scored, oof.set_index("id")["label"]).dropna()
                corrupted[[fusion.CLEAN, *corruptions(corrupted)]] /= scale
            oof = oof.assign(logit=oof["logit"] / scale)
        return Member(name, run.name, test.set_index("id")["logit"] / scale, oof, run.assigned, corrupted)
    table = files.read_numbers(Path(name), ("id", "logit"))[["id", "logit"]]
    return Member(name, name, table.set_index("id")["logit"] / _spread(table), None, None)


def _spread(table: pd.DataFrame) -> float:
    """Standard deviation of logits, divided first so that huge ones do not overflow; 1 where it is 0."""
    largest = float(table["logit"].abs().max()) if len(table) else 0.0
    return largest * float((table["logit"] / largest).std(ddof=0)) or 1.0 if largest else 1.0


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
    views = _views(members)
    return fusion.weigh(method, views), fusion.nested_score(method, views)


def _fused(members: Sequence[Member], method: str, logits: Logits) -> Logits:
    if method == "rank":
        return fusion.rank(logits)
    learned = method in fusion.LEARNED
    weights = fusion.weigh(method, _views(members)) if learned else np.ones(len(members))
    return fusion.combine(logits, weights)


def _views(members: Sequence[Member]) -> dict[str, fusion.View]:
    """The members' held-out logits: clean, and corrupted."""
    tables = _same_rows(members)
    first = tables[0]
    labels, folds = first["label"].to_numpy(dtype=np.int64), first["fold"].to_numpy(dtype=np.int64)
    stacked = np.column_stack([table["logit"] for table in tables])
    views = {fusion.CLEAN: fusion.View(labels, folds, stacked)}
    samples = [
        member.corrupted.set_index(["fold", "id"], drop=False)
        for member in members
        if member.corrupted is not None
    ]
    if len(samples) < len(members) or any(not table.index.equals(samples[0].index) for table in samples):
        warn_once(
            "not all runs were scored on the same corrupted pictures: weights are learned from clean ones"
        )
        return views
    labels, folds = (samples[0][name].to_numpy(dtype=np.int64) for name in ("label", "fold"))
    for name in _shared_corruptions(samples):
        views[name] = fusion.View(labels, folds, np.column_stack([table[name] for table in samples]))
    return views


def _shared_corruptions(samples: Sequence[pd.DataFrame]) -> list[str]:
    """The corruptions that all members were scored under; runs may be of older kits with fewer."""
    union = list(dict.fromkeys(name for table in samples for name in corruptions(table)))
    shared = [name for name in union if all(name in table for table in samples)]
    if len(shared) < len(union):
        lacking = ", ".join(name for name in union if name not in shared)
        warn_once(f"not all runs were scored under {lacking}: weights are learned from the other corruptions")
    return shared


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
    """The blended out-of-fold logits, and those of each fold under weights learned on the others."""
    tables = _same_rows(members)
    stacked = np.column_stack([table["logit"] for table in tables])
    labels, folds = (tables[0][name].to_numpy(dtype=np.int64) for name in ("label", "fold"))
    logits = _fused(members, method, stacked)
    blended = fusion.View(labels, folds, logits)
    if method in fusion.LEARNED and len(np.unique(folds)) > 1:
        # An honest estimate takes each fold's weights from the other folds.
        views = _views(members)
        logits = np.empty(len(labels))
        for fold in np.unique(folds):
            inside = folds == fold
            logits[inside] = fusion.combine(stacked[inside], fusion.weigh_without(fold, method, views))
    return blended, logits


def _same_rows(members: Sequence[Member]) -> list[pd.DataFrame]:
    """The members' out-of-fold tables by id, all of the same rows."""
    tables = []
    for member in members:
        if member.oof is None:
            raise UserError(f"{member.name}: is a bare CSV; this needs runs with their oof.csv")
        tables.append(member.oof.set_index("id"))
    for member, table in zip(members, tables, strict=True):
        if not table.index.equals(tables[0].index):
            raise UserError(f"{member.name}: other folds are finished than in {members[0].name}")
    return tables


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
) -> list[str]:
    """Write a checked submission with the note of its origin.

    Returns:
        What it is made of and holds, in lines.
    """
    ids, names = [*logits.index], [member.origin for member in members]
    submission.write(out, ids, labels)
    ledger.note_origin(out, names, method, how, fold_score(members, method))
    lines = [f"{out}: {submission.summary(dict(zip(ids, np.asarray(labels), strict=True)))} ({how})"]
    if method in fusion.LEARNED:
        weights, nested = learn(members, method)
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        lines.insert(0, f"weights: {shares}; nested selection score {nested:.3f}")
    return lines
