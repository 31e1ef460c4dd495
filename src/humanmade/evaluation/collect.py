"""What the finished folds of a run left, joined: oof.csv, test.csv, submission.csv and scores.json."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from humanmade import files, machine, metrics, run, submission
from humanmade.data import manifest
from humanmade.data.folds import Folds
from humanmade.errors import UserError
from humanmade.evaluation import canaries, distance, grid
from humanmade.evaluation.forecast import forecast_of
from humanmade.evaluation.inference import fill_broken
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.progress import warn
from humanmade.run import ALL, Run
from humanmade.scores import WORST, Distance, FoldScores, Scores, parse
from humanmade.training.budget import Budget, OutOfTimeError

HeldOut = dict[int, "pd.Series[float]"]
"""Logits of the rows that each finished fold held out, by id."""


DISTANCE, CANARIES = "outlook.json", "canaries.json"
"""In the run folder: how far the test set is, and what canaries scored on the run's folds."""


def measure_once(current: Run, folds: Folds, table: pd.DataFrame, budget: Budget) -> None:
    """Keep in the run folder what is measured once of a whole run, as far as there are time and weights."""
    test = table[(table["split"] == "test") & ~table["broken"]]

    def far() -> dict[str, Any] | None:
        found = distance.measure(folds.rows, test, budget)
        return {"test": asdict(found)} if found else None

    def dumb() -> dict[str, Any]:
        budget.check()
        return canaries.of_folds(folds, budget.check)

    scored = any(isinstance(key, int) for key in current.finished())
    for name, what, measure in (
        (DISTANCE, "the test set's distance", far if scored else lambda: None),
        (CANARIES, "canaries", dumb),
    ):
        try:
            if not (current.folder / name).is_file() and (found := measure()) is not None:
                files.write_json(current.folder / name, found)
        except UserError as error:
            warn(f"the run goes without {what}: {error}")
        except OutOfTimeError:
            warn(f"the time budget is used up; the run goes without {what}")


def _kept(current: Run, name: str, kind: Any, key: str = "") -> Any:
    """What `measure_once` found; None where it did not come to it."""
    path = current.folder / name
    if not path.is_file():
        return None
    advice = f"remove {path} and run cv again"
    found = files.read_json(path, (key,) if key else (), advice)
    return parse(kind, found[key] if key else found, path, advice)


def collect(
    current: Run, table: pd.DataFrame, folds: Folds, data: str, prevalence: float, stages: dict[str, float]
) -> Scores:
    """Join the finished folds' files, and forecast the score on the test rows.

    Args:
        data: fingerprint of the table.
        stages: seconds of this start.
    """
    done, test = current.finished(), table[table["split"] == "test"]
    scored = [key for key in done if isinstance(key, int)]
    scores = Scores(
        data=data,
        data_folders=current.scores.data_folders,
        recipe=current.recipe.name,
        canaries=_kept(current, CANARIES, dict[str, float]) or {},
        prevalence=prevalence,
        unfinished=not (len(scored) == len(folds) or ALL in done),
        stages=stages,
        versions=run.versions(),
        machine=machine.facts(),
        seed=current.recipe.seeds[0],
        commit=run.commit(),
    )
    if scored:
        logits = _held_out(current, folds, scored, run.OOF)
        oof = _write_oof(current, folds, logits)
        scores = _with_folds(scores, current, folds, oof, logits)
        far = _kept(current, DISTANCE, Distance, "test")
        lacking = ["embeddings"] if not far and distance.enough(folds.rows, test[~test["broken"]]) else []
        scores = replace(scores, distance=far, lacking=lacking)
        # Without test rows it is for a test set that shares nothing with the training set.
        scores = replace(scores, forecast=forecast_of(scores, len(test) or len(oof)))
    scores.write(current.folder / run.SCORES)
    if done and len(test):
        _write_test(current, table, done, prevalence)
    return scores


def _held_out(current: Run, folds: Folds, scored: list[int], name: str) -> HeldOut:
    return {
        key: pd.Series(current.fold_logits(key, name, ids), index=ids)
        for key in scored
        for ids in [folds.validation(key)["id"]]
    }


def _write_oof(current: Run, folds: Folds, logits: HeldOut) -> pd.DataFrame:
    """Write `oof.csv`, and `oof_<member>.csv` of an ensemble's members."""
    oof = _out_of_fold(folds, logits)
    files.write_csv(current.folder / run.OOF, oof)
    for member in current.recipe.member_names:
        name = f"oof_{member}.csv"
        rows = _out_of_fold(folds, _held_out(current, folds, list(logits), name))
        files.write_csv(current.folder / name, rows)
    return oof


def _out_of_fold(folds: Folds, held_out: HeldOut) -> pd.DataFrame:
    """`id, label, fold, logit` of the finished folds' rows, each from the first fold that held it out."""
    rows = folds.table.assign(label=folds.rows["label"][: len(folds.table)])
    parts = [
        part.assign(logit=logits.reindex(part["id"]).to_numpy())
        for key, logits in held_out.items()
        for part in [rows[rows["fold"] == key]]
    ]
    return pd.concat(parts).sort_index()[["id", "label", "fold", "logit"]]


def _with_folds(scores: Scores, current: Run, folds: Folds, oof: pd.DataFrame, logits: HeldOut) -> Scores:
    """Add what held-out pictures say, as they are and corrupted."""
    entries = [fold for key in logits if isinstance(fold := current.finished_fold(key), FoldScores)]
    names = oof.merge(folds.rows[["id", "source"]], on="id", how="left", validate="1:1")["source"]
    sources = metrics.source_aucs(oof["label"], oof["logit"], names.tolist())
    by_fold = current.recipe.split == "source"
    if by_fold:
        sources = _sources_inside_folds(folds, logits)
    corrupted = current.corrupted(list(logits), folds.rows.set_index("id")["label"])
    lacking = [name for name in CORRUPTIONS if name not in corrupted]
    if lacking:
        warn(
            f"{current.name}: its corrupted pictures lack {', '.join(lacking)}; scored under the others "
            "(a new --out has them all)"
        )
    return grid.scored(replace(scores, sources=sources), entries, oof, corrupted, by_fold)


def _sources_inside_folds(folds: Folds, held_out: HeldOut) -> dict[str, float]:
    """AUC of each source inside the first fold that held it out."""
    aucs: dict[str, float] = {}
    for key, logits in held_out.items():
        rows = folds.validation(key)
        inside = metrics.source_aucs(rows["label"], logits[rows["id"]], rows["source"].tolist())
        inside.pop(WORST, None)
        aucs = inside | aucs
    return aucs | {WORST: min(aucs.values())} if aucs else {}


def _write_test(current: Run, table: pd.DataFrame, done: list[int | str], prevalence: float) -> None:
    """Average the finished folds' test logits and threshold them at the prevalence."""
    test = table[table["split"] == "test"]
    good = ~test["broken"].to_numpy(dtype=bool)
    parts = [current.fold_logits(key, run.TEST, test.loc[good, "id"]) for key in done]
    logits = np.full(len(test), np.nan)
    logits[good] = np.mean(parts, axis=0)
    logits = fill_broken(logits, test)
    files.write_csv(current.folder / run.TEST, pd.DataFrame({"id": test["id"], "logit": logits}))
    ids = manifest.submission_ids(table).tolist()
    values, _ = submission.answer(ids, logits, prevalence)
    submission.write(current.folder / run.SUBMISSION, ids, values)
