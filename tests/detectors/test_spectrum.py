from pathlib import Path

import cv2
import numpy as np
import pytest

from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.detectors import spectrum
from humanmade.training.budget import Budget
from tests.conftest import MakeFolder, scene


def test_statistics_are_finite_on_any_square():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    vectors = [
        spectrum.statistics(picture)
        for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255), scene(1, (64, 64)))
    ]
    assert len({vector.shape for vector in vectors}) == 1
    assert all(np.isfinite(vector).all() for vector in vectors)


@pytest.mark.parametrize("size", [32, 65, 256])
def test_rings_cover_every_frequency(size: int):
    ring, counts = spectrum._rings(size)
    assert ring.max() == spectrum.RINGS - 1 and len(ring) == size * (size // 2 + 1)
    assert counts.sum() == pytest.approx(len(ring), abs=spectrum.RINGS)


def test_the_azimuthal_average_tells_noise_from_blurred_noise():
    noise = np.random.default_rng(0).normal(0, 20, (128, 128)).astype(np.float32)
    white = spectrum._azimuthal(noise)[: spectrum.RINGS]
    soft = spectrum._azimuthal(cv2.GaussianBlur(noise, (0, 0), 1.5))[: spectrum.RINGS]
    assert np.ptp(white[2:]) < 1.5, "white noise is flat"
    assert soft[2] - soft[20] > 5 and abs(soft[2] - white[2]) < 2, "a blur takes high frequencies alone"


def test_co_occurrence_ignores_mirroring_and_sign():
    residual = np.random.default_rng(0).normal(0, 1, (40, 40)).astype(np.float32)
    base = spectrum._co_occurrence(residual)
    assert np.allclose(base, spectrum._co_occurrence(-residual))
    assert np.allclose(base, spectrum._co_occurrence(residual[:, ::-1]))
    assert np.allclose(base, spectrum._co_occurrence(residual[::-1]))
    assert (base**2).sum() == pytest.approx(2, abs=1e-5), "two directions, each a distribution"


def test_it_learns_an_up_sampler(manifest_folder: MakeFolder, tmp_path: Path):
    table = inventory.attach(manifest.load([manifest_folder(pairs=40)]))
    made = folds.make(table, 2, 0, "pairs")
    detector = detectors.create(recipes.load("spectrum", ["image_size=48", "workers=0"]))
    train, held = made.training(0), made.validation(0)
    detector.fit(train, held, 0, tmp_path, Budget())
    logits = detector.logits(tmp_path, held, ["identity", "hflip"])
    assert ((logits.mean(axis=1) > 0) == (held["label"] == 1)).mean() > 0.9
