"""What happened to a file before it reached us: drawn chains of scaling, blur, noise and compression.

Photos of one site share such a history, fakes of another share theirs, so it tells sources apart by far
more than classes. Shown under many drawn histories, a picture teaches what none of them takes away.
"""

from __future__ import annotations

import cv2
import numpy as np

from humanmade.images.corruptions import blur, noise, recompress, rescale
from humanmade.images.decode import Picture
from humanmade.seeding import stable_seed

SCALES = (0.7, 1.5)
"""Factors of resizing at one station: sites shrink, editors and up-scalers enlarge."""

METHODS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def history(picture: Picture, number: int, seed: int) -> Picture:
    """Send a picture through the history `number` of those drawn for it.

    Args:
        seed: of the picture or its pair; both members of a pair then share the history.
    """
    rng = np.random.default_rng(stable_seed("history", number, seed))
    for _ in range(1 + int(rng.random() < 0.4)):
        picture = _handed_on(picture, rng)
    return picture


def _handed_on(picture: Picture, rng: np.random.Generator) -> Picture:
    """One station of the way: a site, an editor or a messenger."""
    if rng.random() < 0.6:
        factor = float(np.exp(rng.uniform(*np.log(SCALES))))
        picture = rescale(picture, factor, int(rng.choice(METHODS)))
    if rng.random() < 0.2:
        picture = blur(picture, rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        picture = noise(picture, rng.uniform(1, 8), rng)
    if rng.random() < 0.9:
        codec = "webp" if rng.random() < 0.2 else "jpeg"
        picture = recompress(picture, codec, int(rng.integers(40, 96)))
    return picture
