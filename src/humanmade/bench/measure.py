"""Recipes measured side by side: folds on some data, the forecast for other sets, and what those say.

One command makes the tables of the README, of the ablations and of the forecast's errors. Runs are kept
and continued like any other, so a table can be stopped and gone on with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import detectors, files, looks
from humanmade import recipe as recipes
from humanmade.bench import calibration, table
from humanmade.bench.table import COUNTS, NAMES, TOGETHER
from humanmade.bench.table import columns as columns_of_bench
from humanmade.bench.worlds import Bench, World, distance_of, worlds
from humanmade.crossval import Options, cross_validate
from humanmade.errors import UserError
from humanmade.evaluation import columns as metric_columns
from humanmade.evaluation import evaluate as evaluation
from humanmade.evaluation.forecast import facts_of, forecast_of
from humanmade.images.views import expand
from humanmade.recipe import Recipe
from humanmade.run import Run

LONGEST = 180
"""Letters of a line that name its folder; more are told by a hash."""


def read_lines(recipes_or_files: Sequence[str]) -> list[str]:
    """A table's lines, `recipe key=value ...`, given one by one or as a .txt file with one each."""
    lines: list[str] = []
    for argument in recipes_or_files:
        try:
            text = Path(argument).read_text(encoding="utf-8") if argument.endswith(".txt") else argument
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{argument}: not readable ({error})") from None
        lines += map(str.strip, text.splitlines())
    lines = [line for line in lines if line and not line.startswith("#")]
    twice = [line for number, line in enumerate(lines) if line in lines[:number]]
    if twice or not lines:
        raise UserError(f"bench: '{twice[0]}' stands there twice" if twice else "bench: no recipes given")
    return lines


def report(lines: Sequence[str], bench: Bench, columns: str = "") -> list[str]:
    """Measure recipes, and lay out the table, who stands where, and what forecasts miss; then calibrate.

    Args:
        lines: `recipe key=value ...`.
        columns: names of those to lay out, with commas between; empty for all.

    Raises:
        UserError: no such column or recipe, or nothing to judge by.
    """
    names = columns.split(",") if columns else []
    unknown = [name for name in names if name not in columns_of_bench()]
    if unknown:
        raise UserError(f"--columns {unknown[0]}: known are {', '.join(columns_of_bench())}")
    rows = measure(lines, bench)
    blocks = [table.as_markdown(rows, names), *table.standings(rows)]
    return [*blocks, *(calibration.report(rows) if bench.calibrate else [])]


def measure(lines: Sequence[str], bench: Bench) -> pd.DataFrame:
    """One row a line, world and set (`table.columns`); means over seeds. Every row is a look at its set.

    The labels of a set are used for its scores alone: a run sees the pictures of all sets as unlabelled
    test rows.
    """
    variants = [(line, recipes.load(line.split()[0], line.split()[1:])) for line in lines]
    for line, recipe in variants:
        detectors.create(recipe)
        expand(recipe.views)
        if bench.seeds > 1 and len(recipe.seeds) > 1:
            raise UserError(f"bench: '{line}' sets seeds; --seeds {bench.seeds} does that")
    trained = worlds(bench)
    rows: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, (line, recipe) in enumerate(variants):
        for world in trained:
            place = f", trained on {world.name}" if bench.each else ""
            print(f"[{number + 1}/{len(variants)}] {line}{place}", flush=True)
            rows += _measured(line, recipe, world, bench, counts)
            files.write_csv(bench.out / "table.csv", _as_table(rows, counts))
    return _as_table(rows, counts)


def _as_table(rows: list[dict[str, Any]], counts: dict[str, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns_of_bench())
    table["looks"] = table["set"].map(counts)
    kinds = dict.fromkeys(columns_of_bench(), "float64") | dict.fromkeys(NAMES, "object")
    return table.astype(kinds).astype(dict.fromkeys(COUNTS, "Int64"))


def _folder(line: str, world: World, seed: int | None, bench: Bench) -> Path:
    """The folder of a run: one each, as a run's answer for a set is the mean of all folds that lie there."""
    name = f"{line} on {world.name}" if bench.each else line
    name = "".join(letter if letter.isalnum() or letter in "._-=" else "_" for letter in name)
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    endings = {"fold": bench.fold, "seed": seed}
    return bench.out / (name + "".join(f"-{k}{v}" for k, v in endings.items() if v is not None))


def _measured(
    line: str, recipe: Recipe, world: World, bench: Bench, counts: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Run one recipe in one world, or find it done, and score what it says of each set and of all.

    Args:
        counts: looks at each set, brought up to date.
    """
    runs = []
    for seed in range(bench.seeds):
        seeded = recipes.change(recipe, seeds=[seed]) if bench.seeds > 1 else recipe
        run = Run(_folder(line, world, seed if bench.seeds > 1 else None, bench))
        cross_validate(seeded, world.table, run, Options(bench.fold))
        runs.append(run)
    for name, judge in world.judges.items():
        for run in runs:
            evaluation.warn_of_training_rows(run, judge.rows)
        scores = _mean_scores(runs, world, name, judge.rows)
        number, said = looks.count("bench", judge.folders, judge.rows, line, runs, scores)
        print(said, flush=True)
        if number:
            counts[name] = number
        yield {"recipe": line, "trained_on": world.name, "set": name} | scores
    if len(world.judges) > 1:
        rows = pd.concat([judge.rows for judge in world.judges.values()], ignore_index=True)
        scores = _mean_scores(runs, world, TOGETHER, rows)
        yield {"recipe": line, "trained_on": world.name, "set": TOGETHER} | scores


def _mean_scores(runs: Sequence[Run], world: World, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """What runs say of one set and score on it, averaged over trainings that differ in their seed."""
    parts = []
    for run in runs:
        logits = run.test
        assert logits is not None, "a set's rows are test rows"
        judged = evaluation.evaluate(rows, logits[rows["id"]].to_numpy())
        scores = run.scores
        if facts_of(scores):  # else no fold is scored
            scores = replace(scores, distance=distance_of(world, name, rows))
            scores = replace(scores, forecast=forecast_of(scores, len(rows)))
        facts = facts_of(scores)
        parts.append(
            {
                **(facts or {}),
                **metric_columns.values(scores),
                **metric_columns.values(judged),
                "worse_error": judged.worse_error,
                "zeros": int((rows["label"] == 0).sum()),
                "ones": int((rows["label"] == 1).sum()),
                "minutes": sum(run.finished_fold(key).seconds for key in run.finished()) / 60,
            }
        )
    return dict(pd.DataFrame(parts, dtype=float).mean())
