"""Folders that have no table: plain ones of pictures, and class folders such as real/ and fake/."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from humanmade import competition
from humanmade.errors import UserError
from humanmade.progress import warn

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif"}
CLASSES = {"real": "0", "human": "0", "nature": "0", "0": "0", "fake": "1", "ai": "1", "1": "1"}
"""Names of class folders, in any case, with the label of what lies below them."""
SPLITS = ("train", "test")
"""Folders that may lie above the class folders, or in them."""


def pictures(folder: Path) -> list[str]:
    """Pictures anywhere below a folder by their relative paths, sorted; what else lies there is counted.

    What is hidden is no picture: macOS and notebooks leave copies there.

    Raises:
        UserError: a name is not UTF-8.
    """
    files = [path.relative_to(folder) for path in folder.rglob("*") if is_file(path)]
    files = [path for path in files if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    names = sorted(path.as_posix() for path in files if path.suffix.lower() in SUFFIXES)
    odd = [name for name in names if not is_utf8(name)]
    if odd:
        raise UserError(f"{folder}: the file name {odd[0]!r} is not UTF-8; rename it")
    others = Counter(
        path.suffix.lower() or "no extension" for path in files if path.suffix.lower() not in SUFFIXES
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
    return pd.DataFrame({"name": names, "root": str(folder), "label": "", "split": "test"})


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
    parts = rows["name"].str.lower().str.split("/")
    outer = parts.map(lambda names: names[0] if len(names) > 1 else "")
    inner = parts.map(lambda names: names[1] if len(names) > 2 else "")
    above = outer.isin(SPLITS)
    labels = outer.where(~above, inner).map(CLASSES).fillna("")
    splits = outer.where(above, inner.where(inner.isin(SPLITS) & (labels != ""), ""))
    if (labels == "").all():
        form = f"a plain folder of {len(rows)} pictures: test rows without labels"
    else:
        _check(folder, rows["name"], labels, splits)
        rows = rows.assign(label=labels, split=splits.replace("", "train"))
        counts = sorted(Counter(zip(rows["split"], rows["label"], strict=True)).items())
        found = [f"{count} {split} rows of label {label}" for (split, label), count in counts]
        form = f"class folders: {', '.join(found)}"
    print(f"{folder}: read as {form}", file=sys.stderr, flush=True)
    return rows


def _check(folder: Path, names: pd.Series[str], labels: pd.Series[str], splits: pd.Series[str]) -> None:
    stray, unsplit = names[labels == ""], names[splits == ""]
    if len(stray):
        raise UserError(
            f"{folder}: holds class folders, and {stray.iloc[0]} outside of them; expected every picture "
            f"below one of {', '.join(f'{name}/' for name in CLASSES)}, or a manifest.csv"
        )
    if labels.nunique() < 2:
        raise UserError(
            f"{folder}: {names.iloc[0]} lies in a class folder, but there is none of the other class; "
            "expected both (such as real/ and fake/), or a manifest.csv"
        )
    if 0 < len(unsplit) < len(names):
        raise UserError(
            f"{folder}: {unsplit.iloc[0]} lies in neither train/ nor test/, while others do; move it"
        )
