"""Cross-validation as people run it: the data chosen and read, then trained on, and told how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from humanmade import competition
from humanmade.crossval import Options, cross_validate
from humanmade.data import defaults, inventory, manifest
from humanmade.evaluation import scorecard
from humanmade.progress import duration
from humanmade.run import SUBMISSION, Run
from humanmade.schema import Recipe
from humanmade.training.distributed import process_group

PARTS = ("training", "predicting", "scoring")
"""Of a fold's seconds, as it notes them; scoring is that of corrupted pictures."""


def train(
    job: Recipe,
    run: Run,
    named: Sequence[Path],
    extra: Sequence[Path],
    limit: int | None,
    skip_broken: float,
    options: Options,
) -> None:
    """Train a recipe, and print its scores, where the time went and what comes next.

    Args:
        named: data folders; without any the competition in data/, else the demo.
        extra: folders of labelled rows that join every training part.
        limit: a smoke run on about that many rows.
        skip_broken: the largest share of pictures that may be unreadable; True is any.
    """
    ranks = process_group()
    with ranks.first():
        selection = defaults.data_or_demo(named)
    with ranks.first():
        table = inventory.attach(manifest.load(selection.folders, extra, limit), skip_broken)
    cross_validate(job, table, run, replace(options, folders=selection.folders))
    if ranks.leads:
        print(scorecard.as_text(run, table))
        if selection.hidden and run.finished():
            print(scorecard.lesson(run, selection.hidden))
        real = not selection.hidden and any(map(competition.holds, selection.folders))
        print("\n".join(_afterwards(run, real)))


def _afterwards(run: Run, real: bool) -> list[str]:
    """Where the time of finished folds went, and what to do next.

    Args:
        real: whether the submission is for the competition, not for the demo.
    """
    folds = [run.fold_stages(key) for key in run.finished()]
    lines = []
    if folds:
        spent = [f"{part} {duration(sum(fold[part] for fold in folds))}" for part in PARTS]
        lines.append(f"time of the folds: {', '.join(spent)}")
    submission = run.folder / SUBMISSION
    if real and submission.is_file() and not run.scores.unfinished:
        lines.append(f"next: humanmade compare, or humanmade submit {submission}")
    elif folds:
        lines.append("next: humanmade compare, or humanmade report")
    return lines
