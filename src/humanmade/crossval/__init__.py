"""The main job: folds x detector -> out-of-fold and test logits, scores and a submission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from humanmade import detectors, files, metrics, run, submission
from humanmade.crossval import ranks
from humanmade.crossval.fold import Job
from humanmade.data import folds as folding
from humanmade.data import manifest
from humanmade.data.folds import Folds
from humanmade.detectors.base import Detector
from humanmade.detectors.embedding import name_sources
from humanmade.errors import UserError
from humanmade.evaluation import canaries, shifted
from humanmade.evaluation.inference import fill_broken
from humanmade.evaluation.outlook import look_around, outlook, sources_of
from humanmade.images import views
from humanmade.progress import warn
from humanmade.recipe import Recipe
from humanmade.run import ALL, Run
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.team import team


@dataclass(frozen=True)
class Options:
    """What a run is told besides its recipe."""

    fold: int | str | None = None
    """Train this fold only; `all` trains on everything."""
    prevalence: float = 0.5
    """Assumed share of generated pictures in the test set."""
    hours: float | None = None


def cross_validate(recipe: Recipe, table: pd.DataFrame, current: Run, options: Options) -> dict[str, Any]:
    """Train the folds that are not finished yet, then score and predict with all that are.

    Under torchrun every rank calls this; rank 0 alone writes what belongs to the whole run.

    Args:
        table: of `humanmade.data.manifest`, with the inventory's columns.
        current: the run to start or to continue.

    Returns:
        What is written to `scores.json`; nothing on other ranks than 0.

    Raises:
        UserError: the data, the recipe or an earlier start forbids it; a run that was not begun leaves
            nothing.
    """
    manifest.check_trainable(table)
    manifest.check_test_readable(table)
    torchrun, budget = team(), Budget(options.hours)
    data, sources = run.fingerprint(table), sources_of(table)
    if recipe.split == "source":
        with torchrun.first():
            table = name_sources(table)
    folds = folding.make(table, recipe.folds, recipe.fold_seed, recipe.split)
    keys = _wanted(options.fold, len(folds))
    job = Job(detectors.create(recipe), folds, table, current, budget, views.expand(recipe.views))
    with torchrun.first():
        continued = current.continues(recipe, data, folds.table)
    if continued and torchrun.leads:
        _welcome_back(current, job.detector)
    left = [key for key in keys if not current.is_finished(key)] if continued else keys
    in_time = not left or ranks.prepare(job, torchrun)
    with torchrun.first():
        if not continued and torchrun.leads:
            current.begin(recipe, data, folds.table, folds.rows[["id", "digest"]])
    if not (in_time and ranks.train(job, left, len(keys) < torchrun.count, torchrun)):
        warn("the time budget is used up; going on with the folds that are finished")
    torchrun.meet()
    if not torchrun.leads:
        return {}
    _look_at_the_whole(current, folds, table, budget)
    return collect(current, table, folds, data, options.prevalence, sources)


def _wanted(fold: int | str | None, count: int) -> list[int | str]:
    if fold is None:
        return list(range(count))
    if fold != ALL and not (isinstance(fold, int) and 0 <= fold < count):
        raise UserError(f"--fold {fold}: expected 0 to {count - 1}, or all")
    return [fold]


def _welcome_back(current: Run, detector: Detector) -> None:
    """Say what stands of an earlier start, after making sure that it is what this start would make."""
    done = current.finished()
    for key in done:
        for _, place in current.trainings(key):
            detector.verify(place)
    listed = ", ".join(map(str, done)) or "none"
    print(f"{current.folder} was started before; finished folds are kept: {listed}", flush=True)


def _look_at_the_whole(current: Run, folds: Folds, table: pd.DataFrame, budget: Budget) -> None:
    """Measure what the forecast and the canaries need beside the folds, as far as there is time."""
    try:
        look_around(current, folds, table, budget)
    except OutOfTimeError:
        warn("the time budget is used up; the forecast does not know how far the test set is")
    try:
        canaries.look(current, folds, budget)
    except OutOfTimeError:
        warn("the time budget is used up; the run goes without canaries")


def collect(
    current: Run, table: pd.DataFrame, folds: Folds, data: str, prevalence: float, sources: int
) -> dict[str, Any]:
    """Join what the finished folds left into oof.csv, test.csv, submission.csv and scores.json.

    Args:
        sources: how many the data itself names (`humanmade.evaluation.outlook.sources_of`).
    """
    done = current.finished()
    scored = [key for key in done if isinstance(key, int)]
    held_out = _held_out(current, folds, scored, "oof.csv")
    oof = _out_of_fold(folds, held_out)
    if scored:
        files.write_csv(current.folder / "oof.csv", oof)
        for member in current.recipe.member_names:
            name = f"oof_{member}.csv"
            own = _out_of_fold(folds, _held_out(current, folds, scored, name))
            files.write_csv(current.folder / name, own)
    corrupted = current.corrupted(scored, folds.rows.set_index("id")["label"])
    by_fold = current.recipe.split == "source"
    grid = shifted.scores(corrupted, by_fold) if len(corrupted) else {}
    test_size = int((table["split"] == "test").sum()) or len(oof)
    scores = _scores(current, folds, oof, held_out) | {
        "corrupted": grid,
        "steadiness": shifted.steadiness(corrupted, by_fold) if len(corrupted) else {},
        "canaries": canaries.kept(current),
    }
    scores |= outlook(current, scores, sources, test_size, prevalence) | {
        "prevalence": prevalence,
        "unfinished": not (len(scored) == len(folds) or ALL in done),
        "versions": run.versions(),
        "seed": current.recipe.seeds[0],
        "commit": run.commit(),
        "data": data,
    }
    files.write_json(current.folder / "scores.json", scores)
    if done and (table["split"] == "test").any():
        _write_test(current, table, done, prevalence)
    return scores


def _held_out(current: Run, folds: Folds, scored: list[int], name: str) -> dict[int, pd.Series[float]]:
    """Logits that each finished fold wrote of the rows it held out, by id."""
    return {
        key: pd.Series(current.fold_logits(key, name, ids), index=ids)
        for key in scored
        for ids in [folds.validation(key)["id"]]
    }


def _out_of_fold(folds: Folds, held_out: dict[int, pd.Series[float]]) -> pd.DataFrame:
    """`id, label, fold, logit` of the finished folds' rows, each from the first fold that held it out."""
    rows = folds.table.assign(label=folds.rows["label"][: len(folds.table)])
    parts = [
        part.assign(logit=logits.reindex(part["id"]).to_numpy())
        for key, logits in held_out.items()
        for part in [rows[rows["fold"] == key]]
    ]
    joined = pd.concat(parts).sort_index() if parts else rows[:0].assign(logit=0.0)
    return joined[["id", "label", "fold", "logit"]]


def _scores(
    current: Run, folds: Folds, oof: pd.DataFrame, held_out: dict[int, pd.Series[float]]
) -> dict[str, Any]:
    recipe = current.recipe
    entries = [current.finished_fold(key) for key in held_out]
    overall = metrics.summary(oof["label"], oof["logit"]) if len(oof) else {}
    sources = oof.merge(folds.rows[["id", "source"]], on="id", how="left", validate="1:1")["source"]
    by_source = metrics.source_aucs(oof["label"], oof["logit"], sources.tolist()) if len(oof) else {}
    if recipe.split == "source" and entries:
        # Logits of different folds come from different models; across sources they do not compare.
        overall["auc"] = float(np.mean([entry["auc"] for entry in entries]))
        by_source = _sources_inside_folds(folds, held_out)
    return {
        "recipe": recipe.name,
        "f1": overall.get("f1"),
        "auc": overall.get("auc"),
        "logloss": overall.get("logloss"),
        "folds": entries,
        "sources": by_source,
        "scale": float(oof["logit"].std(ddof=0)) if len(oof) else None,
    }


def _sources_inside_folds(folds: Folds, held_out: dict[int, pd.Series[float]]) -> dict[str, float]:
    """AUC of each source inside the first fold that held it out."""
    found: dict[str, float] = {}
    for key, logits in held_out.items():
        rows = folds.validation(key)
        inside = metrics.source_aucs(rows["label"], logits[rows["id"]], rows["source"].tolist())
        inside.pop("worst", None)
        found = inside | found
    return found | {"worst": min(found.values())} if found else {}


def _write_test(current: Run, table: pd.DataFrame, done: list[int | str], prevalence: float) -> None:
    """Average the finished folds' test logits and threshold them at the prevalence."""
    test = table[table["split"] == "test"]
    good = ~test["broken"].to_numpy(dtype=bool)
    parts = [current.fold_logits(key, "test.csv", test.loc[good, "id"]) for key in done]
    logits = np.full(len(test), np.nan)
    logits[good] = np.mean(parts, axis=0)
    logits = fill_broken(logits, test)
    files.write_csv(current.folder / "test.csv", pd.DataFrame({"id": test["id"], "logit": logits}))
    ids = manifest.submission_ids(table).tolist()
    submission.write(
        current.folder / "submission.csv",
        ids,
        metrics.labels_at_prevalence(ids, logits, prevalence),
    )
