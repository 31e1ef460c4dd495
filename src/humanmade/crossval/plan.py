"""What a run is about to do, and at its end where the time went and what comes next."""

from __future__ import annotations

from collections.abc import Sequence

from humanmade.crossval.fold import Job
from humanmade.progress import duration
from humanmade.run import SUBMISSION, Run

PARTS = ("training", "predicting", "scoring")
"""Of a fold's seconds, as it notes them; scoring is that of corrupted pictures and counterparts."""


def beforehand(job: Job, left: Sequence[int | str], continued: bool) -> list[str]:
    """Pictures, folds, members, what is kept, and the time that folds take where one tells.

    Args:
        left: folds that will be trained now.
        continued: whether an earlier start of the run left something.
    """
    table, recipe, current = job.table, job.detector.recipe, job.current
    rows, test = job.folds.rows, int((table["split"] == "test").sum())
    ones, extra = int((rows["label"] == 1).sum()), len(rows) - len(job.folds.table)
    lines = [
        f"{current.name}: {len(rows)} pictures to train on ({len(rows) - ones} human-made, {ones} generated"
        f"{f', {extra} of them extra' if extra else ''}), {test} test pictures",
        f"{recipe.detector}: {len(job.folds)} folds kept apart by {recipe.split}, "
        f"{len(recipe.seeds)} seed{'s' * (len(recipe.seeds) > 1)}, {len(job.view_names)} "
        f"view{'s' * (len(job.view_names) > 1)}",
    ]
    if recipe.member_names:
        lines.append(f"members: {', '.join(recipe.member_names)}")
    done = [current.finished_fold(key) for key in (current.finished() if continued else [])]
    if done and left:
        seconds = len(left) * sum(fold.seconds for fold in done) / len(done)
        lines.append(
            f"folds left: {', '.join(map(str, left))}; about {duration(seconds)} if they take as long as "
            "those that are finished"
        )
    return lines


def afterwards(run: Run, real: bool) -> list[str]:
    """Where the time of finished folds went, and what to do next.

    Args:
        real: whether the submission is for the competition, not for the demo.
    """
    folds = [run.fold_stages(key) for key in run.finished()]
    lines = []
    # Folds of older kits did not tell them apart.
    if folds and all(part in fold for fold in folds for part in PARTS):
        spent = [f"{part} {duration(sum(fold[part] for fold in folds))}" for part in PARTS]
        lines.append(f"time of the folds: {', '.join(spent)}")
    submission = run.folder / SUBMISSION
    if real and submission.is_file() and not run.scores.unfinished:
        lines.append(f"next: humanmade compare, or humanmade submit {submission}")
    elif folds:
        lines.append("next: humanmade compare, or humanmade report")
    return lines
