"""What is attached to a kernel: the competition, runs of other kernels, data sets of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from humanmade import competition, places, run
from humanmade.data import manifest
from humanmade.errors import UserError
from humanmade.kaggle import archives

MOST_LISTED = 100
"""Folders of the inputs that are listed where something is missing."""


class Inputs:
    """The read-only folder with a folder for each thing that is attached."""

    def __init__(self, root: Path, scratch: Path) -> None:
        """
        Args:
            root: the folder, /kaggle/input.
            scratch: where packed folds are unpacked.
        """
        self.root, self.scratch = root, scratch
        self.folders = places.attached(root)

    def data(self, extra: Iterable[str] = ()) -> list[Path]:
        """The competition, in one folder or in one of tables and one of pictures.

        Args:
            extra: `owner/slug` of datasets that are never the competition.

        Raises:
            UserError: it is not among the inputs.
        """
        contest = competition.CURRENT
        folders = [folder for folder in self.folders if not any(self._inside(folder, name) for name in extra)]
        tables = [place for place in folders if all((place / name).is_file() for name in contest.tables)]
        pictures = [place for place in folders if all((place / name).is_dir() for name in contest.pictures)]
        if not tables or not pictures:
            lacking = " and ".join(contest.pictures if tables else contest.tables)
            self._refuse(f"no folder with {lacking} among the inputs")
        both = [folder for folder in pictures if folder in tables]
        return both[:1] or [tables[0], pictures[0]]

    def labelled(self, reference: str) -> Path:
        """The folder of a dataset that has a table; its topmost one where none has.

        Raises:
            UserError: it is not among the inputs.
        """
        own = self.folders_of(reference)
        if not own:
            self._refuse(f"{reference}: no such dataset among the inputs")
        return next(filter(manifest.has_table, own), own[0])

    def runs_of(self, reference: str) -> list[Path]:
        """Runs that a kernel left, by name, wherever its outputs are mounted, with their folds unpacked.

        Raises:
            UserError: there is none.
        """
        runs: dict[str, Path] = {}
        for folder in self.folders_of(reference):
            if (folder / run.RECIPE).is_file() and (folder / run.FOLDS).is_file():
                runs.setdefault(folder.name, folder)
        if not runs:
            self._refuse(f"{reference}: no run of it among the inputs")
        return [self._unpacked(reference, folder) for folder in runs.values()]

    def folders_of(self, reference: str) -> list[Path]:
        """Folders of what is attached as `owner/slug`."""
        return [folder for folder in self.folders if self._inside(folder, reference)]

    def _unpacked(self, reference: str, folder: Path) -> Path:
        if not any(folder.glob("fold*.zip")):
            return folder
        place = self.scratch / "unpacked" / reference / folder.name
        if not place.is_dir():
            archives.copy(folder, place)
            archives.unpack_folds(place)
        return place

    def _inside(self, folder: Path, reference: str) -> bool:
        place = f"/{folder.relative_to(self.root).as_posix()}/"
        return f"/{reference}/" in place or place.startswith(f"/{reference.split('/')[1]}/")

    def _refuse(self, reason: str) -> NoReturn:
        """Say what the inputs hold, a dozen entries of each folder, and end."""
        for folder in itertools.islice(self.folders, MOST_LISTED):
            names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.glob("*"))
            more = [f"... {len(names)} in all"] if len(names) > 12 else []
            print(f"{folder}/: {', '.join([*names[:12], *more]) or 'nothing'}", flush=True)
        raise UserError(f"{reason}, which are listed above")
