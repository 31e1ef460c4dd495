"""What the finished folds of a run left, joined: oof.csv, test.csv, submission.csv and scores.json."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from humanmade import files, machine, metrics, run, submission
from humanmade.data import manifest
from humanmade.data.folds import Folds, sources_by_label
from humanmade.evaluation import canaries, distance, held_out
from humanmade.evaluation.forecast import forecast_of
from humanmade.evaluation.inference import fill_broken
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.progress import warn
from humanmade.run import ALL, Run
from humanmade.scores import WORST, FoldScores, Scores, Shift

HeldOut = dict[int, "pd.Series[float]"]
"""Logits of the rows that each finished fold held out, by id."""


def collect(
    current: Run,
    table: pd.DataFrame,
    folds: Folds,
    data: str,
    prevalence: float,
    sources: int,
    stages: dict[str, float],
) -> Scores:
    """Join the finished folds' files, and forecast the score on the test rows.

    Args:
        data: fingerprint of the table.
        sources: of `count_sources`, before sources were made by clustering.
        stages: seconds of this start.
    """
    done, test_size = current.finished(), int((table["split"] == "test").sum())
    scored = [key for key in done if isinstance(key, int)]
    logits = _held_out(current, folds, scored, run.OOF)
    scores = Scores(
        data=data,
        data_folders=current.scores.data_folders,
        recipe=current.recipe.name,
        canaries=canaries.kept(current),
        prevalence=prevalence,
        unfinished=not (len(scored) == len(folds) or ALL in done),
        stages=stages,
        versions=run.versions(),
        machine=machine.facts(),
        seed=current.recipe.seeds[0],
        commit=run.commit(),
    )
    if scored:
        oof = _write_oof(current, folds, logits)
        scores = _with_folds(scores, current, folds, oof, logits)
        test = table[(table["split"] == "test") & ~table["broken"]]
        measurable = distance.enough(folds.rows, test)
        scores = _with_forecast(scores, current, sources, test_size or len(oof), measurable)
    scores.write(current.folder / run.SCORES)
    if done and test_size:
        _write_test(current, table, done, prevalence)
    return scores


def count_sources(table: pd.DataFrame) -> int:
    """Named generators, or named photo sources, that are trained on: the fewer of them, at least 1."""
    return max(1, min(map(len, sources_by_label(table[table["split"] != "test"]))))


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
    return held_out.scored(replace(scores, sources=sources), entries, oof, corrupted, by_fold)


def _sources_inside_folds(folds: Folds, held_out: HeldOut) -> dict[str, float]:
    """AUC of each source inside the first fold that held it out."""
    aucs: dict[str, float] = {}
    for key, logits in held_out.items():
        rows = folds.validation(key)
        inside = metrics.source_aucs(rows["label"], logits[rows["id"]], rows["source"].tolist())
        inside.pop(WORST, None)
        aucs = inside | aucs
    return aucs | {WORST: min(aucs.values())} if aucs else {}


def _with_forecast(scores: Scores, current: Run, sources: int, test_size: int, measurable: bool) -> Scores:
    """Add what the forecast knows besides, what it would know if there had been weights, and the forecast.

    It is for a test set that shares nothing with the training set where there are no test rows; `measurable`
    says whether the test set's distance could be told at all.
    """
    test = distance.kept(current)
    paths = [current.fold(fold.fold) / held_out.COUNTERPARTS for fold in scores.folds]
    tables = [files.read_numbers(path, ("id", "label", "logit")) for path in paths if path.is_file()]
    aucs = [metrics.auc(table["label"], table["logit"]) for table in tables]
    shift = Shift(sources, test.shift if test else 1.0, test, float(np.mean(aucs)) if aucs else None)
    absent = {"embeddings": measurable and not test, "counterparts": len(tables) < len(paths)}
    scores = replace(scores, shifted=shift, lacking=[name for name, lacks in absent.items() if lacks])
    return replace(scores, forecast=forecast_of(scores, test_size))


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
