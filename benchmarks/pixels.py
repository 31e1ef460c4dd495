"""Works of one core: a training picture, the inventory, the statistics of the spectrum detector."""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks import notebook, photographs
from benchmarks.compare import Rival, Row, compare, empty_cache, one_core, row, timed
from humanmade.data import inventory
from humanmade.data.loader import TrainingDataset
from humanmade.detectors import spectrum
from humanmade.images.augment import Augmentation
from humanmade.images.decode import decode
from humanmade.images.views import Frame
from humanmade.schema import Augment

SIZES = ((768, 512), (1000, 667))
CROP = 224
COUNT = 48
"""Pictures a run."""


def input_of_one_core(_: Path, rounds: int) -> list[Row]:
    """Decode, crop, flip, chain, to tensor."""
    with one_core():
        return [line for size in SIZES for line in _input(*size, rounds)]


def _input(width: int, height: int, rounds: int) -> list[Row]:
    theirs = notebook.draw(CROP)
    with tempfile.TemporaryDirectory() as name:
        pictures = photographs.write(Path(name), width, height, COUNT)
        dataset = TrainingDataset(pictures, Augmentation(Frame(CROP), Augment(chain=2)), 0, False)

        epochs = count(1)

        def ours() -> None:
            epoch = next(epochs)
            for row in range(COUNT):
                _ = dataset[epoch, row]

        def torchvision() -> None:
            for path in dataset.paths:
                theirs(Image.open(path).convert("RGB"))

        def decoding() -> None:
            for path in dataset.paths:
                decode(Path(path).read_bytes())

        rivals = [
            Rival("Pillow and torchvision v2", lambda: timed(torchvision, COUNT), ">= 2"),
            Rival("decoding alone", lambda: timed(decoding, COUNT)),
        ]
        work = f"input of one core, {width}x{height} to {CROP}"
        return compare(work, lambda: timed(ours, COUNT), rivals, rounds)


def inventory_of_pictures(_: Path, rounds: int) -> list[Row]:
    """Everything that is learned from a picture once, in processor time of a core."""
    values = []
    with tempfile.TemporaryDirectory() as name, one_core():
        paths = photographs.write(Path(name), 1024, 768, COUNT)["path"].tolist()
        for _round in range(rounds):
            with empty_cache():
                began = time.process_time()
                inventory.survey(paths)
                values.append((time.process_time() - began) / COUNT * 1e3)
    return [row("inventory, ms a 1024x768 picture a core", "-", values, "<= 6 ms")]


def spectrum_statistics(_: Path, rounds: int) -> list[Row]:
    """The statistics of squares of the recipe's size."""
    squares = [
        np.asarray(cv2.resize(photo, (384, 384), interpolation=cv2.INTER_AREA), np.uint8)
        for photo in photographs.photographs()
    ]
    with one_core():
        spectrum.statistics(squares[0])
        values = [
            timed(lambda: [spectrum.statistics(square) for square in squares], len(squares)) * 1e3
            for _round in range(rounds)
        ]
    return [row("spectrum statistics, ms a 384 px picture", "-", values)]
