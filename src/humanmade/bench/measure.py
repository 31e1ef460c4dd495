"""Recipes measured side by side: folds on some data, the forecast for other sets, and what those say.

One command makes the tables of the README, of the ablations and of the forecast's errors. Runs are kept
and continued like any other, so a table can be stopped and gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import detectors, files, looks
from humanmade import recipe as recipes
from humanmade.bench.table import COLUMNS, NAMES, TOGETHER, mean_of
from humanmade.crossval import Options, cross_validate
from humanmade.data import inventory, manifest
from humanmade.errors import UserError
from humanmade.evaluation import evaluate as evaluation
from humanmade.recipe import Recipe
from humanmade.run import Run

SHIFTED = "shifted/"
"""Put, with the set's name, before the ids of a set, which may be those of the training set as well."""

OWN = "test"
"""Name of the set that is the test rows of the training data itself."""


@dataclass(frozen=True)
class Bench:
    """What every line of a table has in common."""

    data: Sequence[Path]
    """To train on: joined, or each by itself."""
    shifted: Sequence[Path]
    """To be judged on; where there are none, the test rows of `data`."""
    out: Path
    """Folder of the runs."""
    each: bool = False
    """Train on each folder of `data` by itself and let the others judge it too."""
    fold: int | str | None = None
    seeds: int = 1
    weights: Path | None = None


@dataclass(frozen=True)
class Judge:
    """A labelled set that judges."""

    folders: Sequence[Path]
    rows: pd.DataFrame
    """With labels and sources, under the ids that a run predicts."""


@dataclass(frozen=True)
class World:
    """Data to train on, with the sets that judge what was trained there."""

    name: str
    table: pd.DataFrame
    """The train rows, and the rows of all sets as unlabelled test rows."""
    judges: dict[str, Judge]


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
    """One row a line, world and set (`table.COLUMNS`); means over seeds. Every row is a look at its set.

    The labels of a set are used for its scores alone: a run sees the pictures of all sets as unlabelled
    test rows.
    """
    variants = [(line, _recipe(line)) for line in lines]
    for line, recipe in variants:
        detectors.create(recipe, bench.weights)
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
    return table.astype(dict.fromkeys([*COLUMNS[len(NAMES) :]], float) | {"looks": "Int64"})


def _recipe(line: str) -> Recipe:
    name, *changes = line.split()
    return recipes.load(name, changes)


def worlds(bench: Bench) -> list[World]:
    """What is trained on and what judges it.

    Raises:
        UserError: a set has no labels, nothing is left to judge, or a folder has the name of all sets joined.
    """
    names = dict(zip([*bench.data, *bench.shifted], _names(bench), strict=True))
    if not bench.each:
        table = inventory.attach(manifest.load(bench.data))
        name = " + ".join(names[folder] for folder in bench.data)
        if bench.shifted:
            return [_world(name, table, {names[folder]: _judge([folder]) for folder in bench.shifted})]
        return [World(name, table, {OWN: _judge(bench.data, "test")})]
    if len(names) < 2:
        raise UserError("--each: one folder has none to be judged by; give another --data or --shifted")
    judges = {names[folder]: _judge([folder]) for folder in names}
    return [
        _world(
            names[folder],
            inventory.attach(manifest.load([folder])),
            {name: judge for name, judge in judges.items() if name != names[folder]},
        )
        for folder in bench.data
    ]


def _names(bench: Bench) -> list[str]:
    names = manifest.folder_names([*bench.data, *bench.shifted])
    if TOGETHER in names:
        raise UserError(f"bench: a folder is named '{TOGETHER}' as all sets joined are; rename it")
    return names


def _judge(folders: Sequence[Path], split: str | None = None) -> Judge:
    labelled = inventory.attach(manifest.load(folders, keep_test_labels=True))
    return Judge(folders, evaluation.labelled_rows(labelled, split))


def _world(name: str, table: pd.DataFrame, judges: dict[str, Judge]) -> World:
    """Let the rows of judges stand, without what is known of them, as test rows beside train rows."""
    prefixed = {
        key: Judge(judge.folders, judge.rows.assign(id=f"{SHIFTED}{key}/" + judge.rows["id"]))
        for key, judge in judges.items()
    }
    unlabelled = [
        judge.rows.assign(split="test", label=-1, source="", repo="", pair="", group="")
        for judge in prefixed.values()
    ]
    train = table[table["split"] == "train"]
    return World(name, pd.concat([train, *unlabelled], ignore_index=True), prefixed)


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
        cross_validate(seeded, world.table, run, Options(bench.fold, weights=bench.weights))
        runs.append(run)
    for name, judge in world.judges.items():
        for run in runs:
            evaluation.warn_of_training_rows(run, judge.rows)
        scores = _mean_scores(runs, name, judge.rows)
        seen = looks.record("bench", judge.folders, judge.rows, line, runs, scores)
        if seen:
            counts[name] = len(seen.looks)
            print(looks.sentence(seen), flush=True)
        yield {"recipe": line, "trained_on": world.name, "set": name} | scores
    if len(world.judges) > 1:
        rows = pd.concat([judge.rows for judge in world.judges.values()], ignore_index=True)
        scores = _mean_scores(runs, TOGETHER, rows)
        yield {"recipe": line, "trained_on": world.name, "set": TOGETHER} | scores


def _mean_scores(runs: Sequence[Run], name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Scores of one set, averaged over trainings that differ in their seed."""
    parts = [_scored(run, name, rows) for run in runs]
    return {key: mean_of([part[key] for part in parts]) for key in parts[0]}


def _scored(run: Run, name: str, rows: pd.DataFrame) -> dict[str, float | None]:
    """What a run says of itself and of a set, and how well it does there."""
    logits = files.read_numbers(run.folder / "test.csv", ("id", "logit")).set_index("id")["logit"]
    found = evaluation.evaluate(rows, logits[rows["id"]].to_numpy())
    return _of_run(run) | forecast_of(run, name) | _of_set(found, set(rows.loc[rows["label"] == 1, "source"]))


def _of_run(run: Run) -> dict[str, float | None]:
    scores = run.scores
    return {
        "folds": scores["auc"],
        "f1": scores["f1"],
        "corrupted": scores["corrupted"].get("mean", {}).get("auc"),
        "look_alikes": scores["shifted"].get("look_alikes"),
        "counterparts": scores["shifted"].get("counterparts"),
        "minutes": sum(run.finished_fold(key)["seconds"] for key in run.finished()) / 60,
    }


def forecast_of(run: Run, name: str) -> dict[str, float | None]:
    """What a run foretells of the AUC on a set: `forecast` and the ends of its interval, `low` and `high`.

    The run forecasts its test set, which is all sets joined, so it says the same of each.
    """
    said = run.scores["forecast"] or {}
    return {"forecast": said.get("auc"), "low": said.get("low"), "high": said.get("high")}


def _of_set(found: dict[str, Any], generators: set[str]) -> dict[str, float | None]:
    # A source of both labels is scored per label.
    by_generator = [auc for name, auc in found["sources"].items() if name.removesuffix(" (1)") in generators]
    return {
        "auc": found["auc"],
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
