"""Facts of a picture that are not its content: how it was stored, and what its colours average to.

The audit looks for labels in them; detectors never see them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from humanmade.images.decode import Picture, open_picture

STORED = ("format", "mode", "quality", "tables", "subsampling", "exif", "profile")
"""Of the file: `quality` is the mean of the luminance quantisation table (lower is better), `tables`
the hash of all, `exif` the number of tags, `profile` 1 with a colour profile."""

SHOWN = ("brightness", "contrast", "saturation", "sharpness")
"""Of the pixels: mean and deviation of grey, mean spread of the channels, and deviation of the
Laplacian, all in grey levels of 255."""

GRID = 256
"""Pixels a side, at most, of the grid that saturation is taken from; the whole takes twice as long."""


def stored_facts(data: bytes) -> dict[str, str]:
    """`STORED` facts of a file's bytes, as text, read from its header."""
    image = open_picture(data)
    tables: Mapping[int, Any] = getattr(image, "quantization", None) or {}
    sampling = JpegImagePlugin.get_sampling(image) if tables else -1
    return {
        "format": str(image.format),
        "mode": image.mode,
        "quality": f"{np.mean(next(iter(tables.values()))):.2f}" if tables else "",
        "tables": hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8] if tables else "",
        "subsampling": {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(sampling, ""),
        "exif": str(len(image.getexif())),
        "profile": str(int("icc_profile" in image.info)),
    }


def shown_facts(image: Image.Image, grey: Image.Image) -> dict[str, str]:
    """`SHOWN` facts of a decoded picture and its grey levels (mode L), as text."""
    plane = np.asarray(grey)
    width, height = (min(GRID, side) for side in image.size)
    sample = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    mean, deviation = cv2.meanStdDev(plane)
    return {
        "brightness": f"{mean.item():.3f}",
        "contrast": f"{deviation.item():.3f}",
        "saturation": f"{cv2.mean(spread(sample))[0]:.3f}",
        "sharpness": f"{cv2.meanStdDev(cv2.Laplacian(plane, cv2.CV_16S))[1].item():.3f}",
    }


def spread(picture: Picture) -> npt.NDArray[np.uint8]:
    """How far apart the channels of each pixel lie (height, width); by OpenCV, which NumPy is slow at."""
    red, green, blue = cv2.split(picture)
    highest, lowest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    return np.asarray(cv2.subtract(highest, lowest), np.uint8)
