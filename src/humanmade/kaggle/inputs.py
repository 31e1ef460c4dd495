"""What is attached to a kernel: the competition, runs of other kernels, weights, data sets of one's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from humanmade import competition, files, run
from humanmade.errors import UserError
from humanmade.kaggle import packing

MOST_LISTED = 100
"""Folders of the inputs that are listed where something is missing."""


class Inputs:
    """The read-only folder with a folder for each thing that is attached; walked once."""

    def __init__(self, root: Path, scratch: Path) -> None:
        """
        Args:
            root: the folder, /kaggle/input.
            scratch: where weights are joined.
        """
        self.root, self.scratch = root, scratch

    def data(self, extra: Sequence[str] = ()) -> list[str]:
        """`--data` of the competition, one folder or one of tables and one of pictures, and `--extra`.

        Args:
            extra: `owner/slug` of datasets with labelled pictures.

        Raises:
            UserError: they are not among the inputs.
        """
        contest = competition.CURRENT
        folders = [folder for folder in self.folders if not any(self._inside(folder, name) for name in extra)]
        tables = [place for place in folders if all((place / name).is_file() for name in contest.tables)]
        pictures = [place for place in folders if all((place / name).is_dir() for name in contest.pictures)]
        if not tables or not pictures:
            lacking = " and ".join(contest.pictures if tables else contest.tables)
            self._refuse(f"no folder with {lacking} among the inputs")
        both = [folder for folder in pictures if folder in tables]
        chosen = [("--data", folder) for folder in both[:1] or [tables[0], pictures[0]]]
        chosen += [("--extra", self._labelled(name)) for name in extra]
        return [part for option, folder in chosen for part in (option, str(folder))]

    def runs_of(self, reference: str) -> list[Path]:
        """Runs that a kernel left, by name, wherever its outputs are mounted, with their folds unpacked.

        Raises:
            UserError: there is none.
        """
        runs: dict[str, Path] = {}
        for folder in self.folders:
            whole = (folder / run.RECIPE).is_file() and (folder / run.FOLDS).is_file()
            if whole and self._inside(folder, reference):
                runs.setdefault(folder.name, folder)
        if not runs:
            self._refuse(f"{reference}: no run of it among the inputs")
        return [self._unpacked(reference, folder) for folder in runs.values()]

    def files_of(self, reference: str, name: str) -> list[Path]:
        """Files of a name in what is attached as `owner/slug`."""
        own = (folder / name for folder in self.folders if self._inside(folder, reference))
        return [path for path in own if path.is_file()]

    def _unpacked(self, reference: str, folder: Path) -> Path:
        if not packing.packed_folds(folder):
            return folder
        place = self.scratch / "unpacked" / reference / folder.name
        if not place.is_dir():
            packing.copy(folder, place)
            packing.unpack_folds(place)
        return place

    @cached_property
    def weights(self) -> list[str]:
        """`--weights` with all attached weights in one folder; nothing where there are none."""
        place = self.scratch / "weights"
        for folder in self.folders:
            for file in sorted(folder.glob("*.safetensors")):
                ours = any((parent / run.RECIPE).is_file() for parent in file.parents)
                if not ours and not (place / file.name).exists():
                    files.make_folder(place)
                    (place / file.name).symlink_to(file)
        return ["--weights", str(place)] if place.is_dir() else []

    @cached_property
    def folders(self) -> list[Path]:
        """All folders in a fixed order, each once, but for those inside folders of pictures."""
        return list(self._walk())

    def _walk(self) -> Iterator[Path]:
        contest, seen = competition.CURRENT, set[str]()
        for place, names, _ in os.walk(self.root, followlinks=True):
            # Pictures are far too many files to look through.
            names[:] = sorted({*names} - {*contest.pictures, *contest.more_pictures})
            real = os.path.realpath(place)
            if real in seen:
                names.clear()
                continue
            seen.add(real)
            yield Path(place)

    def _inside(self, folder: Path, reference: str) -> bool:
        """Whether a folder is of what is attached as `owner/slug`."""
        place = f"/{folder.relative_to(self.root).as_posix()}/"
        return f"/{reference}/" in place or place.startswith(f"/{reference.split('/')[1]}/")

    def _labelled(self, reference: str) -> Path:
        """The folder of a dataset that has a table; its topmost one where none has."""
        own = [folder for folder in self.folders if self._inside(folder, reference)]
        if not own:
            self._refuse(f"{reference}: no such dataset among the inputs")
        tabled = (f for f in own if (f / "manifest.csv").is_file() or competition.holds(f))
        return next(tabled, own[0])

    def _refuse(self, reason: str) -> NoReturn:
        """Say what the inputs hold, a dozen entries of each folder, and end."""
        for folder in itertools.islice(self.folders, MOST_LISTED):
            names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.glob("*"))
            more = [f"... {len(names)} in all"] if len(names) > 12 else []
            print(f"{folder}/: {', '.join([*names[:12], *more]) or 'nothing'}", flush=True)
        raise UserError(f"{reason}, which are listed above")
