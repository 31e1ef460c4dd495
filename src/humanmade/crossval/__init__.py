"""The main job: folds x detector -> out-of-fold and test logits, scores and a submission."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from humanmade import competition, detectors, files, run
from humanmade.crossval import ranks
from humanmade.crossval.fold import Job
from humanmade.data import folds as folding
from humanmade.data import manifest
from humanmade.detectors.base import Detector
from humanmade.detectors.embedding import name_sources
from humanmade.errors import UserError
from humanmade.evaluation.collect import collect, measure_once
from humanmade.images import views
from humanmade.progress import warn
from humanmade.recipe import Recipe
from humanmade.run import ALL, Run
from humanmade.scores import Scores
from humanmade.training.budget import Budget
from humanmade.training.distributed import ProcessGroup, process_group


@dataclass(frozen=True)
class Options:
    """What a run is told besides its recipe."""

    fold: int | str | None = None
    """Train this fold only; `all` trains on everything."""
    prevalence: float = competition.CURRENT.prevalence
    """Assumed share of generated pictures in the test set."""
    budget: Budget = field(default_factory=Budget)
    """Running since the command began: reading pictures for the first time takes its share."""
    folders: Sequence[Path] = ()
    """Where the data lies, for verbs that take the run later."""


def cross_validate(recipe: Recipe, table: pd.DataFrame, current: Run, options: Options) -> Scores | None:
    """Train the folds that are not finished yet, then score and predict with all that are.

    Under torchrun every rank calls this; rank 0 alone writes what belongs to the whole run.

    Args:
        table: of `humanmade.data.manifest`, with the inventory's columns.
        current: the run to start or to continue.

    Returns:
        What is written to `scores.json`; None on other ranks than 0.

    Raises:
        UserError: the data, the recipe or an earlier start forbids it; a run that was not begun leaves
            nothing.
    """
    manifest.check_trainable(table)
    manifest.check_test_readable(table)
    with contextlib.ExitStack() as stack:
        if process_group().leads:
            stack.enter_context(files.held(current.folder, "training here"))
            files.sweep(current.folder)
        return _cross_validate(recipe, table, current, options, process_group())


def _cross_validate(
    recipe: Recipe, table: pd.DataFrame, current: Run, options: Options, torchrun: ProcessGroup
) -> Scores | None:
    budget = options.budget
    stages = {"reading": time.monotonic() - budget.began}
    data = run.fingerprint(table)
    if recipe.split == "source":
        with torchrun.first():
            table = name_sources(table)
    folds = folding.make(table, recipe.folds, recipe.fold_seed, recipe.split)
    keys = _wanted(options.fold, len(folds))
    job = Job(detectors.create(recipe), folds, table, current, budget, views.expand(recipe.views))
    with torchrun.first():
        continued = current.continues(recipe, data, folds.table)
    if continued and torchrun.leads:
        _welcome_back(current, job.detector, budget)
        current.note_folders(options.folders)
    left = [key for key in keys if not current.is_finished(key)] if continued else keys
    for key in left:
        job.detector.check(folds.rows if key == ALL else folds.training(int(key)))
    if torchrun.leads:
        print("\n".join(job.announced(left, continued)), flush=True)
    began = time.monotonic()
    in_time = not left or ranks.prepare(job, torchrun)
    stages["preparing"] = time.monotonic() - began
    with torchrun.first():
        if not continued and torchrun.leads:
            current.begin(recipe, data, folds.table, folds.rows[["id", "digest"]], options.folders)
    if not (in_time and ranks.train(job, left, len(keys) < torchrun.count, torchrun)):
        warn("the time budget is used up; going on with the folds that are finished")
    torchrun.meet()
    if not torchrun.leads:
        return None
    began, budget.spent = time.monotonic(), 0.0
    measure_once(current, folds, table, budget)
    stages["measuring"] = time.monotonic() - began
    return collect(current, table, folds, data, options.prevalence, stages)


def _wanted(fold: int | str | None, count: int) -> list[int | str]:
    if fold is None:
        return list(range(count))
    if fold != ALL and not (isinstance(fold, int) and 0 <= fold < count):
        raise UserError(f"--fold {fold}: expected 0 to {count - 1}, or all")
    return [fold]


def _welcome_back(current: Run, detector: Detector, budget: Budget) -> None:
    """Say what stands of an earlier start, after making sure that it is what this start would make."""
    done = current.finished()
    for key in done:
        stages = current.fold_stages(key)
        budget.spent = max(budget.spent or 0.0, stages["predicting"] + stages["scoring"])
        for _, place in current.trainings(key):
            detector.verify(place)
    listed = ", ".join(map(str, done)) or "none"
    print(f"{current.folder} was started before; finished folds are kept: {listed}", flush=True)
