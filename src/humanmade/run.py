"""The run folder: what a run wrote, and whether another start may continue it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, files, places, recipe, scores
from humanmade.errors import UserError, did_you_mean
from humanmade.recipe import Recipe
from humanmade.scores import Fold, FoldScores, Scores

RUNS = Path("runs")
RECIPE = "recipe.toml"
FOLDS = "folds.csv"
PICTURES = "pictures.csv"
OOF = "oof.csv"
TEST = "test.csv"
SUBMISSION = "submission.csv"
SCORES = "scores.json"
KERNEL = "kernel.json"
"""In the folder of a run that was pulled: which kernel made it."""
DONE = SCORES
"""Written last in a fold's folder: the fold is finished."""
CORRUPTED = "corrupted.csv"
"""In a fold's folder: logits of a sample of its held-out rows under every corruption."""
ALL = "all"
"""The fold that trains on everything."""
BEGUN = (FOLDS, PICTURES, SCORES)
"""What a run begins with, before its recipe."""
FINGERPRINTED = ["id", "label", "split", "source", "pair", "group", "digest"]


@dataclass(frozen=True)
class Run:
    """A run by its folder."""

    folder: Path

    @classmethod
    def find(cls, name: str) -> Run:
        """Open a run by its folder or by its name below `runs/`.

        Raises:
            UserError: there is none.
        """
        for folder in (Path(name), RUNS / name):
            if (folder / RECIPE).is_file():
                return cls(folder)
        known = sorted(path.parent.name for path in RUNS.glob(f"*/{RECIPE}"))
        near = did_you_mean(Path(name).name, known)
        raise UserError(f"run '{name}': not found{near}; in {RUNS}/: {', '.join(known) or 'none'}")

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.folder.resolve().name

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return recipe.load(str(self.folder / RECIPE))

    @property
    def scores(self) -> Scores:
        """What `scores.json` says."""
        return scores.read(self.folder / SCORES)

    @property
    def oof(self) -> pd.DataFrame | None:
        """`oof.csv`: `id, label, fold, logit` of what finished folds held out; None where there is none."""
        path = self.folder / OOF
        return files.read_numbers(path, ("id", "label", "fold", "logit")) if path.is_file() else None

    @property
    def test(self) -> pd.Series[float] | None:
        """`test.csv`: logits of the test rows by id; None where there is none."""
        path = self.folder / TEST
        table = files.read_numbers(path, ("id", "logit")) if path.is_file() else None
        return None if table is None else table.set_index("id")["logit"]

    @property
    def assigned(self) -> pd.DataFrame:
        """`folds.csv`: `id, fold, group`."""
        path = self.folder / FOLDS
        table = files.read_numbers(path, ("id", "fold", "group"))
        if table.empty:
            raise UserError(f"{path}: has no rows; remove the run folder, or give another --out")
        return table

    def finished_fold(self, key: int | str) -> Fold:
        """What a finished fold wrote of itself; `FoldScores` of all but the fold `all`."""
        path = self.fold(key) / DONE
        fold: Fold = scores.parse(
            Fold if key == ALL else FoldScores, files.read_json(path, (), retrain(path)), path, retrain(path)
        )
        return fold

    def fold_stages(self, key: int | str) -> dict[str, float]:
        """Seconds of a finished fold's `training`, `predicting` (held-out and test rows) and `scoring`."""
        path = self.fold(key) / DONE
        stages = files.read_json(path, ("stages",), retrain(path))["stages"]
        return {name: float(seconds) for name, seconds in stages.items()}

    def fold_logits(self, key: int | str, name: str, ids: pd.Series[str]) -> npt.NDArray[np.float64]:
        """Logits that a finished fold wrote, in the order of `ids`.

        Raises:
            UserError: the file is damaged or lacks an id.
        """
        logits = self._numbers(key, name, "logit").set_index("id")["logit"].reindex(ids)
        if logits.isna().any():
            path, lacking = self.fold(key) / name, logits.index[logits.isna()]
            raise UserError(f"{path}: lacks {len(lacking)} ids, '{lacking[0]}' first; {retrain(path)}")
        return logits.to_numpy(dtype=np.float64)

    def corrupted(self, keys: Sequence[int], labels: pd.Series[int]) -> pd.DataFrame:
        """What finished folds wrote of corrupted pictures: `id, label, fold, clean` and the corruptions.

        Folds that were scored on another grid than today's are read by what all of them hold.

        Args:
            labels: of all train rows, by id. A picture that two folds held out stands there twice.
        """
        tables = [
            table.assign(label=table["id"].map(labels), fold=key)
            for key in keys
            for table in [self._numbers(key, CORRUPTED, "clean")]
        ]
        return pd.concat(tables, join="inner", ignore_index=True) if tables else pd.DataFrame()

    def _numbers(self, key: int | str, name: str, column: str) -> pd.DataFrame:
        path = self.fold(key) / name
        try:
            return files.read_numbers(path, ("id", column))
        except UserError as error:
            raise UserError(f"{error}; {retrain(path)}") from None

    def fold(self, key: int | str) -> Path:
        """The folder of a fold: 0, 1, ... or `all`."""
        return self.folder / f"fold{key}"

    def trainings(self, key: int | str) -> list[tuple[int, Path]]:
        """Seeds of a fold with the folders they are trained in."""
        seeds = self.recipe.seeds
        folder = self.fold(key)
        return [(seed, folder / f"seed{seed}" if len(seeds) > 1 else folder) for seed in seeds]

    def is_finished(self, key: int | str) -> bool:
        """Whether a fold is trained and scored."""
        return (self.fold(key) / DONE).is_file()

    def finished(self) -> list[int | str]:
        """The folds that are trained and scored, in order."""
        keys: list[int | str] = [*range(self.folds), ALL]
        return [key for key in keys if self.is_finished(key)]

    @property
    def folds(self) -> int:
        """How many folds the data is cut into."""
        return int(self.assigned["fold"].max()) + 1

    def continues(self, wanted: Recipe, data: str, folds: pd.DataFrame) -> bool:
        """Whether a start of `wanted` goes on with what an earlier start left here; False where nothing is.

        Args:
            data: the data's fingerprint.
            folds: `id, fold, group`.

        Raises:
            UserError: another recipe or other data was started here, or the folder is not a run.
        """
        if not (self.folder / RECIPE).is_file():
            self.refuse_strangers()
            return False
        another = f"{self.folder}: was started differently ({{}}); give another --out, or remove it"
        there = recipe.difference(self.recipe, wanted)
        if there:
            raise UserError(another.format(there))
        if self.scores.data != data:
            raise UserError(another.format("the data: other pictures, labels, groups or --limit"))
        if not self.assigned.equals(folds.reset_index(drop=True)):
            raise UserError(another.format(FOLDS))
        return True

    def refuse_strangers(self) -> None:
        """Refuse a folder that holds something and is not a run.

        Raises:
            UserError: it is such a folder.
        """
        if (self.folder / RECIPE).is_file():
            return
        # What a start that was ended while it began has left is written again.
        if any(path.name not in BEGUN for path in self.folder.glob("[!.]*")):
            raise UserError(f"{self.folder}: exists and is not a run; give another --out")

    def data_folders(self, given: Sequence[Path] = ()) -> Sequence[Path]:
        """The data folders for a verb: those given, else those that the run was trained on, which it says.

        A run that was pulled from Kaggle was trained there on what lies in `data/` here.

        Raises:
            UserError: none is given, and the run's are not here or were not noted.
        """
        if given:
            return given
        folders = [_from_here(Path(folder)) for folder in self.scores.data_folders]
        lost = [folder for folder in folders if not folder.is_dir()]
        if lost and (self.folder / KERNEL).is_file() and competition.holds(places.DATA):
            folders, lost = [places.DATA], []
        if lost or not folders:
            why = f"its data {lost[0]} is not here" if lost else "it does not say where its data lay"
            raise UserError(f"run '{self.name}': {why}; give --data")
        print(
            f"no --data: the data of {self.name}, {' and '.join(map(str, folders))}",
            file=sys.stderr,
            flush=True,
        )
        return folders

    def note_folders(self, folders: Sequence[Path]) -> None:
        """Note where the data lies now, if that is told."""
        names = _absolute(folders)
        if names and names != self.scores.data_folders:
            replace(self.scores, data_folders=names).write(self.folder / SCORES)

    def begin(
        self,
        wanted: Recipe,
        data: str,
        folds: pd.DataFrame,
        pictures: pd.DataFrame,
        folders: Sequence[Path] = (),
    ) -> None:
        """Write what tells this run from others; the recipe comes last and makes the folder a run.

        Args:
            pictures: `id, digest` of all rows that are trained on.
            folders: where the data lies.
        """
        files.write_csv(self.folder / FOLDS, folds)
        files.write_csv(self.folder / PICTURES, pictures)
        Scores(data, data_folders=_absolute(folders), unfinished=True).write(self.folder / SCORES)
        recipe.save(wanted, self.folder / RECIPE)


def shared_folders(runs: Sequence[Run]) -> Sequence[Path]:
    """The data folders of runs that are all of the same data; says which they are.

    Raises:
        UserError: there are no runs, their data differs, or it is not here.
    """
    names = dict.fromkeys(run.scores.data for run in runs)
    if len(names) != 1:
        why = "the runs are of different data" if names else "there is no run that knows its data"
        raise UserError(f"{why}; give --data")
    return max(runs, key=lambda run: bool(run.scores.data_folders)).data_folders()


def _absolute(folders: Sequence[Path]) -> list[str]:
    """Folders as they can be found from anywhere."""
    return [os.path.abspath(folder) for folder in folders]  # noqa: PTH100 - links are not followed


def _from_here(folder: Path) -> Path:
    """A folder by the shorter path, where it lies below the working folder."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def retrain(path: Path) -> str:
    """What to do about a damaged file of a fold."""
    return f"remove {path.parent} and run cv again"


def fingerprint(table: pd.DataFrame) -> str:
    """Hash of the data: ids, labels, sources, pairs and what is in the pictures, in any order."""
    ordered = table[FINGERPRINTED].sort_values("id")
    return hashlib.sha256(ordered.to_csv(index=False, lineterminator="\n").encode()).hexdigest()
