"""Several predictions into one, in logit space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.run import Run


@dataclass(frozen=True)
class Member:
    """One prediction to blend, in units of its own spread."""

    name: str
    test: pd.Series[float]
    """Logits by test id."""
    oof: pd.DataFrame | None
    """`id, label, fold, logit`; None for a bare CSV."""
    folds: pd.DataFrame | None


def mean(logits: Logits) -> Logits:
    """Mean over members of (rows, members)."""
    return np.asarray(logits.mean(axis=1))


def rank(logits: Logits) -> Logits:
    """Mean rank over members, scaled to -1 to 1: the middle of the set is 0."""
    from scipy.stats import rankdata

    ranks = (rankdata(logits, axis=0) - 0.5) / len(logits)
    return np.asarray(2 * ranks.mean(axis=1) - 1)


METHODS: dict[str, Callable[[Logits], Logits]] = {"mean": mean, "rank": rank}
"""Every fusion rule, by its name."""


def read_member(name: str) -> Member:
    """Open a run, or a CSV with `id,logit`, dividing logits by their scale.

    A run's scale is the spread of its out-of-fold logits; a CSV's is its own spread.
    """
    if not name.endswith(".csv"):
        run = Run.find(name)
        test, oof = files.read_numbers(run.folder / "test.csv", ("id", "logit")), None
        if (run.folder / "oof.csv").is_file():
            oof = files.read_numbers(run.folder / "oof.csv", ("id", "label", "fold", "logit"))
        scale = run.scale or _spread(test)
        if oof is not None:
            oof = oof.assign(logit=oof["logit"] / scale)
        return Member(name, test.set_index("id")["logit"] / scale, oof, run.assigned)
    table = files.read_numbers(Path(name), ("id", "logit"))[["id", "logit"]]
    return Member(name, table.set_index("id")["logit"] / _spread(table), None, None)


def _spread(table: pd.DataFrame) -> float:
    """Standard deviation of logits, divided first so that huge ones do not overflow; 1 where it is 0."""
    largest = float(table["logit"].abs().max()) if len(table) else 0.0
    return largest * float((table["logit"] / largest).std(ddof=0)) or 1.0 if largest else 1.0


def blend(members: Sequence[Member], method: str) -> pd.Series[float]:
    """Blend test logits, matched by id, in the order of the first member.

    Raises:
        UserError: the members' ids or folds differ, or there is no such rule.
    """
    if method not in METHODS:
        raise UserError(f"--method {method}: known rules are {', '.join(METHODS)}")
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
    return pd.Series(METHODS[method](stacked), index=first.test.index)


def in_order(logits: pd.Series[float], ids: Sequence[str]) -> pd.Series[float]:
    """Bring logits into the order of test.csv.

    Raises:
        UserError: a test id has no logit.
    """
    missing = [name for name in ids if name not in logits.index]
    if missing:
        raise UserError(f"blend: {len(missing)} test ids have no logit, '{missing[0]}' first")
    return logits.reindex(list(ids))


def oof_threshold(members: Sequence[Member], method: str) -> tuple[float, float]:
    """The threshold that is best on the blended out-of-fold logits, and its nested F1 estimate.

    Raises:
        UserError: a member has no out-of-fold logits, or members' rows differ.
    """
    tables = []
    for member in members:
        if member.oof is None:
            raise UserError(f"{member.name}: --threshold oof needs runs with oof.csv, not bare CSVs")
        tables.append(member.oof.set_index("id"))
    for member, table in zip(members, tables, strict=True):
        if not table.index.equals(tables[0].index):
            raise UserError(f"{member.name}: other folds are finished than in {members[0].name}")
    logits = METHODS[method](np.column_stack([table["logit"] for table in tables]))
    labels, folds = tables[0]["label"], tables[0]["fold"]
    return metrics.best_threshold(labels, logits), metrics.nested_f1(labels, logits, folds)


def fold_score(members: Sequence[Member], method: str) -> float | None:
    """Nested out-of-fold F1 of a blend; None where not all members have the same out-of-fold rows."""
    try:
        return oof_threshold(members, method)[1]
    except UserError:
        return None


def _check_same_ids(first: Member, other: Member) -> None:
    missing = first.test.index.difference(other.test.index)
    surplus = other.test.index.difference(first.test.index)
    if len(missing) or len(surplus):
        example = f"lacks '{missing[0]}'" if len(missing) else f"has '{surplus[0]}' besides"
        raise UserError(
            f"{other.name}: predicts other ids than {first.name} ({example}; "
            f"{len(missing)} missing, {len(surplus)} surplus)"
        )
