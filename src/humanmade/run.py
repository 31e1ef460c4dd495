"""The run folder: what a run wrote, and whether another start may continue it."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import files, recipe, scores
from humanmade.errors import UserError
from humanmade.recipe import EnsembleRecipe, Recipe
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
MEMBERS = "members"
"""Folder of the recipes of an ensemble's members."""
ALL = "all"
"""The fold that trains on everything."""
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "numpy",
    "pandas",
    "scikit-learn",
    "pillow",
)
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
        raise UserError(f"run '{name}': not found; in {RUNS}/: {', '.join(known) or 'none'}")

    @classmethod
    def find_all(cls, names: Sequence[str] = ()) -> list[Run]:
        """Open runs by name, or all below `runs/` where none is named.

        Raises:
            UserError: one is not there, or there are none.
        """
        names = names or [str(path.parent) for path in sorted(RUNS.glob("*/recipe.toml"))]
        if not names:
            raise UserError(f"no runs in {RUNS}/; make one with humanmade cv")
        return [cls.find(name) for name in names]

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.folder.resolve().name

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        path = self.folder / RECIPE
        values = recipe.read_values(path)
        if (self.folder / MEMBERS).is_dir():
            # As they were when the run was started, whatever became of the shipped ones.
            values["members"] = [str(self._member(name)) for name in values["members"]]
        return recipe.build(values, str(path))

    def _member(self, name: str) -> Path:
        """Where the recipe of an ensemble's member is kept."""
        return self.folder / MEMBERS / f"{name}.toml"

    @property
    def scores(self) -> Scores:
        """What `scores.json` says."""
        return scores.read(self.folder / SCORES)

    @property
    def scale(self) -> float | None:
        """Standard deviation of the out-of-fold logits; None where there are none or all are equal."""
        return self.scores.scale or None

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

    def fold_logits(self, key: int | str, name: str, ids: pd.Series[str]) -> npt.NDArray[np.float64]:
        """Logits that a finished fold wrote, in the order of `ids`.

        Raises:
            UserError: the file is damaged or lacks an id.
        """
        path = self.fold(key) / name
        try:
            logits = files.read_numbers(path, ("id", "logit")).set_index("id")["logit"].reindex(ids)
        except UserError as error:
            raise UserError(f"{error}; {retrain(path)}") from None
        if logits.isna().any():
            lacking = logits.index[logits.isna()]
            raise UserError(f"{path}: lacks {len(lacking)} ids, '{lacking[0]}' first; {retrain(path)}")
        return logits.to_numpy(dtype=np.float64)

    def corrupted(self, keys: Sequence[int], labels: pd.Series[int]) -> pd.DataFrame:
        """What finished folds wrote of corrupted pictures: `id, label, fold, clean` and the corruptions.

        Folds that were scored on another grid than today's are read by what all of them hold.

        Args:
            labels: of all train rows, by id. A picture that two folds held out stands there twice.
        """
        tables = []
        for key in keys:
            path = self.fold(key) / CORRUPTED
            try:
                table = files.read_numbers(path, ("id", "clean"))
            except UserError as error:
                raise UserError(f"{error}; {retrain(path)}") from None
            tables.append(table.assign(label=table["id"].map(labels), fold=key))
        return pd.concat(tables, join="inner", ignore_index=True) if tables else pd.DataFrame()

    def fold(self, key: int | str) -> Path:
        """The folder of a fold: 0, 1, ... or `all`."""
        return self.folder / f"fold{key}"

    def members(self, key: int | str) -> list[tuple[int, Path]]:
        """Seeds of a fold with the folders they are trained in."""
        seeds = self.recipe.seeds
        folder = self.fold(key)
        return [(seed, folder / f"seed{seed}" if len(seeds) > 1 else folder) for seed in seeds]

    def finished(self) -> list[int | str]:
        """The folds that are trained and scored, in order."""
        keys: list[int | str] = [*range(self.folds), ALL]
        return [key for key in keys if (self.fold(key) / DONE).is_file()]

    @property
    def folds(self) -> int:
        """How many folds the data is cut into."""
        return int(self.assigned["fold"].max()) + 1

    def start(self, wanted: Recipe, data: str, folds: pd.DataFrame, pictures: pd.DataFrame) -> bool:
        """Begin the run, or make sure that this start continues it.

        Args:
            data: the data's fingerprint.
            folds: `id, fold, group`.
            pictures: `id, digest` of all rows that are trained on.

        Returns:
            Whether the run had been started before.

        Raises:
            UserError: it was started with another recipe or other data.
        """
        if not (self.folder / RECIPE).is_file():
            self._begin(wanted, data, folds, pictures)
            return False
        another = f"{self.folder}: was started differently ({{}}); give another --out, or remove it"
        there = self._difference(wanted)
        if there:
            raise UserError(another.format(there))
        if self.scores.data != data:
            raise UserError(another.format("the data: other pictures, labels, groups or --limit"))
        if not self.assigned.equals(folds.reset_index(drop=True)):
            raise UserError(another.format(FOLDS))
        return True

    def _difference(self, wanted: Recipe) -> str | None:
        known = self.recipe
        if not isinstance(known, EnsembleRecipe) or not isinstance(wanted, EnsembleRecipe):
            return recipe.difference(known, wanted)
        if known.member_names != wanted.member_names:
            return f"members: {known.member_names} there, {wanted.member_names} now"
        pairs = [*zip(known.members, wanted.members, strict=True)]
        members = (recipe.difference(recipe.load(old), recipe.load(new)) for old, new in pairs)
        own = recipe.difference(known, recipe.change(wanted, members=known.members))
        return own or next((each for each in members if each), None)

    def _begin(self, wanted: Recipe, data: str, folds: pd.DataFrame, pictures: pd.DataFrame) -> None:
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise UserError(f"{self.folder}: exists and is not a run; give another --out")
        files.write_csv(self.folder / FOLDS, folds)
        files.write_csv(self.folder / PICTURES, pictures)
        Scores(data, unfinished=True).write(self.folder / SCORES)
        if isinstance(wanted, EnsembleRecipe):
            for name, member in zip(wanted.member_names, wanted.members, strict=True):
                recipe.save(recipe.load(member), self._member(name))
            wanted = dataclasses.replace(wanted, members=wanted.member_names)
        recipe.save(wanted, self.folder / RECIPE)

    def take_back(self) -> None:
        """Remove a run that was begun and then refused before anything was trained."""
        if any(path.is_file() for path in self.folder.glob("fold*/**/*")):
            return
        for path in self.folder.glob(f"{MEMBERS}/*.toml"):
            path.unlink()
        for name in (RECIPE, FOLDS, PICTURES, SCORES):
            (self.folder / name).unlink(missing_ok=True)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def retrain(path: Path) -> str:
    """What to do about a damaged file of a fold."""
    return f"remove {path.parent} and run cv again"


def fingerprint(table: pd.DataFrame) -> str:
    """Hash of the data: ids, labels, sources, pairs and what is in the pictures, in any order."""
    ordered = table[FINGERPRINTED].sort_values("id")
    return hashlib.sha256(ordered.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    import platform

    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def commit() -> str:
    """The kit's own commit where it runs from a checkout, else empty."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],  # noqa: S607 - git from the PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
