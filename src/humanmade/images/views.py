"""Deterministic views: every way in which a finished detector looks at a picture, by name.

A view's name joins operations with `+`, applied in order, then the crop: `identity`, `hflip`,
`vflip`, `rot180`, `scale_0.5` (resized by that factor), `jpeg_75` and `webp_75` (recompressed),
`crop_tl`, `crop_tr`, `crop_bl`, `crop_br` (a corner instead of the centre), `history_1`, `history_2` ...
(drawn chains, `humanmade.images.histories`), and the corruptions of `humanmade.images.corruptions` by
their own names. `crop_5` stands for all five crops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from humanmade.errors import UserError
from humanmade.images.corruptions import CORRUPTIONS, DRAWING, corrupt, recompress, rescale
from humanmade.images.decode import Picture
from humanmade.images.histories import history

CROPS = ("native", "resize", "squash")
"""Crop policies: a square at native resolution; the short side brought to 8/7 of the square first
(timm's usual crop fraction of 0.875); the whole picture squashed to the square."""

RESIZE_MARGIN = 8 / 7

_FLIPS: dict[str, Callable[[Picture], Picture]] = {
    "identity": lambda picture: picture,
    "hflip": lambda picture: picture[:, ::-1],
    "vflip": lambda picture: picture[::-1],
    "rot180": lambda picture: picture[::-1, ::-1],
}
FIVE_CROPS = "crop_5"
_CORNERS = {"crop_tl": (0, 0), "crop_tr": (0, 1), "crop_bl": (1, 0), "crop_br": (1, 1)}
_NUMBERED = re.compile(r"(scale|jpeg|webp)_(\d+(?:\.\d+)?)")
_HISTORY = re.compile(r"history_([1-9]\d?)")


@dataclass(frozen=True)
class Frame:
    """The square that a detector sees: its side in pixels and how it is cut from a picture."""

    size: int
    crop: str = "native"

    def cut(self, picture: Picture, top: float = 0.5, left: float = 0.5) -> Picture:
        """Cut the square at a relative position; a picture too small is mirrored at its edges."""
        if self.crop == "squash":
            return _resize(picture, self.size, self.size)
        if self.crop == "resize":
            # Only what will be seen is resized, so a very long picture costs no more than a square one.
            part = _square(picture, max(1, round(min(picture.shape[:2]) / RESIZE_MARGIN)), top, left)
            return _resize(part, self.size, self.size)
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
    """Check the names of views and write `crop_5` out.

    Raises:
        UserError: a name is not a view, or none is given.
    """
    if not names:
        raise UserError("views: at least one view is needed, such as identity")
    out: list[str] = []
    for name in names:
        parts = name.split("+")
        for part in parts:
            _check(part)
        for crop in ("identity", *_CORNERS) if FIVE_CROPS in parts else ("identity",):
            kept = [crop if part == FIVE_CROPS else part for part in parts]
            out.append("+".join(part for part in kept if part != "identity") or "identity")
    return tuple(dict.fromkeys(out))


def draws(view: str) -> bool:
    """Whether a view's outcome depends on its seed."""
    parts = view.split("+")
    return not DRAWING.isdisjoint(parts) or any(map(_HISTORY.fullmatch, parts))


def look(picture: Picture, view: str, frame: Frame, seed: int = 0) -> Picture:
    """Show a picture as one view: `frame.size` squared, 3 channels, a contiguous copy.

    `seed` feeds the corruptions that draw noise; give both members of a pair the same.
    """
    top = left = 0.5
    for part in view.split("+"):
        numbered, drawn = _NUMBERED.fullmatch(part), _HISTORY.fullmatch(part)
        if part in _FLIPS:
            picture = _FLIPS[part](picture)
        elif part in _CORNERS:
            top, left = _CORNERS[part]
        elif numbered and numbered[1] == "scale":
            picture = rescale(picture, float(numbered[2]))
        elif numbered:
            picture = recompress(picture, numbered[1], int(float(numbered[2])))
        elif drawn:
            picture = history(picture, int(drawn[1]), seed)
        else:
            picture = corrupt(picture, part, seed)
    return np.ascontiguousarray(frame.cut(picture, top, left))


def _check(part: str) -> None:
    numbered = _NUMBERED.fullmatch(part)
    if numbered:
        value = float(numbered[2])
        good = 0.1 <= value <= 4 if numbered[1] == "scale" else 1 <= value <= 100
        if not good:
            raise UserError(f"views: '{part}' is out of range (scale 0.1 to 4, quality 1 to 100)")
        return
    known = [*_FLIPS, *_CORNERS, FIVE_CROPS, *CORRUPTIONS]
    if part not in known and not _HISTORY.fullmatch(part):
        known += ["scale_0.5", "jpeg_75", "webp_75", "history_1"]
        raise UserError(f"views: unknown view '{part}'; known: {', '.join(known)}")


def _resize(picture: Picture, height: int, width: int) -> Picture:
    shrinking = height * width < picture.shape[0] * picture.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    picture = np.ascontiguousarray(picture)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)
