"""Contact sheets: rows of captioned pictures in one PNG, of the same bytes for the same pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from humanmade.files import whole_file
from humanmade.images.corruptions import rescale
from humanmade.images.decode import Picture

SIDE = 144
"""Pixels of a picture's longer side on the sheet."""

GAP = 12
LINE = 16
"""Pixels from one line of text to the next."""

FONT = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf", 10)
CHARACTER = FONT.getlength("m")
"""Pixels that every character takes."""


@dataclass(frozen=True)
class Cell:
    """Pictures one above the other, and the lines of text below them."""

    pictures: tuple[Picture, ...]
    caption: str
    highlighted: bool = False
    """Whether the caption stands on yellow."""

    def lines(self) -> list[str]:
        """The caption's lines, cut to fit: their ends, in which file names differ."""
        most = int(SIDE / CHARACTER)
        return [line if len(line) <= most else f"…{line[1 - most :]}" for line in self.caption.splitlines()]


Row = tuple[str, Sequence[Cell | None]]
"""A name, which may be empty, and cells from left to right; None leaves a place empty."""


def draw(path: Path, rows: Sequence[Row], title: str = "", heads: Mapping[int, str] | None = None) -> None:
    """Write a sheet as PNG; captions longer than their cell lose their beginning.

    Args:
        heads: text above the first row, by the number of its column.
    """
    width = _left(max(len(cells) for _, cells in rows))
    titles = textwrap.wrap(title, int((width - 2 * GAP) / CHARACTER))
    top = Image.new("RGB", (width, GAP + LINE * (len(titles) + bool(heads))), "white")
    for number, text in enumerate(titles):
        _write(top, GAP, GAP + number * LINE, text)
    for column, text in (heads or {}).items():
        _write(top, _left(column), GAP + len(titles) * LINE, text)
    bands = [np.asarray(band) for band in (top, *(_band(name, cells, width) for name, cells in rows))]
    with whole_file(path) as scratch:
        Image.fromarray(np.concatenate(bands)).save(scratch, format="PNG")


def _band(name: str, cells: Sequence[Cell | None], width: int) -> Image.Image:
    """A row of the sheet."""
    fitted = [
        [rescale(p, SIDE / max(p.shape[:2])) for p in (cell.pictures if cell else ())] for cell in cells
    ]
    lines = [cell.lines() if cell else [] for cell in cells]
    heights = [
        sum(len(p) + 2 for p in column) + LINE * len(text) for column, text in zip(fitted, lines, strict=True)
    ]
    head = GAP // 2 + LINE * bool(name)
    band = Image.new("RGB", (width, head + max(heights) + GAP // 2), "white")
    _write(band, GAP, GAP // 2, name)
    for column, cell in enumerate(cells):
        below = head
        for picture in fitted[column]:
            band.paste(Image.fromarray(picture), (_left(column), below))
            below += len(picture) + 2
        for text in lines[column]:
            _write(band, _left(column), below, text, cell is not None and cell.highlighted)
            below += LINE
    return band


def _write(band: Image.Image, left: int, top: int, text: str, highlighted: bool = False) -> None:
    pen = ImageDraw.Draw(band)
    if highlighted:
        pen.rectangle((left - 1, top, left + FONT.getlength(text), top + LINE - 2), "gold")
    pen.text((left, top + 1), text, "black", FONT)


def _left(column: int) -> int:
    return GAP + column * (SIDE + GAP)
