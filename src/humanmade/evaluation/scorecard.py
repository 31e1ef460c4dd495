"""What a run says of itself at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from humanmade import ledger, metrics, submission
from humanmade.data import inventory, manifest
from humanmade.evaluation import canaries, columns, evaluate, forecast
from humanmade.evaluation.inference import run_logits
from humanmade.run import SUBMISSION, Run
from humanmade.scores import FoldScores, Scores


def as_text(run: Run, table: pd.DataFrame) -> str:
    """Lay out the fold scores, what they mean and what was written.

    Args:
        table: of `humanmade.data.manifest`, what the run was trained on.
    """
    scores = forecast.shown(run.scores, run.name, ledger.read())
    return "\n".join([*lines(scores), *_written(run, table)])


def lines(scores: Scores) -> list[str]:
    """A run's scores with the forecast to show, laid out for reading."""
    return [
        *_fold_table(scores.folds),
        *([f"over {_which(scores)} ({metrics.all_ones()}):"] if scores.folds else []),
        *columns.lines(scores),
        *canaries.lines(scores.canaries),
        *canaries.alarms(scores.canaries),
    ]


def lesson(run: Run, hidden: Path) -> str:
    """What the demo's hidden test labels, in a labelled folder, say of a run."""
    rows = inventory.attach(manifest.load([hidden]))
    return (
        "\nThe demo's hidden test labels, which no competition shows, say:\n"
        f"{evaluate.as_text(evaluate.evaluate(rows, run_logits(run, rows)))}\n"
        "Other up-samplers made the test's fakes. No fold could know that."
    )


def _which(scores: Scores) -> str:
    untrained = f"{len(scores.folds)} of the folds, the others are not trained yet"
    return untrained if scores.unfinished else "all folds"


def _fold_table(folds: Sequence[FoldScores]) -> list[str]:
    if not folds:
        return ["no fold is scored yet"]
    table = pd.DataFrame([asdict(fold) for fold in folds]).set_index("fold")
    scores = table[["f1", "auc", "logloss"]]
    if len(folds) > 1:
        reduced = pd.DataFrame({"mean": scores.mean(), "spread": scores.std(ddof=0)}).T
        scores = pd.concat([scores, reduced])
    shown = scores.rename(columns={"f1": "F1", "auc": "AUC"}).map("{:.3f}".format)
    shown["seconds"] = table["seconds"].map("{:.1f}".format)
    shown["images/s"] = table["images_per_second"].map("{:.1f}".format)
    return shown.fillna("").rename_axis(columns="fold").to_string().splitlines()


def _written(run: Run, table: pd.DataFrame) -> list[str]:
    lines = [f"run folder: {run.folder}"]
    scores = run.scores
    if scores.unfinished:
        lines.append(
            f"unfinished: {len(scores.folds)} of {run.folds} folds; cv without --fold trains the rest"
        )
    path = run.folder / SUBMISSION
    if not (table["split"] == "test").any():
        lines.append("no test rows, so no test.csv and no submission.csv")
    elif path.is_file():
        ids = manifest.submission_ids(table).tolist()
        lines.append(f"submission: {path}, checked; {submission.summary(submission.check(path, ids))}")
    else:
        lines.append("no fold is finished, so no submission yet")
    return lines
