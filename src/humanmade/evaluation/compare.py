"""Runs and blends side by side: ranked by what is known of them, with what is not beyond noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from humanmade import competition, ledger, looks, metrics
from humanmade.evaluation import columns, entries, forecast, significance, worth
from humanmade.evaluation.entries import Entry
from humanmade.evaluation.significance import Difference, Sample
from humanmade.run import Run

FEWEST_SCORES = 3
"""Leaderboard scores that a rank correlation needs."""

LACKING = "?"
"""Mark of a forecast that was made without something."""

TIES = {
    "leaderboard": "scores within the sampling error of that many test pictures",
    "folds": "a paired difference within noise",
    "forecast": "overlapping intervals, and no folds of the same rows",
}
"""What two neighbours may be tied by."""


@dataclass(frozen=True)
class Ranking:
    """Entries in the order of `table`'s rows."""

    entries: Sequence[Entry]
    table: pd.DataFrame
    samples: Mapping[int, Sample]
    """Resampled folds by the place of an entry, where another run is of the same data."""

    def differences(self, first: int, second: int) -> dict[str, Difference]:
        """How two entries differ on the folds that both have, by metric; empty where there are none."""
        return significance.differences(*(self.samples.get(place, {}) for place in (first, second)))


def report(things: Sequence[Run | Entry], submitted: Sequence[ledger.Row] = ()) -> tuple[pd.DataFrame, str]:
    """The table of `compare`, and all there is to say of it for a terminal."""
    ranking = rank(things, submitted)
    lines: list[str] = []
    for heading, part in parts(ranking.table):
        seen = shown(part)
        headings = [f" {name}" for name in seen]  # of two words, so that columns stand farther apart
        lines += [f"{heading}:", seen.to_string(index=False, header=headings)]
        lines += [*_against_the_first(ranking, part), *_correlations(part), ""]
    for entry in ranking.entries if len(things) <= 2 else ():
        if blend := entry.blend():
            lines += [f"{entry.name}, {worth.ADDS}:", *worth.added(blend), ""]
    lines += [*_legend(ranking.table), *_grid_differences(ranking.entries)]
    if looked := leaderboard_looks(submitted):
        lines.append(looked)
    lines.append(f"{metrics.all_ones()}; runs are ranked by {ranked_by()}")
    return ranking.table, "\n".join(lines)


def compare(things: Sequence[Run | Entry], submitted: Sequence[ledger.Row] = ()) -> pd.DataFrame:
    """One row a run or blend: `run`, the metrics (`humanmade.evaluation.columns`), `folds, seconds, public,
    private`, each fold's F1 as `fold0`, `fold1`, ..., then `data, unfinished, lacks, tied`.

    Rows of the same data stand together, unfinished ones last. Of the others those with a public score come
    first, by it, then the rest by `selection`, the score that ranked detectors best on other worlds. `tied`
    says by what a row is tied with the one above (`TIES`), `lacks` what its forecast was made without.
    The forecast is corrected by what those of other submissions on the same data missed. `spread` is the
    standard deviation over folds; `folds` counts the finished ones; `public` and `private` are the
    leaderboard's scores of what was submitted of that run alone.
    """
    return rank(things, submitted).table


def rank(things: Sequence[Run | Entry], submitted: Sequence[ledger.Row] = ()) -> Ranking:
    """Bring runs and blends into the order of `compare`."""
    given = [entries.of(thing) for thing in things]
    # The same data may lie elsewhere by now, and runs of older kits do not say where it lay.
    noted = sorted((entry.scores for entry in given), key=lambda scores: bool(scores.data_folders))
    names = {scores.data: scores.data_name for scores in noted}
    table = pd.DataFrame([_row(entry, submitted, names[entry.scores.data]) for entry in given])
    by_data = table["data"].map({name: place for place, name in enumerate(table["data"].unique())})
    keys = {"data": by_data, "unfinished": table["unfinished"]}
    keys |= {name: -table[name].astype(float) for name in ("public", "selection")}
    order = pd.DataFrame(keys).sort_values([*keys], kind="stable", na_position="last").index
    ordered = [given[place] for place in order]
    several = table["data"].value_counts() > 1
    samples = {
        place: significance.sample(rows, entry.scores.prevalence)
        for place, entry in enumerate(ordered)
        if several[names[entry.scores.data]] and (rows := entry.held_out()) is not None
    }
    ranking = Ranking(ordered, table.loc[order].reset_index(drop=True), samples)
    ranking.table["tied"] = ["", *(_tie(ranking, *two) for two in pairwise(range(len(ordered))))]
    return ranking


def _row(entry: Entry, submitted: Sequence[ledger.Row], data: str) -> dict[str, object]:
    scores = forecast.shown(entry.scores, entry.key, submitted)
    own = ledger.of_data(submitted, scores.data)
    public, private = ledger.leaderboard(entry.key, own)
    return {
        "run": entry.name,
        **columns.values(scores),
        "folds": f"{len(scores.folds)}{' (unfinished)' if scores.unfinished else ''}",
        "seconds": sum(fold.seconds for fold in scores.folds),
        "public": public,
        "private": private,
        **{f"fold{fold.fold}": fold.f1 for fold in scores.folds},
        "data": data,
        "unfinished": scores.unfinished,
        "lacks": "embeddings" if scores.blind else "",
    }


def _tie(ranking: Ranking, above: int, place: int) -> str:
    """By what (of `TIES`) a row is tied with the one above it; empty where it is not."""
    first, second = (ranking.table.iloc[row] for row in (above, place))
    if first["data"] != second["data"] or first["unfinished"] or second["unfinished"]:
        return ""
    known = ranking.table[["public", "low", "high"]].astype(float).iloc[[above, place]]
    better, worse = known["public"]
    if known["public"].notna().all():
        pictures = min(ranking.entries[row].pictures for row in (above, place))
        noise = significance.leaderboard_noise(better, pictures)
        return "leaderboard" if better - worse <= noise else ""
    found = ranking.differences(above, place)
    if found:
        return "folds" if significance.decisive(found).verdict == significance.EVEN else ""
    overlap = known["low"].notna().all() and known["low"].max() <= known["high"].min()
    return "forecast" if overlap else ""


def parts(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each data, the unfinished ones apart, under a heading."""
    for (data, unfinished), part in table.groupby(["data", "unfinished"], sort=False):
        corrections = sorted({int(count) for count in part["corrected_by"].dropna()})
        said = "not corrected"
        if any(corrections):
            least, most = corrections[0], corrections[-1]
            said = f"corrected by {least if least == most else f'{least} to {most}'} submissions"
        yield f"{data}, {'unfinished and not ranked' if unfinished else f'forecasts {said}'}", part


def _against_the_first(ranking: Ranking, part: pd.DataFrame) -> list[str]:
    """How each run of a part differs from its first one, on the same folds; of two alone by every metric."""
    two = len(ranking.entries) == 2
    if len(part) < 2 or (part["unfinished"].any() and not two):
        return []
    first, *others = part.index
    lines = [f"against {part['run'][first]}, on the same folds:"]
    for place in others:
        found = ranking.differences(place, first)
        told: list[object] = [*found.values()] if two else [significance.decisive(found)] if found else []
        lines += [f"  {part['run'][place]}: {said}" for said in told or ["no folds of the same rows"]]
    return lines


def _correlations(part: pd.DataFrame) -> list[str]:
    """Spearman's correlation of fold scores and of forecasts with public scores, where there are enough."""
    contest, lines = competition.CURRENT, []
    of_metric = ("f1", "forecast_f1") if contest.metric == "f1" else ("auc", "forecast")
    for column, what in zip(of_metric, ("fold", "forecast"), strict=True):
        scored = part[[column, "public"]].astype(float).dropna()
        if len(scored) >= FEWEST_SCORES and (scored.nunique() > 1).all():
            correlation = scored["public"].corr(scored[column], method="spearman")
            lines.append(
                f"rank correlation of {what} {contest.metric_name} and public score: {correlation:.2f}"
            )
    return lines


def _legend(table: pd.DataFrame) -> list[str]:
    """What the marks in the table mean, where there are any."""
    ties = [f"by {name}: {why}" for name, why in TIES.items() if (table["tied"] == name).any()]
    lines = [f"= tied with the one above ({'; '.join(ties)})"] if ties else []
    return [*lines, *([f"{LACKING} a forecast made without embeddings"] if table["lacks"].any() else [])]


def _grid_differences(ranked: Sequence[Entry]) -> list[str]:
    """A line for each run whose corrupted scores are of fewer corruptions than another's."""
    grids = {entry.name: entry.scores.corruptions for entry in ranked if entry.scores.corrupted}
    union = dict.fromkeys(name for grid in grids.values() for name in grid)
    return [
        f"{run} was scored under fewer corruptions (without {', '.join(lacking)}), so its corrupted scores "
        "do not compare"
        for run, grid in grids.items()
        if (lacking := [name for name in union if name not in grid])
    ]


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


def ranked_by() -> str:
    """What the order of runs is by, in words."""
    return f"their public score where it is known, else by {forecast.RANKING}"


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns for people, as text under short headings; those without any value are left out."""
    metric_columns = [metric for metric in columns.METRICS if metric.of_run and metric.heading]
    leaderboard = [columns.Metric(name, name) for name in ("public", "private")]
    cells = {
        metric.heading: [metric.text(value) for value in table[metric.key].astype(float)]
        for metric in [*metric_columns, *leaderboard]
        if table[metric.key].notna().any()
    }
    if "forecast" in cells:
        marks = [LACKING if lack else "" for lack in table["lacks"]]
        cells["forecast"] = [cell + mark for cell, mark in zip(cells["forecast"], marks, strict=True)]
    text: dict[str, Any] = {"run": table["run"].tolist(), "folds": table["folds"].tolist(), **cells}
    if table["tied"].any():
        text["tied"] = [f"= by {by}" if by else "" for by in table["tied"]]
    return pd.DataFrame(text)
