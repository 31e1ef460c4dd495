"""Looks at labelled sets are counted: a set that was looked at often says too much of the best of them.

`looks.csv` has one row a look: which recipe scored what on which set. Choosing the best of many looks takes
the luck of the draw for skill; how much of it that is follows from the number of looks, from how far their
scores lie apart and from the sampling error of one.

An improvement counts only beyond a step, as in the Ladder of Blum and Hardt 2015 ("The Ladder: a reliable
leaderboard for machine learning competitions"): here one standard error of the difference. Logits of earlier
looks are not kept, so it is the error of two unpaired scores, which is too wide rather than too narrow.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from humanmade import files
from humanmade.errors import UserError
from humanmade.run import FOLDS, PICTURES, RECIPE, RUNS, Run
from humanmade.scores import parse

NAME = "looks.csv"
Share = Annotated[float, Field(ge=0, le=1)]
SAME = 1e-9
"""AUCs that differ by less are one: a look repeated."""


@dataclass(frozen=True)
class Look:
    """One row of `looks.csv`."""

    date: str
    verb: str
    set: str
    """The set's folder, for people; sets are told apart by `set_sha256`."""
    set_sha256: str
    recipe: str
    recipe_sha256: str
    rows: Annotated[int, Field(gt=0)]
    auc: Share
    worse: Share
    """What looks are compared by (`humanmade.evaluation.evaluate.SetScores`)."""
    error: Share
    """Sampling error of `worse`."""


@dataclass(frozen=True)
class Seen:
    """A look among all looks at its set."""

    looks: Sequence[Look]
    """Those at the set, in order."""
    number: int
    """Which of them this is, from 1."""
    before: bool
    """Whether the very same look stood there already."""


def place(folder: Path) -> Path:
    """Where looks by a run are counted: `runs/looks.csv` for all below `runs/`, else beside its folder."""
    return (RUNS if RUNS.resolve() in folder.resolve().parents else folder.parent) / NAME


def record(
    verb: str,
    folders: Sequence[Path],
    rows: pd.DataFrame,
    recipe: str,
    runs: Sequence[Run],
    scores: Mapping[str, Any],
) -> Seen | None:
    """Count a look at a labelled set, unless the very same one stands there already.

    Args:
        rows: `digest, label` of the set.
        recipe: its name, for people.
        runs: those whose mean scores these are.
        scores: `auc`, `worse` and `worse_error` of `humanmade.evaluation.evaluate`.

    Returns:
        The look among those at its set; None where the set holds one class only and so has no score.
    """
    if scores["worse"] is None or not math.isfinite(scores["worse"]):
        return None
    look = Look(
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        verb=verb,
        set=" + ".join("/".join(folder.resolve().parts[-2:]) for folder in folders),
        set_sha256=set_sha256(rows),
        recipe=recipe,
        recipe_sha256=recipe_sha256(runs),
        rows=len(rows),
        auc=float(scores["auc"]),
        worse=float(scores["worse"]),
        error=float(scores["worse_error"]),
    )
    path = place(runs[0].folder)
    files.make_folder(path.parent)
    with _alone(path.parent):
        known = read(path)
        there = [old for old in known if old.set_sha256 == look.set_sha256]
        for number, old in enumerate(there, 1):
            if old.recipe_sha256 == look.recipe_sha256 and abs(old.auc - look.auc) < SAME:
                return Seen(there, number, True)
        files.write_csv(path, pd.DataFrame([*known, look]))
    return Seen([*there, look], len(there) + 1, False)


def read(path: Path) -> list[Look]:
    """All looks in order, none if there is no file; a UserError if it is damaged."""
    if not path.is_file():
        return []
    table = files.read_csv(path, tuple(field.name for field in fields(Look)))
    return [
        parse(Look, row, f"{path}: line {line}", "repair the line")
        for line, row in enumerate(table.to_dict("records"), 2)
    ]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time read and write there, so that no look is lost; it leaves no file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def set_sha256(rows: pd.DataFrame) -> str:
    """Hash of a set's pictures and labels, in any order, whatever their names."""
    pairs = sorted(f"{digest},{label}" for digest, label in zip(rows["digest"], rows["label"], strict=True))
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()


def recipe_sha256(runs: Sequence[Run]) -> str:
    """Hash of what was scored: resolved recipes, their members' and the pictures and folds trained on.

    Unlike a run's own fingerprint it leaves the test rows out, so that a recipe is the same whichever sets
    a run predicted beside.
    """
    paths = [run.folder / name for run in runs for name in (RECIPE, PICTURES, FOLDS)]
    return hashlib.sha256(b"".join(bytes.fromhex(files.sha256(path)) for path in paths)).hexdigest()


@functools.cache
def expected_maximum(count: int) -> float:
    """Expected maximum of that many independent standard normals: the mean of its quantiles."""
    from scipy.integrate import quad
    from scipy.special import ndtri

    return float(quad(lambda share: ndtri(share ** (1 / count)), 0, 1)[0])


def optimism(scores: Sequence[float], errors: Sequence[float]) -> float:
    """How much better than it is the best of several looks is expected to look.

    expected_maximum(k) * S * e^2 / max(S^2, e^2), with S the standard deviation of the k scores and e the
    mean of their sampling errors: of k normal scores the best lies that far above the mean, and the share
    of noise in their variance is what a shrinkage to the mean takes back. Looks at one set share a part of
    e, by which none gains on another, so this is rather too much than too little. 0 for a single look.
    """
    if len(scores) < 2:
        return 0.0
    spread, error = float(np.std(scores, ddof=1)), float(np.mean(errors))
    noise = error**2 / max(spread**2, error**2) if error else 0.0
    return expected_maximum(len(scores)) * spread * noise


def sentence(seen: Seen) -> str:
    """What a look says beside those before it."""
    this = seen.looks[seen.number - 1]
    count, others = len(seen.looks), [look for look in seen.looks if look is not this]
    start = f"look {seen.number} at this set ({this.set})"
    if seen.before:
        start = f"seen before as look {seen.number} of {count} at this set ({this.set})"
    if not others:
        return f"{start}: {this.worse:.3f} +- {this.error:.3f}; choosing by further ones wears it out"
    best = max(others, key=lambda look: look.worse)
    gain, step = this.worse - best.worse, math.hypot(this.error, best.error)
    verdict = (
        "not better" if gain < 0 else "beyond noise better" if gain > step else "not beyond noise better"
    )
    known = "best of the others" if seen.before else "best so far"
    expected = optimism([look.worse for look in seen.looks], [look.error for look in seen.looks])
    return (
        f"{start}: {known} {best.worse:.3f} (look {seen.looks.index(best) + 1}); this one is {verdict} "
        f"({gain:.3f} +- {step:.3f}). The best of {count} is expected to be {expected:.3f} better than it is."
    )


def count(
    verb: str,
    folders: Sequence[Path],
    rows: pd.DataFrame,
    recipe: str,
    runs: Sequence[Run],
    scores: Mapping[str, Any],
) -> tuple[int | None, str]:
    """`record` a look and put it into words; scores that took minutes are not lost if that fails.

    Returns:
        How many looks at the set there are, None where this one was not counted; and a sentence.
    """
    try:
        seen = record(verb, folders, rows, recipe, runs, scores)
    except (UserError, OSError) as error:
        return None, f"not counted as a look: {error}"
    if seen is None:
        return None, "not counted as a look: the set holds one class only"
    return len(seen.looks), sentence(seen)
