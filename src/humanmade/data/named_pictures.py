"""Pictures that somebody asks about by name: files, folders of them, and names from standard input."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from humanmade.data import folders, inventory
from humanmade.errors import UserError
from humanmade.progress import warn

STANDARD_INPUT = "-"
"""Stands for names that are read there, one a line."""


def rows(words: Iterable[str | Path]) -> pd.DataFrame:
    """Rows that a detector can predict, one a readable picture, with the path as `id`.

    Others are named in warnings and left out.

    Args:
        words: files, folders, and `STANDARD_INPUT`; one that is named twice counts once.

    Raises:
        UserError: not one can be read.
    """
    named = list(dict.fromkeys(_paths(words)))
    problems = {path: problem for path in named if (problem := _problem(path))}
    paths = [path for path in named if path not in problems]
    facts = inventory.survey(paths).set_index("path").loc[paths] if paths else pd.DataFrame({"error": []})
    problems |= {str(path): error for path, error in facts["error"].items() if error}
    for path, problem in problems.items():
        warn(f"{path if folders.is_utf8(path) else ascii(path)}: skipped ({problem})")
    good = facts[facts["error"] == ""]
    if good.empty:
        found = f"none of the {len(named)} pictures can be read" if named else "no pictures there"
        raise UserError(f"{found}; name JPEG, PNG or WebP files, or folders that hold some")
    table = pd.DataFrame({"id": good.index, "name": good.index, "path": good.index})
    table = table.assign(label=-1, split="test", source="", repo="", pair="", group="", broken=False)
    return table.assign(digest=good["digest"].to_numpy(), phash=inventory.hashes(good))


def _paths(words: Iterable[str | Path]) -> Iterator[str]:
    for word in words:
        if str(word) == STANDARD_INPUT:
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # names of files are any bytes
            yield from _paths(line for text in sys.stdin if (line := text.rstrip("\r\n")))
        elif os.path.isdir(word):  # noqa: PTH112 - pathlib ends in an error at a name too long
            yield from (str(Path(word) / name) for name in folders.pictures(Path(word)))
        else:
            yield str(word)


def _problem(path: str) -> str:
    """Why a file cannot even be looked at; empty where it can."""
    if not folders.is_utf8(path):
        return "its name is not UTF-8; rename it"
    return "" if folders.is_file(path) else "no such file"
