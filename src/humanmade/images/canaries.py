"""Small numbers of a picture that know nothing of how it was made: what a shortcut would be learned from.

Each canary is one shortcut: a detector that knows no more than it has learned the data, not the traces.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from humanmade.images.decode import Picture
from humanmade.images.facts import spread
from humanmade.images.residuals import Plane, luminance

Vector = npt.NDArray[np.float32]

NATIVE = 768
"""Pixels a side, from the middle, that are looked at where the pixels themselves count."""

SIDE = 192
"""Pixels a side to which pictures are squashed where the look of the whole counts."""

QUALITY = 75
"""Of the JPEG that tells how well a picture compresses."""

VERSION = 1
"""Raise when the same picture would give other numbers."""

_TINY = 1e-2
"""Added before logarithms: below what 8-bit pixels can show, so flat pictures stay finite."""


def describe(picture: Picture, size: int) -> Vector:
    """All canaries' numbers of a picture, one after another; `PARTS` says which are whose.

    Args:
        size: of its file, in bytes.
    """
    top, left = (max(0, side - NATIVE) // 2 for side in picture.shape[:2])
    native = np.ascontiguousarray(picture[top : top + NATIVE, left : left + NATIVE])
    squashed = _squashed(picture, SIDE)
    numbers = {
        # Roots of the shares of 4 x 4 x 4 colours, so that rare ones count too.
        "colour": np.sqrt(_colours(squashed, 4) / SIDE**2),
        "thumbnail": _squashed(picture, 8).ravel() / 255.0,
        "sharpness": _sharpness(luminance(native)),
        "blurred": _blurred(picture),
        "bytes": _bytes(picture, native, size),
        "drawing": _drawing(squashed),
    }
    return np.concatenate([numbers[name] for name in CANARIES]).astype(np.float32)


def _sharpness(grey: Plane) -> npt.NDArray[np.float64]:
    """Logarithms (3,) of the Laplacian's deviation and of local gradient energy, in full and half size."""
    half = cv2.resize(grey, [max(1, side // 2) for side in grey.shape[::-1]], interpolation=cv2.INTER_AREA)
    local = []
    for plane in (grey, np.asarray(half)):
        across, down = _slopes(plane)
        blocks = cv2.resize(across**2 + down**2, (8, 8), interpolation=cv2.INTER_AREA)
        local.append(_log(blocks).mean())
    return np.array([float(_log(cv2.Laplacian(grey, cv2.CV_32F).std())), *local])


def _blurred(picture: Picture) -> npt.NDArray[np.float64]:
    """The 36 lowest DCT coefficients of 32 x 32 grey levels: composition, without a trace."""
    waves = np.asarray(cv2.dct(luminance(_squashed(picture, 32)) / 255.0), dtype=np.float64)
    return waves[_LOWEST]


_LOWEST = np.add.outer(np.arange(32), np.arange(32)) < 8
"""The triangle of coefficients whose two frequencies add up to less than 8."""


def _bytes(picture: Picture, native: Picture, size: int) -> npt.NDArray[np.float64]:
    """Logarithms (2,) of bytes per pixel: of the file, and saved as a JPEG again."""
    bgr = cv2.cvtColor(native, cv2.COLOR_RGB2BGR)
    saved = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.log([max(size, 1) / (picture.size / 3), len(saved) / (native.size / 3)])


def _drawing(picture: Picture) -> npt.NDArray[np.float64]:
    """Flat areas (2,), how many colours (2,), strength (3,) and directions (8,) of edges, saturation (3,)."""
    across, down = _slopes(luminance(picture))
    strength = cv2.magnitude(across, down)
    turn = np.mod(np.arctan2(down, across), np.pi) / np.pi * 8
    directions = np.bincount(np.rint(turn).astype(int).ravel() % 8, strength.ravel(), 8)
    counts = np.sort(_colours(picture, 16))[::-1]
    most = np.searchsorted(np.cumsum(counts), 0.9 * counts.sum()) + 1
    strong = np.percentile(strength, 99)
    saturation = spread(picture) / 255
    return np.array(
        [
            *((strength < level).mean() for level in (1, 4)),
            *np.log([np.count_nonzero(counts), most]),
            *_log(np.array([strength.mean(), strong, strong / (strength.mean() + 1)])),
            *(directions / (directions.sum() + 1)),
            *(saturation.mean(), saturation.std(), np.percentile(saturation, 90)),
        ]
    )


def _squashed(picture: Picture, side: int) -> Picture:
    """The whole picture as a square, whatever its shape."""
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _colours(picture: Picture, levels: int) -> npt.NDArray[np.int64]:
    """How many pixels have each of `levels`^3 colours."""
    red, green, blue = np.moveaxis(picture // (256 // levels), -1, 0).astype(np.int64)
    return np.bincount(((red * levels + green) * levels + blue).ravel(), minlength=levels**3)


def _slopes(grey: Plane) -> tuple[Plane, Plane]:
    """Sobel's slopes across and down, in grey levels per pixel."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return np.asarray(across), np.asarray(down)


def _log(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(np.log(np.asarray(values, dtype=np.float64) + _TINY))


CANARIES = {"colour": 64, "thumbnail": 192, "sharpness": 3, "blurred": 36, "bytes": 2, "drawing": 18}
"""How many numbers each has."""

_ENDS = np.cumsum(list(CANARIES.values())).tolist()

PARTS = {name: slice(end - count, end) for (name, count), end in zip(CANARIES.items(), _ENDS, strict=True)}
"""Where each one's numbers stand in what `describe` gives."""
