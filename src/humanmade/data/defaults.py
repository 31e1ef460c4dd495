"""The data that a command takes: what is named, else the competition, else the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humanmade import competition, files, places


@dataclass(frozen=True)
class Choice:
    """Data folders, and what goes with them."""

    folders: Sequence[Path]
    hidden: Path | None = None
    """Folder with the test pictures' labels, which only the demo has; for showing its lesson."""


def default_recipe(folders: Sequence[Path]) -> str:
    """The recipe for what `data_or_demo` will choose, where none is named."""
    return "probe_lite0" if folders or competition.holds(places.DATA) else "demo"


def data_or_demo(folders: Sequence[Path]) -> Choice:
    """The folders named; else `data/` if it holds the competition; else the demo, which says so."""
    if folders:
        return Choice(folders)
    if competition.holds(places.DATA):
        return Choice([places.DATA])
    from humanmade.data import demo

    folder = places.cache("demo") / demo.VERSION
    print(f"no --data and no competition in {places.DATA}/: this is the embedded demo ({folder})", flush=True)
    if not folder.is_dir():
        with files.held(folder.parent, "making the demo", lambda: None):
            if not folder.is_dir():
                demo.make(folder)
    return Choice([folder], folder / demo.HIDDEN)
