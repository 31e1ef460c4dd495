"""Detectors that are dumb on purpose: how well they do says which shortcut the data leaves open.

Each sees a few numbers of a picture that know nothing of how it was made (`humanmade.images.canaries`) and
learns a logistic regression from them. Where one of them does well, a detector that does well may have
learned no more, and fails where that shortcut is closed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade.data.canaries import Check, numbers
from humanmade.data.folds import Folds, stratified_groups
from humanmade.evaluation import grid
from humanmade.evaluation.audit_facts import TELLING
from humanmade.evaluation.distance import FEWEST
from humanmade.machine import one_blas_thread
from humanmade.progress import warn_once

SAMPLE = 2000
"""Pictures that canaries see at most: half of each class."""

SHRINKAGE = 0.1
"""C of the logistic regressions, whose features are standardised."""

SHORTCUTS = {
    "colour": ("the colour histogram", "colour"),
    "thumbnail": ("the 8x8 thumbnail", "content"),
    "sharpness": ("sharpness", "blur"),
    "blurred": ("what a strong blur leaves", "composition"),
    "bytes": ("the bytes per pixel", "compression"),
    "drawing": ("the look of a drawing", "the kind of picture"),
}
"""Of each canary: what it sees, and what is open where that is enough."""

Rows = npt.NDArray[np.int64]

Part = tuple[Rows, Rows]
"""Numbers of rows to learn from, and of those that are held out."""


def of_folds(folds: Folds, check: Check | None = None) -> dict[str, float]:
    """`measure` on a run's own folds, of the data's own rows: extra rows are left out."""
    rows = grid.sample(folds.rows[: len(folds.table)], SAMPLE, "canaries")
    held_out = folds.held_out[:, rows.index]
    parts = [
        (np.flatnonzero(rows.index.isin(folds.training(fold).index)), np.flatnonzero(held_out[fold]))
        for fold in range(len(folds))
    ]
    return measure(rows, parts, check)


def of_groups(rows: pd.DataFrame, groups: npt.NDArray[np.int64]) -> dict[str, float]:
    """`measure` where there is no run: in three folds of its own, which keep groups (rows,) whole."""
    rows = grid.sample(rows.assign(group=groups), SAMPLE, "canaries")
    labels, groups = rows["label"].to_numpy(), rows["group"].to_numpy()
    if min(len(np.unique(groups[labels == label])) for label in (0, 1)) < 3:
        return {}
    return measure(rows, stratified_groups(labels, groups, 3, 0))


@one_blas_thread()
def measure(rows: pd.DataFrame, parts: Sequence[Part], check: Check | None = None) -> dict[str, float]:
    """AUC of each canary on rows it was not fitted on: the mean of the AUCs inside the folds.

    Never pooled over folds, whichever split: scores of different fits do not compare. Folds without both
    classes on both sides are passed over.

    Args:
        rows: labelled, with `path` and `digest`; few enough to be read.
        parts: the folds, as numbers of rows.

    Returns:
        By name; empty with fewer than `FEWEST` pictures of a class, where it would be noise.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = rows["label"].to_numpy()
    whole = [part for part in parts if all(len(np.unique(labels[side])) == 2 for side in part)]
    if np.bincount(labels, minlength=2).min() < FEWEST or not whole:
        warn_once(f"no canaries: they take {FEWEST} pictures of each class, and folds that hold both")
        return {}
    regression = LogisticRegression(C=SHRINKAGE, class_weight="balanced", max_iter=1000)
    aucs = {}
    for name, features in numbers(rows, check).items():
        if check:
            check()
        model = make_pipeline(StandardScaler(), regression)
        aucs[name] = float(np.mean(cross_val_score(model, features, labels, cv=whole, scoring="roc_auc")))
    return aucs


def lines(scores: dict[str, float]) -> list[str]:
    """One line of all canaries, telling ones marked; none where nothing was measured."""
    marked = ", ".join(f"{name} {score:.2f}{' !' * (score > TELLING)}" for name, score in scores.items())
    return [f"canaries (dumb on purpose): {marked}"] if scores else []


def alarms(scores: dict[str, float]) -> list[str]:
    """A sentence for each canary above `TELLING`: which shortcut is open."""
    return [
        f"{SHORTCUTS[name][0]} alone tells the classes apart with AUC {score:.2f}: "
        f"{SHORTCUTS[name][1]} is a shortcut here"
        for name, score in scores.items()
        if score > TELLING
    ]
