"""The main job: folds x detector -> out-of-fold and test logits, scores and a submission."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import competition, detectors, files, metrics, run
from humanmade.data import folds as folding
from humanmade.data import manifest
from humanmade.data.folds import Folds
from humanmade.detectors.base import Detector
from humanmade.detectors.embedding import name_sources
from humanmade.errors import UserError
from humanmade.evaluation import canaries, distance, held_out
from humanmade.evaluation.collect import collect, count_sources
from humanmade.evaluation.inference import member_logits
from humanmade.images import views
from humanmade.progress import warn
from humanmade.recipe import Recipe
from humanmade.run import ALL, Run
from humanmade.scores import Scores
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.team import Team, quiet, team


@dataclass(frozen=True)
class Options:
    """What a run is told besides its recipe."""

    fold: int | str | None = None
    """Train this fold only; `all` trains on everything."""
    prevalence: float = competition.CURRENT.prevalence
    """Assumed share of generated pictures in the test set."""
    budget: Budget = field(default_factory=Budget)
    """Running since the command began: reading pictures for the first time takes its share."""


def cross_validate(recipe: Recipe, table: pd.DataFrame, current: Run, options: Options) -> Scores | None:
    """Train the folds that are not finished yet, then score and predict with all that are.

    Under torchrun the folds are dealt out to the ranks, or, where they are fewer than the ranks, each is
    trained by all ranks together. Rank 0 alone writes what belongs to the whole run.

    Args:
        table: of `humanmade.data.manifest`, with the inventory's columns.
        current: the run to start or to continue.

    Returns:
        What is written to `scores.json`; None on other ranks than 0.
    """
    manifest.check_trainable(table)
    manifest.check_test_readable(table)
    budget, ranks = options.budget, team()
    data = run.fingerprint(table)
    sources = count_sources(table)
    if recipe.split == "source":
        with ranks.first():
            table = name_sources(table)
    folds = folding.make(table, recipe.folds, recipe.fold_seed, recipe.split)
    wanted = _wanted(options.fold, len(folds))
    detector = detectors.create(recipe)
    job = _Job(detector, folds, table, current, budget, views.expand(recipe.views))
    with ranks.first():
        continued = current.start(recipe, data, folds.table, folds.rows[["id", "digest"]])
    try:
        if continued and ranks.leads:
            _welcome_back(current, detector)
        done = current.finished()
        left = [key for key in wanted if key not in done]
        ranks.meet()
        if left:
            _prepare(job, ranks)
            if ranks.count > 1:
                # One that sees what all prepared.
                job = replace(job, detector=detectors.create(recipe))
        if left and len(wanted) < ranks.count:
            with ranks.sharing():
                for key in left:
                    _share_fold(job, key, ranks)
        else:
            for key in left[ranks.rank :: ranks.count]:
                if budget.over:
                    budget.stop()
                _train_fold(job, key)
    except OutOfTimeError:
        warn("the time budget is used up; going on with the folds that are finished")
    except UserError:
        # Another rank may be writing there, and torchrun ends it only now.
        if not continued and ranks.count == 1:
            current.take_back()
        raise
    ranks.meet()
    if not ranks.leads:
        return None
    try:
        distance.measure_once(current, folds, table, budget)
    except OutOfTimeError:
        warn("the time budget is used up; the forecast does not know how far the test set is")
    try:
        canaries.measure_once(current, folds, budget)
    except OutOfTimeError:
        warn("the time budget is used up; the run goes without canaries")
    return collect(current, table, folds, data, options.prevalence, sources)


@dataclass(frozen=True)
class _Job:
    """What the training of every fold needs."""

    detector: Detector
    folds: Folds
    table: pd.DataFrame
    current: Run
    budget: Budget
    view_names: tuple[str, ...]


def _prepare(job: _Job, ranks: Team) -> None:
    """Let each rank prepare its share of the rows; all run out of time together."""
    late = False
    try:
        rows = ranks.share(job.folds.rows)
        predicted = ranks.share(job.table[~job.table["broken"]])
        job.detector.prepare(rows, predicted, job.view_names, job.budget)
    except OutOfTimeError:
        late = True
    if ranks.any(late):
        raise OutOfTimeError


def _share_fold(job: _Job, key: int | str, ranks: Team) -> None:
    """Train one fold on all ranks together: the others keep what they write to themselves.

    Rank 0 watches the time for all; no rank may leave where another waits for it.
    """
    current, late = job.current, False
    if ranks.any(job.budget.over):
        job.budget.stop()
    with contextlib.ExitStack() as stack:
        if not ranks.leads:
            stack.enter_context(quiet())
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shutil.copy(current.folder / run.RECIPE, scratch)
            for folder in (current.folder / run.MEMBERS, current.fold(key)):
                if folder.is_dir():
                    shutil.copytree(folder, scratch / folder.name)
            job = replace(job, current=Run(scratch), budget=Budget())
        ranks.meet()
        try:
            _train_fold(job, key, ranks.leads)
        except OutOfTimeError:
            late = True
    if ranks.any(late):
        raise OutOfTimeError


def _welcome_back(current: Run, detector: Detector) -> None:
    """Say what stands of an earlier start, after making sure that it is what this start would make."""
    done = current.finished()
    for key in done:
        for _, place in current.members(key):
            detector.verify(place)
    listed = ", ".join(map(str, done)) or "none"
    print(f"{current.folder} was started before; finished folds are kept: {listed}", flush=True)


def _wanted(fold: int | str | None, count: int) -> list[int | str]:
    if fold is None:
        return list(range(count))
    if fold != ALL and not (isinstance(fold, int) and 0 <= fold < count):
        raise UserError(f"--fold {fold}: expected 0 to {count - 1}, or all")
    return [fold]


def _train_fold(job: _Job, key: int | str, predict: bool = True) -> None:
    """Train one fold with every seed, predict its held-out and the test rows, and mark it done."""
    detector, folds, table, current, budget = job.detector, job.folds, job.table, job.current, job.budget
    train = folds.training(key) if isinstance(key, int) else folds.rows
    valid = folds.validation(key) if isinstance(key, int) else folds.rows[:0]
    test = table[(table["split"] == "test") & ~table["broken"]]
    members, folder = current.members(key), current.fold(key)
    print(f"fold {key}: {len(train)} pictures to train on, {len(valid)} held out", flush=True)
    fits = [_fit(detector, train, valid, seed, place, budget) for seed, place in members]
    if not predict:
        return
    training = sum(fit["seconds"] for fit in fits)
    places = [place for _, place in members]
    fitted = time.monotonic()
    facts: dict[str, Any] = {"fold": key}
    for name, rows in (("oof", valid), ("test", test)):
        if len(rows):
            found = member_logits(detector, places, rows, job.view_names)
            for member, own in found.items():
                own_name = f"{name}_{member}.csv" if member else f"{name}.csv"
                files.write_csv(folder / own_name, pd.DataFrame({"id": rows["id"], "logit": own}))
            if name == "oof":
                facts |= metrics.summary(rows["label"], found[""])
    if len(valid):
        held_out.measure(detector, places, valid, folder, len(folds), budget)
    # Folds still to come must leave time to predict with what there is.
    budget.reserve = max(budget.reserve, time.monotonic() - fitted)
    seconds = training + time.monotonic() - fitted
    seen = sum(fit["pictures"] for fit in fits)
    facts |= {"seconds": seconds, "images_per_second": seen / max(training, 1e-9)}
    files.write_json(folder / run.DONE, facts)
    if "auc" in facts:
        print(f"fold {key}: F1 {facts['f1']:.3f}, AUC {facts['auc']:.3f}, {seconds:.0f} s", flush=True)
    else:
        print(f"fold {key}: trained on all {len(train)} rows, {seconds:.0f} s", flush=True)


def _fit(
    detector: Detector, train: pd.DataFrame, valid: pd.DataFrame, seed: int, place: Path, budget: Budget
) -> dict[str, float]:
    """Train one seed of a fold, or find that an earlier start did; `pictures` and `seconds` of it."""
    note = place / "trained.json"
    if note.is_file():
        detector.verify(place)
        return files.read_json(note, ("pictures", "seconds"), run.retrain(note))
    place.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    pictures = detector.fit(train, valid, seed, place, budget)
    spent = {"pictures": pictures, "seconds": time.monotonic() - began}
    files.write_json(note, spent)
    return spent
