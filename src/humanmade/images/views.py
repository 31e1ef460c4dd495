"""Deterministic views: every way in which a finished detector looks at a picture, by name.

A view's name joins operations with `+`, applied in order, then the crop: `identity`, `hflip`,
`vflip`, `rot180`, `scale_0.5` (resized by that factor), `jpeg_75` and `webp_75` (recompressed),
`crop_tl`, `crop_tr`, `crop_bl`, `crop_br` (a corner instead of the centre), `crop_t`, `crop_l`, `crop_r`,
`crop_b` (the middle of an edge), `history_1`, `history_2` ... (drawn chains, `humanmade.images.histories`),
and the corruptions of `humanmade.images.corruptions` by their own names. `crop_5` stands for the centre and
the corners, `grid_3x3` for those and the edges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from humanmade.errors import UserError
from humanmade.images.corruptions import CORRUPTIONS, corrupt, recompress, rescale, resize
from humanmade.images.decode import Picture
from humanmade.images.histories import history

CROPS = ("native", "resize", "squash")
"""Crop policies: a square at native resolution; the short side brought to 8/7 of the square first
(timm's usual crop fraction of 0.875); the whole picture squashed to the square."""

RESIZE_MARGIN = 8 / 7

VIEWS: dict[str, Callable[[Picture], Picture]] = {
    "identity": lambda picture: picture,
    "hflip": lambda picture: picture[:, ::-1],
    "vflip": lambda picture: picture[::-1],
    "rot180": lambda picture: picture[::-1, ::-1],
}
"""Operations without a number; a new entry here is all that a new view takes."""

NUMBERED: dict[str, tuple[float, float, Callable[[Picture, float], Picture]]] = {
    "scale": (0.1, 4, rescale),
    "jpeg": (1, 100, lambda picture, quality: recompress(picture, "jpeg", int(quality))),
    "webp": (1, 100, lambda picture, quality: recompress(picture, "webp", int(quality))),
}
"""Operations with a number behind their name: its least, its most, and what is done."""

_CORNERS = {"crop_tl": (0.0, 0.0), "crop_tr": (0.0, 1.0), "crop_bl": (1.0, 0.0), "crop_br": (1.0, 1.0)}
_EDGES = {"crop_t": (0.0, 0.5), "crop_l": (0.5, 0.0), "crop_r": (0.5, 1.0), "crop_b": (1.0, 0.5)}
_PLACES = _CORNERS | _EDGES
"""Where crops other than the centre's lie, from the top and from the left."""

GROUPS = {"crop_5": ("identity", *_CORNERS), "grid_3x3": ("identity", *_CORNERS, *_EDGES)}
"""Names that stand for several crops; a new entry here is all that a new group takes."""

_NUMBER = re.compile(r"([a-z]+)_(\d+(?:\.\d+)?)")
_HISTORY = re.compile(r"history_([1-9]\d?)")


class Operation(NamedTuple):
    """What a part of a view does to a picture under a seed, and whether it depends on the seed."""

    apply: Callable[[Picture, int], Picture]
    draws: bool = False


@dataclass(frozen=True)
class Frame:
    """The square that a detector sees: its side in pixels and how it is cut from a picture."""

    size: int
    crop: str = "native"

    def cut(self, picture: Picture, top: float = 0.5, left: float = 0.5) -> Picture:
        """Cut the square at a relative position; a picture too small is mirrored at its edges."""
        if self.crop == "squash":
            return _resize(picture, self.size)
        if self.crop == "resize":
            # Only what will be seen is resized, so a very long picture costs no more than a square one.
            part = _square(picture, max(1, round(min(picture.shape[:2]) / RESIZE_MARGIN)), top, left)
            return _resize(part, self.size)
        return _square(pad_to(picture, self.size), self.size, top, left)


def _square(picture: Picture, size: int, top: float, left: float) -> Picture:
    y = round((picture.shape[0] - size) * top)
    x = round((picture.shape[1] - size) * left)
    return picture[y : y + size, x : x + size]


def pad_to(picture: Picture, size: int) -> Picture:
    """Mirror a picture at its edges until both sides measure at least `size`."""
    missing = [max(0, size - side) for side in picture.shape[:2]]
    if not any(missing):
        return picture
    widths = [(short // 2, short - short // 2) for short in missing]
    return np.pad(picture, [*widths, (0, 0)], mode="symmetric")


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of views and write `GROUPS` out.

    Raises:
        UserError: a name is not a view, or none is given.
    """
    if not names:
        raise UserError("views: at least one view is needed, such as identity")
    expanded: list[str] = []
    for name in names:
        parts = name.split("+")
        group = next((part for part in parts if part in GROUPS), "identity")
        for part in parts:
            if part != group:
                operation(part)
        for crop in GROUPS.get(group, ("identity",)):
            chosen = [crop if part == group else part for part in parts]
            expanded.append("+".join(part for part in chosen if part != "identity") or "identity")
    return tuple(dict.fromkeys(expanded))


def draws(view: str) -> bool:
    """Whether a view's outcome depends on its seed."""
    return any(operation(part).draws for part in view.split("+"))


def look(picture: Picture, view: str, frame: Frame, seed: int = 0) -> Picture:
    """Show a picture as one view: `frame.size` squared, 3 channels, a contiguous copy.

    `seed` feeds the corruptions that draw noise; give both members of a pair the same.
    """
    top = left = 0.5
    for part in view.split("+"):
        top, left = _PLACES.get(part, (top, left))
        picture = operation(part).apply(picture, seed)
    return np.ascontiguousarray(frame.cut(picture, top, left))


def operation(part: str) -> Operation:
    """What a part of a view's name stands for; those of `_PLACES` leave the picture to the crop.

    Raises:
        UserError: no operation has this name, or its number is out of range.
    """
    if part in _PLACES:
        return Operation(lambda picture, _: picture)
    if part in VIEWS:
        return Operation(lambda picture, _: VIEWS[part](picture))
    if part in CORRUPTIONS:
        return Operation(lambda picture, seed: corrupt(picture, part, seed), CORRUPTIONS[part].draws)
    if match := _HISTORY.fullmatch(part):
        return Operation(lambda picture, seed: history(picture, int(match[1]), seed), draws=True)
    numbered = _NUMBER.fullmatch(part)
    if numbered is None or numbered[1] not in NUMBERED:
        known = [*VIEWS, *_PLACES, *GROUPS, *CORRUPTIONS, "scale_0.5", "jpeg_75", "webp_75", "history_1"]
        raise UserError(f"views: unknown view '{part}'; known: {', '.join(known)}")
    (least, most, apply), value = NUMBERED[numbered[1]], float(numbered[2])
    if not least <= value <= most:
        raise UserError(f"views: '{part}' is out of range (scale 0.1 to 4, quality 1 to 100)")
    return Operation(lambda picture, _: apply(picture, value))


def _resize(picture: Picture, side: int) -> Picture:
    shrinking = side * side < picture.shape[0] * picture.shape[1]
    return resize(picture, side, side, cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
