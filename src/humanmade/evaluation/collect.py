"""What the finished folds of a run left, joined: oof.csv, test.csv, submission.csv and scores.json."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from humanmade import files, machine, metrics, provenance, run, submission
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

DISTANCE, CANARIES = "distance.json", "canaries.json"
"""In the run folder: how far the test set is, and what canaries scored on the run's folds."""


def measure_once(current: Run, folds: Folds, table: pd.DataFrame, budget: Budget) -> None:
    """Keep in the run folder what is measured once of a whole run, as far as there are time and weights."""
    test = table[(table["split"] == "test") & ~table["broken"]]

    def far() -> dict[str, Any] | None:
        found = distance.measure(folds.rows, test, budget)
        return asdict(found) if found else None

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


def _kept(current: Run, name: str, kind: Any) -> Any:
    """What `measure_once` found; None where it did not come to it."""
    path = current.folder / name
    if not path.is_file():
        return None
    advice = f"remove {path} and run cv again"
    return parse(kind, files.read_json(path, (), advice), path, advice)


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
        versions=provenance.versions(),
        machine=machine.facts(),
        seed=current.recipe.seeds[0],
        commit=provenance.commit(),
    )
    if scored:
        held_out = _held_out(current, folds, scored, run.OOF)
        oof = _write_oof(current, folds, held_out, run.OOF)
        for name in [f"oof_{member}.csv" for member in current.recipe.member_names]:
            _write_oof(current, folds, _held_out(current, folds, scored, name), name)
        scores = _with_folds(scores, current, oof, held_out)
        far = _kept(current, DISTANCE, Distance)
        lacking = ["embeddings"] if not far and distance.enough(folds.rows, test[~test["broken"]]) else []
        scores = replace(scores, distance=far, lacking=lacking)
        # Without test rows it is for a test set that shares nothing with the training set.
        scores = replace(scores, forecast=forecast_of(scores, len(test) or len(oof)))
    scores.write(current.folder / run.SCORES)
    if done and len(test):
        _write_test(current, table, done, prevalence)
    return scores


def _held_out(current: Run, folds: Folds, scored: list[int], name: str) -> pd.DataFrame:
    """`id, label, source, fold, logit` of what finished folds held out; by source some stand twice."""
    rows = [folds.validation(key)[["id", "label", "source"]].assign(fold=key) for key in scored]
    logits = [current.fold_logits(key, name, part["id"]) for key, part in zip(scored, rows, strict=True)]
    return pd.concat(rows).assign(logit=np.concatenate(logits))


def _write_oof(current: Run, folds: Folds, held_out: pd.DataFrame, name: str) -> pd.DataFrame:
    """Write `id, label, fold, logit` of the rows, each from the first fold that held it out."""
    oof = folds.table[["id", "fold"]].merge(held_out, on=["id", "fold"], validate="1:1")
    files.write_csv(current.folder / name, oof[["id", "label", "fold", "logit"]])
    return oof


def _with_folds(scores: Scores, current: Run, oof: pd.DataFrame, held_out: pd.DataFrame) -> Scores:
    """Add what held-out pictures say, as they are and corrupted."""
    scored, by_fold = held_out["fold"].unique().tolist(), current.recipe.split == "source"
    entries = [fold for key in scored if isinstance(fold := current.finished_fold(key), FoldScores)]
    sources = metrics.source_aucs(oof["label"], oof["logit"], oof["source"].tolist())
    if by_fold:
        sources = _sources_inside_folds(held_out)
    corrupted = current.corrupted(scored, held_out.drop_duplicates("id").set_index("id")["label"])
    lacking = [name for name in CORRUPTIONS if name not in corrupted]
    if lacking:
        warn(
            f"{current.name}: its corrupted pictures lack {', '.join(lacking)}; scored under the others "
            "(a new --out has them all)"
        )
    return grid.scored(replace(scores, sources=sources), entries, oof, corrupted, by_fold)


def _sources_inside_folds(held_out: pd.DataFrame) -> dict[str, float]:
    """AUC of each source inside the first fold that held it out."""
    aucs: dict[str, float] = {}
    for _, rows in held_out.groupby("fold"):
        inside = metrics.source_aucs(rows["label"], rows["logit"], rows["source"].tolist())
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
