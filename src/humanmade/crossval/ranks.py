"""Folds spread over the processes that torchrun started: dealt out, or each shared by all of them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from humanmade import detectors
from humanmade.crossval.fold import Job, train_fold
from humanmade.run import Run
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.distributed import ProcessGroup, quiet


def prepare(job: Job, ranks: ProcessGroup) -> bool:
    """Let each rank prepare its share of the rows; whether all of them were in time."""
    late = False
    try:
        predicted = ranks.share(job.table[~job.table["broken"]])
        job.detector.prepare(ranks.share(job.folds.rows), predicted, job.view_names, job.budget)
    except OutOfTimeError:
        late = True
    return not ranks.any(late)


def train(job: Job, keys: Sequence[int | str], together: bool, ranks: ProcessGroup) -> bool:
    """Train folds; whether the time was enough for those of this rank.

    Args:
        together: train each fold by all ranks, for fewer folds than ranks, else deal the folds out.
    """
    if ranks.count > 1:
        # One that sees what all ranks prepared.
        job = replace(job, detector=detectors.create(job.detector.recipe))
    try:
        if together and keys:
            with ranks.sharing():
                for number, key in enumerate(keys, 1):
                    _share_fold(job, key, len(keys) - number, ranks)
        else:
            keys = keys[ranks.rank :: ranks.count]
            for number, key in enumerate(keys, 1):
                job.budget.check()
                train_fold(job, key, len(keys) - number)
    except OutOfTimeError:
        return False
    return True


def _share_fold(job: Job, key: int | str, to_come: int, ranks: ProcessGroup) -> None:
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
            shutil.copy(current.folder / "recipe.toml", scratch)
            if current.fold(key).is_dir():
                shutil.copytree(current.fold(key), scratch / current.fold(key).name)
            job = replace(job, current=Run(scratch), budget=Budget())
        ranks.meet()
        try:
            train_fold(job, key, to_come, ranks.leads)
        except OutOfTimeError:
            late = True
    if ranks.any(late):
        raise OutOfTimeError
