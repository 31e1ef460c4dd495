"""What is blended: a run's predictions, or a CSV's, and what members have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, fusion
from humanmade.errors import UserError
from humanmade.evaluation.grid import corruptions
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
    run: Run | None = None
    """None for a bare CSV."""


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
        logits = test.set_index("id")["logit"] / scale
        return Member(name, run.name, logits, oof, run.assigned, corrupted, run)
    table = files.read_numbers(Path(name), ("id", "logit"), ours=False)[["id", "logit"]]
    return Member(name, name, table.set_index("id")["logit"] / _spread(table), None, None)


def _spread(table: pd.DataFrame) -> float:
    """Standard deviation of logits, divided first so that huge ones do not overflow; 1 where it is 0."""
    largest = float(table["logit"].abs().max()) if len(table) else 0.0
    return largest * float((table["logit"] / largest).std(ddof=0)) or 1.0 if largest else 1.0


def same_rows(members: Sequence[Member]) -> list[pd.DataFrame]:
    """The members' out-of-fold tables by id, all of the same rows.

    Raises:
        UserError: a member has no out-of-fold logits, or members' rows differ.
    """
    tables = []
    for member in members:
        if member.oof is None:
            raise UserError(f"{member.name}: is a bare CSV; this needs runs with their oof.csv")
        tables.append(member.oof.set_index("id"))
    for member, table in zip(members, tables, strict=True):
        if not table.index.equals(tables[0].index):
            raise UserError(f"{member.name}: other folds are finished than in {members[0].name}")
    return tables


def view(tables: Sequence[pd.DataFrame], name: str) -> fusion.View:
    """The column `name` of the members' tables of the same rows."""
    labels, folds = (tables[0][column].to_numpy(dtype=np.int64) for column in ("label", "fold"))
    return fusion.View(labels, folds, np.column_stack([table[name] for table in tables]))


def corrupted_samples(members: Sequence[Member]) -> list[pd.DataFrame]:
    """The members' corrupted logits by fold and id, all of the same rows; empty where they are not."""
    samples = [
        member.corrupted.set_index(["fold", "id"], drop=False)
        for member in members
        if member.corrupted is not None
    ]
    alike = len(samples) == len(members) and all(t.index.equals(samples[0].index) for t in samples)
    return samples if alike else []


def shared_corruptions(samples: Sequence[pd.DataFrame]) -> list[str]:
    """The corruptions that all members were scored under; runs may be of older kits with fewer."""
    union = list(dict.fromkeys(name for table in samples for name in corruptions(table)))
    shared = [name for name in union if all(name in table for table in samples)]
    if len(shared) < len(union):
        lacking = ", ".join(name for name in union if name not in shared)
        warn_once(f"not all runs were scored under {lacking}: weights are learned from the other corruptions")
    return shared
