"""What is ranked side by side: runs, and blends that left their scores beside their submission."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from humanmade import files, ledger
from humanmade.errors import UserError
from humanmade.evaluation.blend import Blend, read_member
from humanmade.progress import warn
from humanmade.run import RECIPE, RUNS, Run
from humanmade.scores import Scores


@dataclass(frozen=True)
class Entry:
    """A run, or a blend."""

    name: str
    key: str
    """By which the ledger knows its submissions (`humanmade.ledger.is_of`)."""
    scores: Scores
    pictures: int
    """In the test set."""
    held_out: Callable[[], pd.DataFrame | None]
    """`id, label, fold, logit, group` of the out-of-fold rows; None where there are none."""
    blend: Callable[[], Blend | None] = lambda: None
    """The blend, where it is one and its members are still what they were."""


def of(thing: Run | Entry) -> Entry:
    """The entry of a run; an entry is its own."""
    if isinstance(thing, Entry):
        return thing

    def held_out() -> pd.DataFrame | None:
        oof = thing.oof
        return None if oof is None else oof.merge(thing.assigned[["id", "group"]], on="id", validate="1:1")

    test = thing.test
    return Entry(thing.name, thing.name, thing.scores, 0 if test is None else len(test), held_out)


def of_blend(file: Path) -> Entry | None:
    """The entry of a blend's submission; None where it is of a single run, or could not be scored."""
    noted = ledger.origin(file)
    scores = ledger.blend_scores(noted) if noted else None
    if not noted or not scores:
        return None

    @cache
    def made() -> Blend | None:
        try:
            blend = Blend([read_member(str(RUNS / name)) for name in noted["runs"]], noted["blend"])
        except UserError:
            # A member is gone or was trained anew.
            return None
        # Notes of older kits do not say what the members held.
        same = noted.get("held_out", blend.fingerprints) == blend.fingerprints
        return blend if blend.scorable and same else None

    def held_out() -> pd.DataFrame | None:
        blend = made()
        return blend.held_out if blend else None

    pictures = len(files.read_csv(file)) if file.is_file() else 0
    return Entry(file.as_posix(), noted["sha256"], scores, pictures, held_out, made)


def runs(names: Sequence[str] = ()) -> list[Run]:
    """Runs by name; where none is named, all below `runs/`, but with a warning those without readable scores.

    Raises:
        UserError: one is not there, or there are none.
    """
    if names:
        return [Run.find(name) for name in names]
    found = []
    for path in sorted(RUNS.glob(f"*/{RECIPE}")):
        run = Run(path.parent)
        try:
            _ = run.scores
        except UserError as error:
            warn(f"left out: {error}")
        else:
            found.append(run)
    if not found:
        raise UserError(f"no runs in {RUNS}/ that have scores; make one with humanmade cv")
    return found


def find(names: Sequence[str]) -> list[Run | Entry]:
    """Runs by name and blends by their CSV; all below `runs/` and `submissions/` where none is named.

    Raises:
        UserError: one is not there, or there are none.
    """
    found: list[Run | Entry] = []
    for name in names:
        if not name.endswith(".csv"):
            found.append(Run.find(name))
        elif entry := of_blend(Path(name)):
            found.append(entry)
        else:
            raise UserError(
                f"{name}: not a blend of runs with out-of-fold logits, as humanmade blend makes it"
            )
    if names:
        return found
    notes = sorted(ledger.LEDGER.parent.glob("*.csv.json"))
    blends = [entry for note in notes if (entry := of_blend(note.with_suffix("")))]
    return [*runs(), *blends]
