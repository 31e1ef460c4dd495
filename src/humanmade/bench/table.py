"""The table of a bench: its columns, for a document, and what it says of recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from humanmade.evaluation import columns as metric_columns
from humanmade.evaluation.columns import Metric
from humanmade.evaluation.forecast import Facts

NAMES = ("recipe", "trained_on", "set")
"""What a row is of."""
FACTS = tuple(Facts.__annotations__)
"""What a model of the forecast weighs (`humanmade.evaluation.forecast`)."""
COUNTS = ("zeros", "ones", "looks")
"""Columns of whole numbers."""
TOGETHER = "together"
"""The set that is all sets joined."""
JOINED = " + "
"""Between the names of worlds that were trained on together."""


def columns() -> list[str]:
    """One row is of a recipe, the data it was trained on and a set.

    Facts and metrics of the run, with the forecast for the set, come first; then the set's own metrics,
    which have the better claim to a name that both have (`humanmade.evaluation.columns`). `zeros` and `ones`
    count the set's pictures of each class, `looks` how many looks at the set there were when the table was
    written, and `minutes` are of training and predicting all folds.
    """
    return [*dict.fromkeys([*NAMES, *FACTS, *metric_columns.keys(), "zeros", "ones", "looks", "minutes"])]


def as_markdown(table: pd.DataFrame, names: Sequence[str] = ()) -> str:
    """The table for a document, empty columns left out."""
    shown = table[list(names)] if names else table.dropna(axis="columns", how="all")
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * len(shown.columns)]
    metrics = {metric.key: metric for metric in metric_columns.METRICS}
    for row in shown.to_dict("records"):
        cells = [_cell(metrics.get(str(name), Metric(str(name))), value) for name, value in row.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(metric: Metric, value: Any) -> str:
    if metric.key == "recipe":
        return f"`{value}`"
    if pd.isna(value):
        return "-"
    return metric.text(value) if isinstance(value, float) else str(value)


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
        rows = alone[alone["recipe"] == recipe]
        several = rows["trained_on"].nunique() > 1
        parts = [
            f"{f'{row.trained_on} -> ' if several else ''}{row.set} {row.worse:.3f}"
            for row in rows.itertuples()
        ]
        lines.append(f"{rank:3}. {mean:.3f}  {recipe} ({', '.join(parts)})")
    looks = alone.groupby("set", sort=False)["looks"].max()
    lines.append("looks behind each set: " + ", ".join(f"{name} {count}" for name, count in looks.items()))
    return ["\n".join(lines)]
