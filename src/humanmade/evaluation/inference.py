"""Logits of rows by a finished run: the mean over views, seeds and folds, in that order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import detectors
from humanmade.detectors.base import Detector, Logits
from humanmade.errors import UserError
from humanmade.files import read_csv
from humanmade.images import views
from humanmade.progress import warn
from humanmade.run import PICTURES, Run
from humanmade.training.distributed import process_group


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
    ranks, view_names = process_group(), views.expand(recipe.views)
    good = ranks.share(rows[~rows["broken"]])
    places = [[place for _, place in current.trainings(key)] for key in done]
    by_place = iter(detector.logits_by([*itertools.chain(*places)], good, view_names))
    folds = [np.mean([next(by_place).mean(axis=1) for _ in seeds], axis=0) for seeds in places]
    logits = ranks.gather(dict(zip(good["id"], np.mean(folds, axis=0).tolist(), strict=True)))
    return fill_broken(np.array([logits.get(name, np.nan) for name in rows["id"]]), rows)


def honest_logits(current: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows what `known` gives, with `run_logits` where no fold held a picture out."""
    rows = known(current, rows)
    new = rows["logit"].isna().to_numpy()
    if new.any():
        rows.loc[new, "logit"] = run_logits(current, rows[new])
    trained = int((rows["seen"] == "trained on").sum())
    if trained:
        warn(
            f"{current.name} was trained on {trained} of these pictures in every fold, so their logits are "
            "too good"
        )
    return rows


def known(current: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows what the run knows of their pictures, by their content: `logit`, `fold` and `seen`.

    `seen` is "out of fold" where a fold held the picture out: the logit is that fold's. It is "trained on"
    where all models were trained on it, and "" where none was; the logit is NaN then, and the fold, which
    is the model to ask for a map, the first that is finished.
    """
    pictures = read_csv(current.folder / PICTURES, ("id", "digest"))
    seen = pd.Series("trained on", index=pictures["digest"].drop_duplicates())
    logits, folds = pd.Series(dtype=float), pd.Series(dtype=int)
    if (oof := current.oof) is not None:
        oof = oof.merge(pictures, on="id").drop_duplicates("digest").set_index("digest")
        seen[oof.index] = "out of fold"
        logits, folds = oof["logit"], oof["fold"].astype(int)
    first = current.finished()[:1]
    return rows.assign(
        logit=rows["digest"].map(logits).astype(float),
        fold=[folds.get(digest, *first) for digest in rows["digest"]],
        seen=rows["digest"].map(seen).fillna(""),
    )


def member_logits(
    detector: Detector, places: Sequence[Path], rows: pd.DataFrame, view_names: Sequence[str]
) -> dict[str, Logits]:
    """Mean logit (rows,) over the views and over the trainings (seeds) of one fold, under the name "", and
    beside it each member's own if there are members."""
    parts = [detector.member_logits(place, rows, view_names) for place in places]
    return {name: np.mean([part[name].mean(axis=1) for part in parts], axis=0) for name in parts[0]}


def fill_broken(logits: Logits, rows: pd.DataFrame) -> Logits:
    """Give unreadable pictures the median of the readable ones' logits."""
    broken = rows["broken"].to_numpy(dtype=bool)
    return np.where(broken, np.median(logits[~broken]), logits)
