"""Logits of rows by a finished run: the mean over views, seeds and folds, in that order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import detectors
from humanmade.detectors.base import Detector, Logits
from humanmade.errors import UserError
from humanmade.images import views
from humanmade.run import Run
from humanmade.training.team import team


def run_logits(current: Run, rows: pd.DataFrame) -> Logits:
    """Logits (rows,) by all finished folds of a run; broken pictures get the median.

    Under torchrun each rank computes its share of the rows, and all of them get everything.

    Raises:
        UserError: no fold is finished.
    """
    done = current.finished()
    if not done:
        raise UserError(f"{current.folder}: no fold is finished; run cv again to continue it")
    recipe = current.recipe
    detector = detectors.create(recipe)
    ranks, view_names = team(), views.expand(recipe.views)
    good = ranks.share(rows[~rows["broken"]])
    folds = []
    for key in done:
        places = [place for _, place in current.trainings(key)]
        folds.append(mean_logits(detector, places, good, view_names))
    logits = ranks.gather(dict(zip(good["id"], np.mean(folds, axis=0).tolist(), strict=True)))
    return fill_broken(np.array([logits.get(name, np.nan) for name in rows["id"]]), rows)


def mean_logits(
    detector: Detector, places: Sequence[Path], rows: pd.DataFrame, view_names: Sequence[str]
) -> Logits:
    """Mean logit (rows,) over the views and over the trainings (seeds) of one fold."""
    per_seed = [detector.logits(place, rows, view_names).mean(axis=1) for place in places]
    return np.asarray(np.mean(per_seed, axis=0))


def member_logits(
    detector: Detector, places: Sequence[Path], rows: pd.DataFrame, view_names: Sequence[str]
) -> dict[str, Logits]:
    """What `mean_logits` gives under the name "", and beside it each member's own if there are members."""
    parts = [detector.member_logits(place, rows, view_names) for place in places]
    return {name: np.mean([part[name].mean(axis=1) for part in parts], axis=0) for name in parts[0]}


def fill_broken(logits: Logits, rows: pd.DataFrame) -> Logits:
    """Give unreadable pictures the median of the readable ones' logits."""
    broken = rows["broken"].to_numpy(dtype=bool)
    return np.where(broken, np.median(logits[~broken]), logits)
