"""Contact sheets: rows of captioned pictures in one PNG, of the same bytes for the same pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from humanmade.files import whole_file
from humanmade.images.corruptions import rescale
from humanmade.images.decode import Picture

SIDE = 144
"""Pixels of a picture's longer side on the sheet."""

GAP = 12
LINE = 16
"""Pixels from one line of text to the next."""

DPI = 100
POINTS = 7.5
CHARACTER = 0.61 * POINTS * DPI / 72
"""Pixels a character takes at most in Matplotlib's monospaced face, DejaVu Sans Mono."""


@dataclass(frozen=True)
class Cell:
    """Pictures one above the other, and the lines of text below them."""

    pictures: tuple[Picture, ...]
    caption: str
    highlighted: bool = False
    """Whether the caption stands on yellow."""


Row = tuple[str, Sequence[Cell | None]]
"""A name, which may be empty, and cells from left to right; None leaves a place empty."""


@dataclass(frozen=True)
class Line:
    """A line of text: its upper left corner in pixels of the sheet."""

    left: float
    top: float
    text: str
    highlighted: bool = False


def draw(path: Path, rows: Sequence[Row], title: str = "", heads: Mapping[int, str] | None = None) -> None:
    """Write a sheet as PNG; captions longer than their cell lose their beginning.

    Args:
        heads: text above the first row, by the number of its column.
    """
    width = GAP + max(len(cells) for _, cells in rows) * (SIDE + GAP)
    titles = textwrap.wrap(title, int((width - 2 * GAP) / CHARACTER))
    lines = [Line(GAP, GAP + number * LINE, text) for number, text in enumerate(titles)]
    top = GAP + len(titles) * LINE
    lines += [Line(_left(column), top, text) for column, text in (heads or {}).items()]
    bands = [np.full((top + LINE * bool(heads), width, 3), 255, np.uint8)]
    for name, cells in rows:
        band, captions = _band(name, cells, width, sum(map(len, bands)))
        bands.append(band)
        lines += captions
    with whole_file(path) as scratch, style.context("default"):
        _figure(np.concatenate(bands), lines).savefig(
            scratch,
            format="png",
            # Without the version that Matplotlib writes, the same pictures give the same bytes everywhere.
            metadata={"Software": None},
        )


def _band(name: str, cells: Sequence[Cell | None], width: int, top: int) -> tuple[Picture, list[Line]]:
    """Pixels of a row (height, width, 3) and its lines of text, where the row begins at `top`."""
    lines = [Line(GAP, top + GAP // 2, name)] if name else []
    bottom = head = GAP // 2 + LINE * len(lines)
    placed = []
    for column, cell in enumerate(cells):
        below = head
        for picture in cell.pictures if cell else ():
            fitted = rescale(picture, SIDE / max(picture.shape[:2]))
            placed.append((below, _left(column), fitted))
            below += len(fitted) + 2
        for text in _short(cell.caption) if cell else ():
            lines.append(Line(_left(column), top + below, text, cell is not None and cell.highlighted))
            below += LINE
        bottom = max(bottom, below)
    band = np.full((bottom + GAP // 2, width, 3), 255, np.uint8)
    for below, left, fitted in placed:
        band[below : below + len(fitted), left : left + fitted.shape[1]] = fitted
    return band, lines


def _figure(canvas: Picture, lines: Sequence[Line]) -> Figure:
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.figimage(canvas)
    for line in lines:
        figure.text(
            line.left / width,
            1 - (line.top + 2) / height,
            line.text,
            family="monospace",
            fontsize=POINTS,
            verticalalignment="top",
            parse_math=False,
            bbox={"facecolor": "gold", "edgecolor": "none", "pad": 1.5} if line.highlighted else None,
        )
    return figure


def _left(column: int) -> int:
    return GAP + column * (SIDE + GAP)


def _short(caption: str) -> list[str]:
    """Lines that fit a cell: their ends, in which file names differ."""
    most = int(SIDE / CHARACTER)
    return [line if len(line) <= most else f"…{line[1 - most :]}" for line in caption.splitlines()]
