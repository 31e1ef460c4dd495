"""Recipes measured side by side: folds on some data, the forecast for other sets, and what those say.

One command makes the tables of the README, of the ablations and of the forecast's errors. Runs are kept
and continued like any other, so a table can be stopped and gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humanmade import detectors, files, looks
from humanmade import recipe as recipes
from humanmade.bench import calibration, table
from humanmade.bench.table import COLUMNS, COUNTS, NAMES, TOGETHER, mean_of
from humanmade.bench.worlds import Bench, World, shift, worlds
from humanmade.crossval import Options, cross_validate
from humanmade.errors import UserError
from humanmade.evaluation import evaluate as evaluation
from humanmade.evaluation.forecast import forecast
from humanmade.evaluation.kept import Facts, facts_of
from humanmade.recipe import Recipe
from humanmade.run import Run


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
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise UserError(f"--columns {unknown[0]}: known are {', '.join(COLUMNS)}")
    rows = measure(lines, bench)
    blocks = [table.as_markdown(rows, names), *table.standings(rows), *table.forecast_errors(rows)]
    return [*blocks, *(calibration.report(rows) if bench.calibrate else [])]


def measure(lines: Sequence[str], bench: Bench) -> pd.DataFrame:
    """One row a line, world and set (`table.COLUMNS`); means over seeds. Every row is a look at its set.

    The labels of a set are used for its scores alone: a run sees the pictures of all sets as unlabelled
    test rows.
    """
    variants = [(line, _recipe(line)) for line in lines]
    for line, recipe in variants:
        detectors.create(recipe)
        if bench.seeds > 1 and len(recipe.seeds) > 1:
            raise UserError(f"bench: '{line}' sets seeds; --seeds {bench.seeds} does that")
    found = worlds(bench)
    rows: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, (line, recipe) in enumerate(variants):
        for world in found:
            place = f", trained on {world.name}" if bench.each else ""
            print(f"[{number + 1}/{len(variants)}] {line}{place}", flush=True)
            rows += _measured(line, recipe, world, bench, counts)
            files.write_csv(bench.out / "table.csv", _as_table(rows, counts))
    return _as_table(rows, counts)


def _as_table(rows: list[dict[str, Any]], counts: dict[str, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["looks"] = table["set"].map(counts)
    return table.astype(dict.fromkeys(COLUMNS[len(NAMES) :], float)).astype(dict.fromkeys(COUNTS, "Int64"))


def _recipe(line: str) -> Recipe:
    name, *changes = line.split()
    return recipes.load(name, changes)


def _folder(line: str, world: World, seed: int | None, bench: Bench) -> Path:
    name = f"{line} on {world.name}" if bench.each else line
    name = "".join(letter if letter.isalnum() or letter in "._-=" else "_" for letter in name)
    return bench.out / (name if seed is None else f"{name}-seed{seed}")


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
        seen = looks.record("bench", judge.folders, judge.rows, line, runs, scores)
        if seen:
            counts[name] = len(seen.looks)
            print(looks.sentence(seen), flush=True)
        yield {"recipe": line, "trained_on": world.name, "set": name} | scores
    if len(world.judges) > 1:
        rows = pd.concat([judge.rows for judge in world.judges.values()], ignore_index=True)
        scores = _mean_scores(runs, world, TOGETHER, rows)
        yield {"recipe": line, "trained_on": world.name, "set": TOGETHER} | scores


def _mean_scores(runs: Sequence[Run], world: World, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Scores of one set, averaged over trainings that differ in their seed."""
    parts = []
    for run in runs:
        logits = files.read_numbers(run.folder / "test.csv", ("id", "logit")).set_index("id")["logit"]
        found = evaluation.evaluate(rows, logits[rows["id"]].to_numpy())
        facts = facts_of(run.scores)
        if facts:
            facts = replace(facts, shift=shift(world, name, rows))
        generators = set(rows.loc[rows["label"] == 1, "source"])
        parts.append(_of_run(run, facts) | forecast_of(run, facts, len(rows)) | _of_set(found, generators))
    return {key: mean_of([part[key] for part in parts]) for key in parts[0]}


def _of_run(run: Run, facts: Facts | None) -> dict[str, float | None]:
    known = asdict(facts) if facts else dict.fromkeys(each.name for each in fields(Facts))
    minutes = sum(run.finished_fold(key)["seconds"] for key in run.finished()) / 60
    return known | {"f1": run.scores["f1"], "minutes": minutes}


def forecast_of(run: Run, facts: Facts | None, size: int) -> dict[str, float | None]:
    """What a run foretells of the AUC on a set: `forecast` and the ends of its interval, `low` and `high`.

    Args:
        facts: of the run, with the shift of that set; None where no fold is scored.
        size: pictures of the set.
    """
    if facts is None:
        return dict.fromkeys(("forecast", "low", "high"))
    spread = float(np.std([fold["auc"] for fold in run.scores["folds"]]))
    said = forecast(facts, spread, size, run.scores["prevalence"])
    return {"forecast": said.auc, "low": said.low, "high": said.high}


def _of_set(found: dict[str, Any], generators: set[str]) -> dict[str, float | None]:
    # A source of both labels is scored per label.
    by_generator = [auc for name, auc in found["sources"].items() if name.removesuffix(" (1)") in generators]
    return {
        "auc": found["auc"],
        "zeros": round(found["rows"] * (1 - found["own_prevalence"])),
        "ones": round(found["rows"] * found["own_prevalence"]),
        "inside": found["inside_mean"],
        "inside_worst": found["inside_worst"],
        "worse": found["worse"],
        "worse_error": found["worse_error"],
        "cross": found["cross"].get("mean"),
        "cross_worst": found["cross"].get("worst"),
        "tpr_at_1_fpr": found["tpr_at_1_fpr"],
        "offset": found["offset"],
        "accuracy": found["accuracy"],
        "balanced_accuracy": found["balanced_accuracy"],
        "worst_generator": min(by_generator, default=None),
        "worst_source": found["sources"].get("worst"),
    }
