"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from humanmade import competition, ledger, looks
from humanmade.evaluation.forecast import MODEL, RANKING, Forecast, selection, sharpened
from humanmade.evaluation.kept import Model, facts_of
from humanmade.run import Run

FEWEST_SCORES = 3
"""Leaderboard scores that a rank correlation needs."""


def compare(runs: Sequence[Run], submitted: Sequence[ledger.Row] = ()) -> pd.DataFrame:
    """One row a run, best `selection` first: `run, selection, f1, spread, auc, logloss, corrupted,
    worst_corrupted, sensitivity, flips, counterparts, forecast, low, high, forecast_f1, worst_source,
    folds, seconds, public, private`, then `fold0`, `fold1`, ... with each fold's F1.

    `selection` is the score that ranked detectors best on other worlds. The forecast is sharpened by what
    those of other runs missed on the leaderboard. `spread` is the standard deviation over
    folds; `folds` counts the finished ones; `public` and `private` are the leaderboard's scores of what was
    submitted of that run alone.
    """
    table = pd.DataFrame([_row(run, submitted) for run in runs])
    return table.sort_values("selection", ascending=False, na_position="last", ignore_index=True)


def rank_correlation(table: pd.DataFrame, foretelling: str = "f1") -> float | None:
    """Spearman's correlation of a column (fold F1, say) and the public score.

    None with fewer than three scores, or all equal.
    """
    scored = table.dropna(subset=[foretelling, "public"])
    if len(scored) < FEWEST_SCORES:
        return None
    correlation = scored[foretelling].astype(float).rank().corr(scored["public"].astype(float).rank())
    return None if np.isnan(correlation) else float(correlation)


def leaderboard_looks(submitted: Sequence[ledger.Row]) -> str | None:
    """What the number of looks at the public leaderboard says of its best; None with fewer than two.

    Its score has no sampling error here, since how many rows the public score is of is not known. So the
    optimism of the best is told as it would be if the scores' spread were noise alone, which it is at most.
    """
    known = [(ledger.score(row, "public"), row.get("file", "")) for row in submitted]
    scored = [(public, file) for public, file in known if public is not None]
    if len(scored) < 2:
        return None
    publics = [public for public, _ in scored]
    metric = competition.CURRENT.metric_name
    best, spread = max(range(len(scored)), key=publics.__getitem__), float(np.std(publics, ddof=1))
    return (
        f"{len(scored)} looks at the public leaderboard: best {metric} {publics[best]:.3f} (look {best + 1}, "
        f"{scored[best][1]}), standard deviation {spread:.3f}; the best of {len(scored)} is expected to be "
        f"up to {looks.expected_maximum(len(scored)) * spread:.3f} better than it is"
    )


def _row(run: Run, submitted: Sequence[ledger.Row]) -> dict[str, object]:
    scores = run.scores
    public, private = ledger.leaderboard(run.name, submitted)
    facts = facts_of(scores)
    said = Forecast(**scores["forecast"]) if scores.get("forecast") else None
    if said:
        others = [row for row in submitted if row.get("runs") != run.name]
        said = sharpened(said, ledger.foretold(others), scores.get("prevalence", 0.5))
    folds = scores["folds"]
    f1 = [fold["f1"] for fold in folds]
    row: dict[str, object] = {
        "run": run.name,
        "selection": facts and selection(facts),
        "f1": float(np.mean(f1)) if f1 else None,
        "spread": float(np.std(f1)) if f1 else None,
        "auc": scores.get("auc"),
        "logloss": scores.get("logloss"),
        "corrupted": scores.get("corrupted", {}).get("mean", {}).get("auc"),
        "worst_corrupted": scores.get("corrupted", {}).get("worst", {}).get("auc"),
        "sensitivity": scores.get("steadiness", {}).get("sensitivity"),
        "flips": scores.get("steadiness", {}).get("flips"),
        "counterparts": scores.get("shifted", {}).get("counterparts"),
        "forecast": said and said.auc,
        "low": said and said.low,
        "high": said and said.high,
        "forecast_f1": said and said.f1,
        "worst_source": scores.get("sources", {}).get("worst"),
        "folds": f"{len(folds)}{' (unfinished)' if scores.get('unfinished') else ''}",
        "seconds": sum(fold["seconds"] for fold in folds),
        "public": public,
        "private": private,
    }
    return row | {f"fold{fold['fold']}": fold["f1"] for fold in folds}


def of_the_metric() -> tuple[str, str]:
    """The columns with the folds' score and the forecast by the competition's metric."""
    return ("f1", "forecast_f1") if competition.CURRENT.metric == "f1" else ("auc", "forecast")


def ranked_by() -> str:
    """What the column `selection` is, in words."""
    if RANKING == MODEL:
        return "the forecast AUC, before past submissions correct it"
    return f"the AUC that '{RANKING.name}' foretells" if isinstance(RANKING, Model) else RANKING


SHOWN = {
    "run": "run",
    "selection": "ranked by",
    "f1": "F1",
    "auc": "AUC",
    "corrupted": "corrupted",
    "worst_corrupted": "worst",
    "sensitivity": "moved",
    "flips": "flips",
    "counterparts": "remade",
    "forecast": "forecast",
    "interval": "80 %",
    "forecast_f1": "its F1",
    "public": "public",
    "private": "private",
    "folds": "folds",
}
"""Columns for a terminal, with their headings; the CSV has all of them."""


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns for people, under short headings; those without any value are left out."""
    ends = zip(table["low"], table["high"], strict=True)
    spans = [f"{low:.2f}-{high:.2f}" if pd.notna(low) else "-" for low, high in ends]
    chosen = table.assign(interval=spans)[list(SHOWN)].rename(columns=SHOWN)
    return chosen.drop(columns=[column for column in chosen if chosen[column].isna().all()])


def as_text(table: pd.DataFrame, submitted: Sequence[ledger.Row] = ()) -> str:
    """Lay the comparison out for a terminal (AUC but for F1 and the leaderboard), and say how to read it."""
    lines = [shown(table).to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}")]
    leaderboard = leaderboard_looks(submitted)
    if leaderboard:
        lines.append(leaderboard)
    for column, what in zip(of_the_metric(), ("fold", "forecast"), strict=True):
        correlation = rank_correlation(table, column)
        if correlation is not None:
            metric = competition.CURRENT.metric_name
            lines.append(f"rank correlation of {what} {metric} and public score: {correlation:.2f}")
    lines.append(f"{competition.baseline()}; they are ranked by {ranked_by()}")
    return "\n".join(lines)
