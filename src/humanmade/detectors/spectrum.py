"""Statistics of residuals and frequencies, with a linear head: no network at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from humanmade.data.loader import worker_count
from humanmade.detectors.features import FeatureStore
from humanmade.detectors.fixed_features import FixedFeatures
from humanmade.images.decode import Picture
from humanmade.images.residuals import HIGH_PASS, Plane, high_pass, luminance, neighbouring_pixels
from humanmade.schema import SpectrumRecipe

RINGS = 32
"""Frequencies of the azimuthal average, from 0 to the corner."""

TRUNCATION = 2
"""Residuals are rounded to grey levels of -2 to 2 before they are counted (Fridrich and Kodovsky 2012)."""

Vector = npt.NDArray[np.float32]


class Spectrum(FixedFeatures):
    """Fixed statistics of a picture, and a head that learns which of them tell."""

    recipe: SpectrumRecipe

    @cached_property
    def store(self) -> FeatureStore:
        """Statistics of pictures, kept on disk."""
        workers = worker_count(self.recipe.workers, feeding_network=False)
        return FeatureStore("spectrum 2", self.frame, 32, workers, transform=statistics)


def statistics(picture: Picture) -> Vector:
    """All statistics of one square picture (size, size, 3), as one vector."""
    grey = luminance(picture)
    # A filter along one direction is used along the other too; a square one is the same.
    residuals = {
        (name, across): high_pass(grey, name, across)
        for name in HIGH_PASS
        for across in ((False,) if name.startswith("square") else (False, True))
    }
    parts = [
        _azimuthal(grey),
        _azimuthal(luminance_of(neighbouring_pixels(picture))),
        _block_dct(grey),
        *map(_co_occurrence, residuals.values()),
        _moments(picture, grey, [residuals[name, False] for name in HIGH_PASS]),
    ]
    return np.concatenate(parts).astype(np.float32)


def luminance_of(planes: npt.NDArray[np.float32]) -> Plane:
    """Grey levels of a residual (height, width, 3), BT.601."""
    return np.asarray(cv2.transform(planes, np.array([[0.299, 0.587, 0.114]], dtype=np.float32)))


def _azimuthal(plane: Plane) -> Vector:
    """Log power by distance from the spectrum's centre (`RINGS`), and its ripple along the axes.

    Up-samplers leave peaks at high frequencies (Durall et al. 2020).
    """
    size = plane.shape[0]
    window = np.hanning(size).astype(np.float32)
    waves = np.fft.rfft2((plane - plane.mean()) * window[:, None] * window)
    ring, counts = _rings(size)
    log_power = np.log(waves.real**2 + waves.imag**2 + 1e-3)
    profile = np.bincount(ring, log_power.ravel(), RINGS) / counts
    spread = np.bincount(ring, log_power.ravel() ** 2, RINGS) / counts - profile**2
    axes = _axis_peaks(log_power)
    return np.concatenate([profile, np.sqrt(np.maximum(spread, 0)), axes]).astype(np.float32)


def _axis_peaks(log_power: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """How far the axes and the half and quarter frequencies rise above their surroundings."""
    height, width = log_power.shape
    places = [(height // 2, 0), (0, width - 1), (height // 2, width - 1)]
    places += [(height // 4, 0), (0, width // 2), (height // 4, width // 2)]
    peaks = []
    for y, x in places:
        near = log_power[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        peaks.append(log_power[y, x] - np.median(near))
    return np.array(peaks)


@lru_cache(maxsize=4)
def _rings(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The ring of each frequency of a real FFT, and how many frequencies each ring has."""
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    ring = np.minimum((np.hypot(y, x) / np.hypot(0.5, 0.5) * RINGS).astype(np.int64), RINGS - 1).ravel()
    return ring, np.maximum(np.bincount(ring, minlength=RINGS), 1).astype(np.float64)


def _block_dct(grey: Plane) -> Vector:
    """Log mean magnitude of each coefficient of 8 x 8 blocks (63), and each one's peakedness (63).

    The blocks start where a JPEG's do when the picture is uncropped; compression empties high ones.
    """
    size = grey.shape[0] // 8 * 8
    blocks = grey[:size, :size].reshape(size // 8, 8, size // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    coefficients = dctn(blocks, axes=(1, 2), norm="ortho").reshape(-1, 64)[:, 1:]
    magnitude = np.abs(coefficients).mean(axis=0)
    root = np.sqrt((coefficients**2).mean(axis=0))
    return np.concatenate([np.log(magnitude + 1e-2), magnitude / (root + 1e-2)]).astype(np.float32)


def _co_occurrence(residual: Plane) -> Vector:
    """Counts of three rounded residuals in a row, along and across, signs and direction folded.

    The square root brings shares of very different size to one scale.
    """
    levels = 2 * TRUNCATION + 1
    # Rounded half to even, into bytes: there are 125 triples, so a byte holds one.
    codes = np.minimum(cv2.add(residual, float(TRUNCATION), dtype=cv2.CV_8U), 2 * TRUNCATION)
    runs = codes[:, :-2] * levels**2 + codes[:, 1:-1] * levels + codes[:, 2:]
    falls = codes[:-2] * levels**2 + codes[1:-1] * levels + codes[2:]
    fold, classes = _folding(levels)
    counts = [
        np.bincount(fold, _histogram(part, len(fold)), minlength=classes) / part.size
        for part in (runs, falls)
    ]
    return np.sqrt(np.concatenate(counts)).astype(np.float32)


def _histogram(codes: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.float32]:
    """How often each of the first `count` bytes stands there, by OpenCV, which NumPy is slow at."""
    return np.asarray(cv2.calcHist([codes], [0], None, [count], [0, count])).ravel()


@lru_cache(maxsize=1)
def _folding(levels: int) -> tuple[npt.NDArray[np.int64], int]:
    """Map each triple of levels to one class with its mirror image and its negative."""
    a, b, c = np.indices((levels, levels, levels)).reshape(3, -1)
    top = levels - 1
    variants = [(a, b, c), (c, b, a), (top - a, top - b, top - c), (top - c, top - b, top - a)]
    code = np.min([x * levels**2 + y * levels + z for x, y, z in variants], axis=0)
    classes, fold = np.unique(code, return_inverse=True)
    return fold.astype(np.int64), len(classes)


def _moments(picture: Picture, grey: Plane, residuals: Sequence[Plane]) -> Vector:
    """Strength and shape of residuals, how they agree between channels, and saturation."""
    colours = high_pass(picture.astype(np.float32), "square3")
    colours = cv2.subtract(colours, cv2.mean(colours)).reshape(-1, 3)
    covariance = cv2.mulTransposed(colours, aTa=True, dtype=cv2.CV_64F) / (len(colours) - 1)
    deviations = np.sqrt(covariance.diagonal()) + 1e-2
    agreement = covariance / np.outer(deviations, deviations)
    values = [agreement[0, 1], agreement[1, 2], agreement[0, 2]]
    for residual in residuals:
        deviation = _deviation(residual)
        squared = np.square(residual / (deviation + 1e-2))
        values += [np.log(deviation + 1e-2), np.log(cv2.norm(squared, cv2.NORM_L2SQR) / squared.size + 1e-2)]
    red, green, blue = cv2.split(picture)
    for channel in (red, blue):
        values.append(np.log(_deviation(cv2.subtract(channel, green, dtype=cv2.CV_16S)) + 1))
    values.append(np.log(_deviation(grey) + 1))
    values += [np.count_nonzero(clipped) / picture.size for clipped in (picture <= 1, picture >= 254)]
    return np.array(values, dtype=np.float32)


def _deviation(plane: npt.NDArray[Any]) -> float:
    """Standard deviation of a plane; by OpenCV, in one pass."""
    return float(cv2.meanStdDev(plane)[1].item())
