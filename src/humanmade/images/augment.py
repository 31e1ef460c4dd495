"""Training pictures: native crops, flips, and chains of the degradations pictures meet online.

Everything is albumentations; each picture's draws come from the seed it is called with, never
from the worker or from the order.
"""

from __future__ import annotations

import os
import random

import cv2
import numpy as np

from humanmade.images.decode import Picture
from humanmade.images.views import RESIZE_MARGIN, Frame, pad_to
from humanmade.schema import Augment

# albumentations asks its package index for newer versions at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)


class Augmentation:
    """Crop, flip and degrade one picture to `frame.size` squared."""

    def __init__(self, frame: Frame, keys: Augment | None = None) -> None:
        """`keys` say what is drawn; each place of the chain of degradations is used half the time."""
        self.frame, self.keys = frame, keys or Augment()
        # Degradations run on a square a little larger than the crop, not on the whole picture:
        # the cost is bounded, and JPEG's grid still falls anywhere in the crop.
        # A squashed picture is seen whole, at the size that inference sees.
        self.context = frame.size if frame.crop == "squash" else frame.size + 16
        severity = self.keys.severity
        length = self.keys.chain if severity > 0 else 0
        self.degrade = A.Compose([A.OneOf(degradations(severity), p=0.5) for _ in range(length)])

    def __call__(self, picture: Picture, seed: int) -> Picture:
        """Draw one training picture (size, size, 3); the same seed gives the same draws."""
        rng = np.random.default_rng(seed)
        region = self._region(picture, rng)
        if self.keys.flips and rng.random() < 0.5:
            region = np.ascontiguousarray(region[:, ::-1])
        # One stream for all links: seeded each by itself they would cost a millisecond, and every place
        # of the chain would draw the same.
        self.degrade.set_random_state(rng, random.Random(seed))
        degraded = self.degrade(image=region)["image"]
        top, left = rng.random(2)
        return Frame(self.frame.size).cut(degraded, top, left)

    def _region(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Cut the region to degrade, resized on the way; positions are relative, so pairs agree."""
        low, high = self.keys.scale_range
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        method = int(rng.choice(INTERPOLATIONS))
        top, left = rng.random(2)
        if self.frame.crop == "squash":
            size = (self.context, self.context)
            return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if self.frame.crop == "resize":
            factor *= self.frame.size * RESIZE_MARGIN / min(picture.shape[:2])
            method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        if factor == 1.0:
            return np.ascontiguousarray(Frame(self.context).cut(picture, top, left))
        source = Frame(max(1, round(self.context / factor)))
        small_enough = min(picture.shape[0], picture.shape[1], source.size)
        part = Frame(small_enough).cut(picture, top, left)
        side = max(1, round(small_enough * factor))
        resized = cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=method)
        return np.ascontiguousarray(pad_to(np.asarray(resized, np.uint8), self.context))


def degradations(severity: float) -> list[A.BasicTransform]:
    """The links of a chain, from barely visible (severity 0) to what platforms do at worst (1).

    Inside `OneOf`, `p` is the weight with which a link is drawn; WebP, which takes ten times as long as
    the others, is rare.
    """
    worst = round(90 - 65 * severity)
    downscales = [
        A.Downscale(
            scale_range=(min(0.95, 1 - 0.65 * severity), 0.95),
            interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": upscale},
            p=1.0,
        )
        for upscale in (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    ]
    jitter = 0.5 * severity
    return [
        A.ImageCompression(compression_type="jpeg", quality_range=(worst, 95), p=1.0),
        A.ImageCompression(compression_type="webp", quality_range=(worst, 95), p=0.2),
        A.OneOf(downscales, p=0.7),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 0.2 + 1.8 * severity), p=0.4),
        A.GaussNoise(std_range=(0.0, 0.01 + 0.05 * severity), p=0.4),
        A.Sharpen(alpha=(0.05, 0.1 + 0.4 * severity), lightness=(1.0, 1.0), p=0.2),
        A.ColorJitter(jitter, jitter, jitter, 0.05 * severity, p=0.4),
    ]
