"""Runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from humanmade import competition, ledger, looks, metrics
from humanmade.evaluation import columns, forecast
from humanmade.evaluation.forecast_model import Model
from humanmade.run import Run
from humanmade.scores import Scores

FEWEST_SCORES = 3
"""Leaderboard scores that a rank correlation needs."""


def report(runs: Sequence[Run], submitted: Sequence[ledger.Row] = ()) -> tuple[pd.DataFrame, str]:
    """The table of `compare`, and all there is to say of it for a terminal."""
    table = compare(runs, submitted)
    lines = [shown(table).to_string(index=False), *_grid_differences(runs)]
    if looked := leaderboard_looks(submitted):
        lines.append(looked)
    metric = competition.CURRENT.metric_name
    for column, what in zip(of_the_metric(), ("fold", "forecast"), strict=True):
        correlation = rank_correlation(table, column)
        if correlation is not None:
            lines.append(f"rank correlation of {what} {metric} and public score: {correlation:.2f}")
    lines.append(f"{metrics.all_ones()}; runs are ranked by {ranked_by()}")
    return table, "\n".join(lines)


def compare(runs: Sequence[Run], submitted: Sequence[ledger.Row] = ()) -> pd.DataFrame:
    """One row a run, best `selection` first: `run`, the metrics (`humanmade.evaluation.columns`), `folds,
    seconds, public, private`, then `fold0`, `fold1`, ... with each fold's F1.

    `selection` is the score that ranked detectors best on other worlds. The forecast is sharpened by what
    those of other runs missed on the leaderboard. `spread` is the standard deviation over folds; `folds`
    counts the finished ones; `public` and `private` are the leaderboard's scores of what was submitted of
    that run alone.
    """
    table = pd.DataFrame([_row(run, submitted) for run in runs])
    return table.sort_values("selection", ascending=False, na_position="last", ignore_index=True)


def _row(run: Run, submitted: Sequence[ledger.Row]) -> dict[str, object]:
    scores = run.scores
    public, private = ledger.leaderboard(run.name, submitted)
    return {
        "run": run.name,
        **columns.values(_sharpened(run.name, scores, submitted)),
        "folds": f"{len(scores.folds)}{' (unfinished)' if scores.unfinished else ''}",
        "seconds": sum(fold.seconds for fold in scores.folds),
        "public": public,
        "private": private,
        **{f"fold{fold.fold}": fold.f1 for fold in scores.folds},
    }


def _sharpened(name: str, scores: Scores, submitted: Sequence[ledger.Row]) -> Scores:
    if scores.forecast is None:
        return scores
    others = ledger.foretold([row for row in submitted if row.get("runs") != name])
    return replace(scores, forecast=forecast.sharpened(scores.forecast, others, scores.prevalence))


def _grid_differences(runs: Iterable[Run]) -> list[str]:
    """A line for each run whose corrupted scores are of fewer corruptions than another's."""
    grids = {run.name: scores.corruptions for run in runs for scores in [run.scores] if scores.corrupted}
    union = dict.fromkeys(name for grid in grids.values() for name in grid)
    return [
        f"{run} was scored under fewer corruptions (without {', '.join(lacking)}), so its corrupted scores "
        "do not compare"
        for run, grid in grids.items()
        if (lacking := [name for name in union if name not in grid])
    ]


def rank_correlation(table: pd.DataFrame, column: str = "f1") -> float | None:
    """Spearman's correlation of a column (fold F1, say) and the public score.

    None with fewer than three scores, or all equal.
    """
    from scipy.stats import spearmanr

    scored = table.dropna(subset=[column, "public"])[[column, "public"]].astype(float)
    if len(scored) < FEWEST_SCORES or (scored.nunique() < 2).any():
        return None
    return float(spearmanr(scored).statistic)


def leaderboard_looks(submitted: Sequence[ledger.Row]) -> str | None:
    """What the number of looks at the public leaderboard says of its best; None with fewer than two.

    Its score has no sampling error here, since how many rows the public score is of is not known. So the
    optimism of the best is told as it would be if the scores' spread were noise alone, which it is at most.
    """
    scored = [
        (public, row.get("file", ""))
        for row in submitted
        if (public := ledger.score(row, "public")) is not None
    ]
    if len(scored) < 2:
        return None
    publics = [public for public, _ in scored]
    metric = competition.CURRENT.metric_name
    best, spread = int(np.argmax(publics)), float(np.std(publics, ddof=1))
    return (
        f"{len(scored)} looks at the public leaderboard: best {metric} {publics[best]:.3f} (look {best + 1}, "
        f"{scored[best][1]}), standard deviation {spread:.3f}; the best of {len(scored)} is expected to be "
        f"up to {looks.expected_maximum(len(scored)) * spread:.3f} better than it is"
    )


def of_the_metric() -> tuple[str, str]:
    """The columns with the folds' score and the forecast by the competition's metric."""
    return ("f1", "forecast_f1") if competition.CURRENT.metric == "f1" else ("auc", "forecast")


def ranked_by() -> str:
    """What the column `selection` is, in words."""
    ranking = forecast.RANKING
    if ranking == forecast.MODEL:
        return "the forecast AUC, before past submissions correct it"
    return f"the AUC that '{ranking.name}' foretells" if isinstance(ranking, Model) else ranking


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns for people, as text under short headings; those without any value are left out."""
    metric_columns = [metric for metric in columns.METRICS if metric.of_run and metric.heading]
    leaderboard = [columns.Metric(name, name) for name in ("public", "private")]
    cells = {
        metric.heading: [metric.text(value) for value in table[metric.key].astype(float)]
        for metric in [*metric_columns, *leaderboard]
        if table[metric.key].notna().any()
    }
    text: dict[str, Any] = {"run": table["run"], **cells, "folds": table["folds"]}
    return pd.DataFrame(text)
