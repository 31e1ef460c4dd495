"""Recipes measured side by side: folds on one set, the forecast for another, and what that one says.

One command makes the tables of the README, of the ablations and of the forecast's errors. Runs are kept
and continued like any other, so a table can be stopped and gone on with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humanmade import detectors, files
from humanmade import recipe as recipes
from humanmade.crossval import Options, cross_validate
from humanmade.data import inventory, manifest
from humanmade.errors import UserError
from humanmade.evaluation import evaluate as evaluation
from humanmade.recipe import Recipe
from humanmade.run import Run

COLUMNS = (
    *("folds", "f1", "corrupted", "look_alikes", "counterparts", "forecast", "low", "high"),
    *("auc", "accuracy", "balanced_accuracy", "worst_generator", "worst_source", "minutes"),
)
"""What is measured of each line, beside `recipe`: on the folds, in the forecast, on the shifted set."""

SHIFTED = "shifted/"
"""Put before the ids of the shifted set, which may be those of the training set as well."""


@dataclass(frozen=True)
class Bench:
    """What every line of a table has in common."""

    train: Sequence[Path]
    shifted: Path | None
    out: Path
    """Folder of the runs."""
    fold: int | str | None = None
    seeds: int = 1
    weights: Path | None = None


def read_lines(asked: Sequence[str]) -> list[str]:
    """A table's lines, `recipe key=value ...`, given one by one or as a .txt file with one each.

    Raises:
        UserError: there is no such file, nothing in it, or a line twice.
    """
    lines: list[str] = []
    for each in asked:
        if each.endswith(".txt"):
            try:
                text = Path(each).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{each}: not readable ({error})") from None
            lines += [line.strip() for line in text.splitlines()]
        else:
            lines.append(each.strip())
    lines = [line for line in lines if line and not line.startswith("#")]
    twice = [line for number, line in enumerate(lines) if line in lines[:number]]
    if twice or not lines:
        raise UserError(f"bench: '{twice[0]}' stands there twice" if twice else "bench: no recipe is given")
    return lines


def measure(lines: Sequence[str], bench: Bench) -> pd.DataFrame:
    """One row a line: fold scores on `train`, the forecast, and scores on `shifted`; means over seeds.

    The labels of `shifted` are used for its scores alone: the run sees its pictures as unlabelled test
    rows.
    """
    variants = [(line, _recipe(line)) for line in lines]
    for line, recipe in variants:
        detectors.create(recipe, bench.weights)
        if bench.seeds > 1 and len(recipe.seeds) > 1:
            raise UserError(f"bench: '{line}' sets seeds; --seeds {bench.seeds} does that")
    rows = []
    for number, (line, recipe) in enumerate(variants):
        print(f"[{number + 1}/{len(variants)}] {line}", flush=True)
        parts = []
        for seed in range(bench.seeds):
            seeded = recipes.change(recipe, seeds=[seed]) if bench.seeds > 1 else recipe
            parts.append(
                _measured(seeded, bench, _folder(line, bench.out, seed if bench.seeds > 1 else None))
            )
        rows.append({"recipe": line} | {key: _mean([part[key] for part in parts]) for key in parts[0]})
        files.write_csv(bench.out / "table.csv", pd.DataFrame(rows))
    return pd.DataFrame(rows)


def _recipe(line: str) -> Recipe:
    name, *changes = line.split()
    return recipes.load(name, changes)


def _folder(line: str, out: Path, seed: int | None) -> Path:
    name = "".join(letter if letter.isalnum() or letter in "._-=" else "_" for letter in line)
    return out / (name if seed is None else f"{name}-seed{seed}")


def _measured(recipe: Recipe, bench: Bench, folder: Path) -> dict[str, float | None]:
    """Run one recipe, or find it done, and score what it says of the set it was not trained on."""
    table = inventory.attach(manifest.load(bench.train))
    if bench.shifted:
        labelled = inventory.attach(manifest.load([bench.shifted], keep_test_labels=True))
        target = evaluation.labelled_rows(labelled, None)
        unlabelled = target.assign(
            id=SHIFTED + target["id"], split="test", label=-1, pair="", group="", source=""
        )
        table = pd.concat([table[table["split"] == "train"], unlabelled], ignore_index=True)
    else:
        labelled = inventory.attach(manifest.load(bench.train, keep_test_labels=True))
        target = evaluation.labelled_rows(labelled, "test")
    scores = cross_validate(recipe, table, Run(folder), Options(bench.fold, weights=bench.weights))
    logits = files.read_numbers(folder / "test.csv", ("id", "logit")).set_index("id")["logit"]
    names = SHIFTED + target["id"] if bench.shifted else target["id"]
    found = evaluation.evaluate(target, logits[names].to_numpy())
    said, grid = scores["forecast"] or {}, scores["corrupted"]
    generators = set(target.loc[target["label"] == 1, "source"])
    measured = {
        "folds": scores["auc"],
        "f1": scores["f1"],
        "corrupted": grid.get("mean", {}).get("auc"),
        "look_alikes": scores["shifted"].get("look_alikes"),
        "counterparts": scores["shifted"].get("counterparts"),
        "forecast": said.get("auc"),
        "low": said.get("low"),
        "high": said.get("high"),
        "auc": found["auc"],
        "accuracy": found["accuracy"],
        "balanced_accuracy": found["balanced_accuracy"],
        "worst_generator": min(
            (auc for name, auc in found["sources"].items() if name in generators), default=None
        ),
        "worst_source": found["sources"].get("worst"),
        "minutes": sum(Run(folder).finished_fold(key)["seconds"] for key in Run(folder).finished()) / 60,
    }
    assert set(measured) == set(COLUMNS)
    return measured


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def as_markdown(table: pd.DataFrame, columns: Sequence[str] = ()) -> str:
    """The table for a document: three digits, empty columns left out."""
    shown = table[list(columns)] if columns else table.dropna(axis="columns", how="all")
    lines = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * len(shown.columns)]
    for row in shown.to_dict("records"):
        cells = [_cell(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if np.isfinite(value) else "-"
    return f"`{value}`"


def forecast_errors(table: pd.DataFrame) -> list[str]:
    """How well the forecasts of a table foresaw its `auc`, in sentences."""
    known = table.dropna(subset=["forecast", "folds", "auc"])
    if len(known) < 3:
        return []
    seen = known["auc"]
    errors = {name: float((known[name] - seen).abs().mean()) for name in ("forecast", "folds")}
    constant = float((seen - seen.median()).abs().mean())
    held = float(((known["low"] <= seen) & (seen <= known["high"])).mean())
    ranks = {name: float(known[name].corr(seen, method="spearman")) for name in ("forecast", "folds")}
    return [
        f"{len(known)} recipes; mean absolute error of the forecast {errors['forecast']:.3f}, of the fold "
        f"score {errors['folds']:.3f}, of the best constant {constant:.3f}",
        f"intervals of mean width {float((known['high'] - known['low']).mean()):.3f} hold {held:.0%}",
        f"Spearman correlation with what was seen: forecast {ranks['forecast']:.2f}, "
        f"fold score {ranks['folds']:.2f}",
    ]
