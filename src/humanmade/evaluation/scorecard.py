"""What a run says of itself at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from humanmade import competition, submission
from humanmade.data import manifest
from humanmade.evaluation import canaries
from humanmade.run import Run
from humanmade.sensitivity import MOST, infinite_if_none


def as_text(scores: dict[str, Any], run: Run, table: pd.DataFrame) -> str:
    """Lay out the fold scores, what they mean and what was written."""
    return "\n".join([*lines(scores), *_written(run, table)])


def lines(scores: dict[str, Any]) -> list[str]:
    """The scores of `scores.json`, laid out for reading."""
    dumb = scores.get("canaries", {})
    said = [*canaries.lines(dumb), *canaries.alarms(dumb)]
    return [*_fold_table(scores["folds"]), *_overall(scores), *said, *_outlook(scores)]


def _fold_table(folds: list[dict[str, Any]]) -> list[str]:
    if not folds:
        return ["no fold is scored yet"]
    lines = [f"{'fold':>6}  {'F1':>6}  {'AUC':>6}  {'logloss':>7}  {'seconds':>7}  {'images/s':>8}"]
    for fold in folds:
        lines.append(
            f"{fold['fold']:>6}  {fold['f1']:6.3f}  {fold['auc']:6.3f}  {fold['logloss']:7.3f}"
            f"  {fold['seconds']:7.1f}  {fold['images_per_second']:8.1f}"
        )
    for name, reduce in _STATISTICS.items():
        values = {key: float(reduce([fold[key] for fold in folds])) for key in ("f1", "auc", "logloss")}
        lines.append(f"{name:>6}  {values['f1']:6.3f}  {values['auc']:6.3f}  {values['logloss']:7.3f}")
    return lines


_STATISTICS: dict[str, Callable[[list[float]], Any]] = {"mean": np.mean, "spread": np.std}


def _overall(scores: dict[str, Any]) -> list[str]:
    if scores.get("auc") is None:
        return []
    lines = [f"out of fold: F1 {scores['f1']:.3f}, AUC {scores['auc']:.3f}; " + competition.baseline()]
    sources = scores["sources"]
    if len(sources) > 2:
        worst = min((name for name in sources if name != "worst"), key=lambda name: sources[name])
        lines.append(f"worst source: {worst}, AUC {sources['worst']:.3f}")
    return lines


def _outlook(scores: dict[str, Any]) -> list[str]:
    """What corrupted pictures cost, and what the shifted test set will say."""
    lines = []
    grid, shifted, said = scores.get("corrupted"), scores.get("shifted", {}), scores.get("forecast")
    if grid:
        names = [name for name in grid if name not in ("mean", "worst")]
        worst = min(names, key=lambda name: grid[name]["auc"])
        lines.append(
            f"corrupted: mean AUC {grid['mean']['auc']:.3f}, worst {grid[worst]['auc']:.3f} ({worst})"
        )
    steadiness = scores.get("steadiness")
    if steadiness:
        far = infinite_if_none(steadiness["sensitivity"])
        lines.append(
            f"re-encoding moves a picture {far:.2f} times as far as its class does and flips "
            f"{steadiness['flips']:.0%} of the verdicts"
            + ("; this detector reads a file's history" if far > MOST else "")
        )
    if "counterparts" in shifted:
        lines.append(f"photos against their own reconstructions: AUC {shifted['counterparts']:.3f}")
    if said:
        test = shifted.get("test")
        told = f"this test set (told from train with AUC {test['auc']:.2f})" if test else ""
        lines.append(
            f"forecast on {told or 'a wholly shifted test set'}: AUC {said['auc']:.2f} "
            f"(80 %: {said['low']:.2f} to {said['high']:.2f}), F1 at the prevalence {said['f1']:.2f}; "
            "it is what such detectors kept on other worlds"
        )
    return lines


def _written(run: Run, table: pd.DataFrame) -> list[str]:
    lines = [f"run folder: {run.folder}"]
    scores = run.scores
    if scores["unfinished"]:
        lines.append(
            f"unfinished: {len(scores['folds'])} of {run.folds} folds; cv without --fold trains the rest"
        )
    path = run.folder / "submission.csv"
    if not (table["split"] == "test").any():
        lines.append("no test rows, so no test.csv and no submission.csv")
    elif path.is_file():
        ids = manifest.submission_ids(table).tolist()
        lines.append(f"submission: {path}, checked; {submission.summary(submission.check(path, ids))}")
    else:
        lines.append("no fold is finished, so no submission yet")
    return lines
