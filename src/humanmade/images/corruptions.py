"""A fixed grid of what happens to pictures on their way through the world.

Severities follow what sharing platforms do to pictures (recompression, rescaling) and the mild
end of ImageNet-C (Hendrycks and Dietterich 2019). Every draw comes from the seed alone, so both
members of a pair and both classes meet the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from humanmade.images.decode import Picture
from humanmade.seeding import stable_seed

LONGEST = {"jpeg": 65_500, "webp": 16_383}
"""Longest side in pixels that a codec takes; longer pictures are brought down to it first."""

BLOCK = 2**20
"""Values that are held in float64 at once (8 MB)."""


class Corruption(NamedTuple):
    """What is done to a picture, and whether it draws at random or is the same whatever the seed."""

    apply: Callable[[Picture, np.random.Generator], Picture]
    draws: bool = False


def recompress(picture: Picture, codec: str, quality: int) -> Picture:
    """Send a picture through `jpeg` (4:2:0) or `webp` at a quality of 1 to 100."""
    flag = cv2.IMWRITE_JPEG_QUALITY if codec == "jpeg" else cv2.IMWRITE_WEBP_QUALITY
    longest = max(picture.shape[:2])
    if longest > LONGEST[codec]:
        picture = rescale(picture, LONGEST[codec] / longest)
    done, data = cv2.imencode(f".{codec}", picture[:, :, ::-1], [flag, quality])
    assert done, f"OpenCV lacks {codec}"
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)[:, :, ::-1]


def rescale(picture: Picture, factor: float, method: int | None = None) -> Picture:
    """Resize by a factor (area averaging down, cubic up, unless a `cv2.INTER_*` is given)."""
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    if method is None:
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return resize(picture, height, width, method)


def resize(picture: Picture, height: int, width: int, method: int) -> Picture:
    """Resize by a `cv2.INTER_*`, whatever the strides of the picture."""
    picture = np.ascontiguousarray(picture)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; sigma in pixels."""
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), sigma), dtype=np.uint8)


def noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Add Gaussian noise; sigma in grey levels of 255."""
    return _by_rows(picture, lambda rows: rows + rng.normal(0, sigma, rows.shape))


def _by_rows(picture: Picture, change: Callable[[Picture], npt.NDArray[np.float64]]) -> Picture:
    """Change rows of pixels and round them, `BLOCK` values at a time: a large photo would take gigabytes."""
    out, step = np.empty(picture.shape, np.uint8), max(1, BLOCK // picture[0].size)
    for start in range(0, len(picture), step):
        rows = slice(start, start + step)
        out[rows] = change(picture[rows]).round().clip(0, 255)
    return out


def _down_up(picture: Picture, _: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    return resize(rescale(picture, 0.5), height, width, cv2.INTER_CUBIC)


def _crop(picture: Picture, rng: np.random.Generator) -> Picture:
    """Cut 70 % of each side at a drawn place and bring it back to size."""
    height, width = picture.shape[:2]
    top, left = (rng.random(2) * 0.3 * (height, width)).astype(int)
    part = picture[top : top + max(1, int(height * 0.7)), left : left + max(1, int(width * 0.7))]
    return resize(part, height, width, cv2.INTER_CUBIC)


def _colour(picture: Picture, rng: np.random.Generator) -> Picture:
    """Brightness, contrast and each channel's gain drawn within 20 %."""
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.9, 1.1, 3)
    shift = rng.uniform(-25, 25)
    return _by_rows(picture, lambda rows: (rows - 127.5) * gain + 127.5 + shift)


def _messenger(picture: Picture, _: np.random.Generator) -> Picture:
    return recompress(recompress(rescale(picture, 0.6), "jpeg", 70), "jpeg", 50)


def _screenshot(picture: Picture, rng: np.random.Generator) -> Picture:
    return recompress(_colour(rescale(picture, 1.4), rng), "webp", 60)


def _repost(picture: Picture, rng: np.random.Generator) -> Picture:
    picture = noise(blur(picture, 0.8), 4, rng)
    return recompress(rescale(recompress(picture, "webp", 50), 0.75), "jpeg", 80)


CORRUPTIONS: dict[str, Corruption] = {
    "jpeg90": Corruption(lambda picture, _: recompress(picture, "jpeg", 90)),
    "jpeg70": Corruption(lambda picture, _: recompress(picture, "jpeg", 70)),
    "jpeg50": Corruption(lambda picture, _: recompress(picture, "jpeg", 50)),
    "jpeg30": Corruption(lambda picture, _: recompress(picture, "jpeg", 30)),
    "webp50": Corruption(lambda picture, _: recompress(picture, "webp", 50)),
    "blur1": Corruption(lambda picture, _: blur(picture, 1.0)),
    "down2up": Corruption(_down_up),
    "noise8": Corruption(lambda picture, rng: noise(picture, 8, rng), draws=True),
    "crop70": Corruption(_crop, draws=True),
    "colour20": Corruption(_colour, draws=True),
    "messenger": Corruption(_messenger),
    "screenshot": Corruption(_screenshot, draws=True),
    "repost": Corruption(_repost, draws=True),
}
"""The grid, in the order of its scores; a new entry here is all that a new corruption takes."""

SELECTING = ("jpeg50", "down2up", "noise8", "messenger")
"""Corruptions under which epochs and members are chosen; the chain `repost` is kept for judging alone."""


def corrupt(picture: Picture, name: str, seed: int) -> Picture:
    """Apply one corruption of the grid; the seed (of a pair) decides every draw in it."""
    return CORRUPTIONS[name].apply(picture, np.random.default_rng(stable_seed(name, seed)))
