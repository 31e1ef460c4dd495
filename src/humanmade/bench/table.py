"""The table of a bench: its columns, for a document, and what it says of recipes and of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

NAMES = ("recipe", "trained_on", "set")
"""What a row is of."""

COLUMNS = (
    *NAMES,
    *("folds", "f1", "corrupted", "counterparts", "sensitivity", "flips", "canary", "sources", "shift"),
    *("forecast", "low", "high"),
    *("auc", "inside", "inside_worst", "worse", "cross", "cross_worst", "tpr_at_1_fpr", "offset"),
    *(
        "accuracy",
        "balanced_accuracy",
        "worst_generator",
        "worst_source",
        "zeros",
        "ones",
        "looks",
        "minutes",
    ),
)
"""One row is of a recipe, the data it was trained on and a set: on the folds, in the forecast, on the set.

`folds` to `shift` but for `f1` are the facts of `humanmade.evaluation.kept`; `zeros` and `ones` count the
set's pictures of each class. `inside` and `cross` are means over repos and over pairs of sources; `worse`
is the set's number in the protocol (`humanmade.metrics.worse_of`), `looks` how many looks at the set there
were when the table was written, and `minutes` are of training and predicting all folds.
"""

COUNTS = ("sources", "zeros", "ones", "looks")
"""Columns of whole numbers."""

TOGETHER = "together"
"""The set that is all sets joined."""

JOINED = " + "
"""Between the names of worlds that were trained on together."""


def as_markdown(table: pd.DataFrame, columns: Sequence[str] = ()) -> str:
    """The table for a document: three digits, empty columns left out."""
    shown = table[list(columns)] if columns else table.dropna(axis="columns", how="all")
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * len(shown.columns)]
    for row in shown.to_dict("records"):
        cells = [f"`{value}`" if name == "recipe" else _cell(value) for name, value in row.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def standings(table: pd.DataFrame) -> list[str]:
    """The recipes ranked by the protocol's number: the mean over sets of `worse`.

    Where each data folder is a training set of its own, the mean is over all pairs of one and a set. All
    sets joined are none of them. Every recipe's looks wear a set out, so they are told of each set.
    """
    alone = table[table["set"] != TOGETHER].dropna(subset=["worse"])
    if alone.empty:
        return []
    means = alone.groupby("recipe", sort=False)["worse"].mean().sort_values(ascending=False, kind="stable")
    lines = ["protocol: mean over sets of the worse of the pooled AUC and the mean AUC inside repos"]
    for rank, (recipe, mean) in enumerate(means.items(), 1):
        own = alone[alone["recipe"] == recipe]
        several = own["trained_on"].nunique() > 1
        parts = [
            f"{f'{row.trained_on} -> ' if several else ''}{row.set} {row.worse:.3f}"
            for row in own.itertuples()
        ]
        lines.append(f"{rank:3}. {mean:.3f}  {recipe} ({', '.join(parts)})")
    looks = alone.groupby("set", sort=False)["looks"].max()
    lines.append("looks behind each set: " + ", ".join(f"{name} {count}" for name, count in looks.items()))
    return ["\n".join(lines)]


def forecast_errors(table: pd.DataFrame) -> list[str]:
    """How well the forecasts of a table foresaw its `auc`, in sentences; all sets joined are left out."""
    known = table[table["set"] != TOGETHER].dropna(subset=["forecast", "folds", "auc"])
    if len(known) < 3:
        return []
    seen = known["auc"]
    errors = {name: float((known[name] - seen).abs().mean()) for name in ("forecast", "folds")}
    constant = float((seen - seen.median()).abs().mean())
    held = float(((known["low"] <= seen) & (seen <= known["high"])).mean())
    ranks = {name: float(known[name].corr(seen, method="spearman")) for name in ("forecast", "folds")}
    return [
        f"{len(known)} forecasts of {known['recipe'].nunique()} recipes; mean absolute error of the forecast "
        f"{errors['forecast']:.3f}, of the fold score {errors['folds']:.3f}, "
        f"of the best constant {constant:.3f}",
        f"intervals of mean width {float((known['high'] - known['low']).mean()):.3f} hold {held:.0%}",
        f"Spearman correlation with what was seen: forecast {ranks['forecast']:.2f}, "
        f"fold score {ranks['folds']:.2f}",
    ]


def mean_of(values: Sequence[Any]) -> float | None:
    """Mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else None
