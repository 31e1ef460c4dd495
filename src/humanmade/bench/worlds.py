"""What a bench trains on and what judges it: folders as worlds, each with the sets of the others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from humanmade.bench.table import JOINED, TOGETHER
from humanmade.data import inventory, manifest
from humanmade.errors import UserError
from humanmade.evaluation import distance
from humanmade.evaluation import evaluate as evaluation
from humanmade.progress import warn_once
from humanmade.scores import Distance

SHIFTED = "shifted/"
"""Put, with the set's name, before the ids of a set, which may be those of the training set as well."""
BENCH = Path("runs/bench")
"""Folder of the runs, if none is given."""
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
    joined: bool = False
    """With `each`, train on every two folders of `data` joined as well."""
    calibrate: bool = False
    """With `each`, fit the forecast to what was measured."""
    fold: int | str | None = None
    seeds: int = 1

    def __post_init__(self) -> None:
        """Refuse what would train and then have nothing to say."""
        if not self.data:
            raise UserError("bench: no --data given; give recipes and --data, or --calibrate --table CSV")
        if (self.joined or self.calibrate) and not self.each:
            raise UserError(f"--{'joined' if self.joined else 'calibrate'}: comes with --each; give both")
        if self.calibrate and self.fold == "all":
            raise UserError(
                "--calibrate: models are fitted on fold scores, and --fold all has none; leave one out"
            )
        if self.calibrate and len(self.data) + len(self.shifted) < 3:
            raise UserError("--calibrate: needs three worlds at least; give more --data or --shifted folders")


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
    distances: dict[str, Distance | None] = field(default_factory=dict)
    """How far each set is from the train rows, once it was asked for."""


def worlds(bench: Bench) -> list[World]:
    """What is trained on and what judges it.

    Raises:
        UserError: a set has no labels, nothing is left to judge, or a folder's name means another thing here.
    """
    names = dict(zip([*bench.data, *bench.shifted], _names(bench), strict=True))
    if not bench.each:
        table = inventory.attach(manifest.load(bench.data))
        name = JOINED.join(names[folder] for folder in bench.data)
        if not bench.shifted:
            return [World(name, table, {OWN: _judge(bench.data, "test")})]
        return [_world(name, table, {names[folder]: _judge([folder]) for folder in bench.shifted})]
    if len(names) < 2:
        raise UserError("--each: one folder has none to be judged by; give another --data or --shifted")
    if bench.joined and (len(bench.data) < 2 or len(names) < 3):
        raise UserError("--joined: needs two --data folders and a third folder, to judge both joined")
    judges = {names[folder]: _judge([folder]) for folder in names}
    made = []
    for size in (1, 2) if bench.joined else (1,):
        for folders in itertools.combinations(bench.data, size):
            own = [names[folder] for folder in folders]
            others = {name: judge for name, judge in judges.items() if name not in own}
            made.append(_world(JOINED.join(own), inventory.attach(manifest.load(folders)), others))
    return made


def _names(bench: Bench) -> list[str]:
    names = manifest.folder_names([*bench.data, *bench.shifted])
    if TOGETHER in names:
        raise UserError(f"bench: a folder is named '{TOGETHER}' as all sets joined are; rename it")
    odd = [name for name in names if JOINED in name]
    if odd:
        raise UserError(f"bench: the folder name '{odd[0]}' reads as two joined worlds; rename it")
    return names


def _judge(folders: Sequence[Path], split: str | None = None) -> Judge:
    labelled = inventory.attach(manifest.load(folders, keep_test_labels=True))
    return Judge(folders, evaluation.labelled_rows(labelled, split))


def _world(name: str, table: pd.DataFrame, judges: dict[str, Judge]) -> World:
    """Let the rows of judges stand, without what is known of them, as test rows beside train rows."""
    parts, prefixed = [table[table["split"] == "train"]], {}
    for key, judge in judges.items():
        rows = judge.rows.assign(id=f"{SHIFTED}{key}/" + judge.rows["id"])
        parts.append(rows.assign(split="test", label=-1, source="", repo="", pair="", group=""))
        prefixed[key] = Judge(judge.folders, rows)
    return World(name, pd.concat(parts, ignore_index=True), prefixed)


def distance_of(world: World, name: str, rows: pd.DataFrame) -> Distance | None:
    """How far a set by itself is from the train rows; None where that cannot be measured."""
    if name not in world.distances:
        train = world.table[world.table["split"] == "train"]
        try:
            world.distances[name] = distance.measure(train, rows)
        except UserError as error:
            warn_once(f"the forecasts take every set for wholly shifted: {error}")
            world.distances[name] = None
    return world.distances[name]
