"""Folders that have no table: plain ones of pictures, and class folders such as real/ and fake/."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd

from humanmade import competition
from humanmade.errors import UserError
from humanmade.progress import warn

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif"}
CLASSES = {"real": "0", "human": "0", "nature": "0", "0": "0", "fake": "1", "ai": "1", "1": "1"}
"""Names of class folders, in any case, with the label of what lies below them."""
SPLITS = ("train", "test")
"""Folders that may lie above the class folders, or in them."""


def pictures(folder: Path) -> list[str]:
    """Pictures anywhere below a folder by their relative paths, sorted; what else lies there is counted.

    Raises:
        UserError: a name is not UTF-8.
    """
    files = [path.relative_to(folder) for path in folder.rglob("*") if is_file(path)]
    names = sorted(path.as_posix() for path in files if path.suffix.lower() in SUFFIXES)
    odd = [name for name in names if not is_utf8(name)]
    if odd:
        raise UserError(f"{folder}: the file name {odd[0]!r} is not UTF-8; rename it")
    others = Counter(
        path.suffix.lower() or "no extension"
        for path in files
        if path.suffix.lower() not in SUFFIXES and not path.name.startswith(".")
    )
    if others:
        kinds = ", ".join(f"{count} of {ascii(kind)[1:-1]}" for kind, count in sorted(others.items()))
        warn(f"{folder}: left out what is no picture of a known kind: {kinds}")
    return names


def is_file(path: str | Path) -> bool:
    """Whether there is a file; pathlib ends in an error at a name too long or a link into a locked folder."""
    return os.path.isfile(path)  # noqa: PTH113


def is_utf8(name: str) -> bool:
    """Whether a file's name can be written into a table."""
    return name.encode(errors="replace").decode() == name


def plain(folder: Path) -> pd.DataFrame:
    """Pictures of a folder as unlabelled test rows, whatever its folders are called.

    Raises:
        UserError: it holds none.
    """
    names = pictures(folder)
    if not names:
        raise UserError(
            f"{folder}: holds neither manifest.csv (columns path,label) nor the competition's "
            f"{competition.CURRENT.train_table}, nor pictures"
        )
    table = pd.DataFrame({"name": names, "root": str(folder)})
    return table.assign(label="", split="test", source="", repo="", pair="", group="")


def read(folder: Path) -> pd.DataFrame:
    """Rows of a folder without a table: labelled by its class folders, else plain; says which it took.

    Class folders are `CLASSES`, each with `SPLITS` below or above it, or without any: all is train then.
    Labels are text, as tables write them.

    Raises:
        UserError: class folders beside others, only one class, splits of a part only, or no pictures.
    """
    contest = competition.CURRENT
    if competition.holds_pictures(folder):
        raise UserError(
            f"{folder}: holds the competition's pictures but neither {' nor '.join(contest.tables)}"
        )
    rows = plain(folder)
    names = rows["name"].tolist()
    places = [_place(name) for name in names]
    labels, splits = zip(*places, strict=True)
    if set(labels) == {""}:
        _say(folder, f"a plain folder of {len(names)} pictures: test rows without labels")
        return rows
    _check(folder, names, places)
    splits = tuple(split or "train" for split in splits)
    counts = sorted(Counter(zip(splits, labels, strict=True)).items())
    parts = [f"{count} {split} rows of label {label}" for (split, label), count in counts]
    _say(folder, f"class folders: {', '.join(parts)}")
    return rows.assign(label=labels, split=splits)


def _place(name: str) -> tuple[str, str]:
    """The label and the split that the two outermost folders of a picture name; empty where they do not."""
    outer, inner, *_ = *(part.lower() for part in PurePosixPath(name).parts[:-1]), "", ""
    if outer in SPLITS:
        return CLASSES.get(inner, ""), outer
    label = CLASSES.get(outer, "")
    return label, inner if label and inner in SPLITS else ""


def _check(folder: Path, names: list[str], places: list[tuple[str, str]]) -> None:
    stray = _first(names, [not label for label, _ in places])
    if stray:
        raise UserError(
            f"{folder}: holds class folders, and {stray} outside of them; expected every picture below one "
            f"of {', '.join(f'{name}/' for name in CLASSES)}, or a manifest.csv"
        )
    if len({label for label, _ in places}) < 2:
        raise UserError(
            f"{folder}: {names[0]} lies in a class folder, but there is none of the other class; expected "
            "both (such as real/ and fake/), or a manifest.csv"
        )
    unsplit = _first(names, [not split for _, split in places])
    if unsplit and any(split for _, split in places):
        raise UserError(f"{folder}: {unsplit} lies in neither train/ nor test/, while others do; move it")


def _first(names: list[str], wrong: Iterable[bool]) -> str | None:
    return next((name for name, bad in zip(names, wrong, strict=True) if bad), None)


def _say(folder: Path, form: str) -> None:
    print(f"{folder}: read as {form}", file=sys.stderr, flush=True)
