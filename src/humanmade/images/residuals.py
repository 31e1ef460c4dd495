"""What is left of a picture when its content is taken away: high-pass residuals."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from humanmade.images.decode import Picture

Plane = npt.NDArray[np.float32]

_SQUARE5 = [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]

HIGH_PASS: dict[str, Plane] = {
    name: np.asarray(kernel, dtype=np.float32)
    for name, kernel in {
        "first": [[-1, 1]],
        "second": [[1, -2, 1]],
        "third": [[1, -3, 3, -1]],
        "square3": np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4,
        "square5": np.array(_SQUARE5) / 12,
    }.items()
}
"""Linear filters of the spatial rich model (Fridrich and Kodovsky 2012, section III), divided by the
weight of the predicted pixel so that a residual is in grey levels."""


def luminance(picture: Picture) -> Plane:
    """Grey levels (height, width), 0 to 255 (BT.601)."""
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)


def high_pass(plane: Plane, name: str, across: bool = False) -> Plane:
    """Filter a plane (or planes, channels last) by `HIGH_PASS`; `across` turns the filter by 90 degrees."""
    kernel = HIGH_PASS[name]
    kernel = kernel / max(1.0, float(np.abs(kernel).max()))
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, np.ascontiguousarray(kernel.T if across else kernel)))


def neighbouring_pixels(picture: Picture) -> npt.NDArray[np.float32]:
    """NPR: each pixel minus the nearest-neighbour up-sampling of every second one.

    It shows the relations among the pixels that an up-sampling layer makes together
    (Tan et al. 2024, "Rethinking the up-sampling operations in CNN-based generative networks").

    Returns:
        (height, width, 3) in grey levels.
    """
    height, width = picture.shape[:2]
    upsampled = np.repeat(np.repeat(picture[::2, ::2], 2, axis=0), 2, axis=1)[:height, :width]
    return picture.astype(np.float32) - upsampled
