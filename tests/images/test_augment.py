import warnings

import albumentations as A
import numpy as np
import pytest

from humanmade.images.augment import Augmentation
from humanmade.images.views import CROPS, Frame, look
from humanmade.schema import Augment
from tests.conftest import scene


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("severity", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 2.0)])
def test_every_pipeline_runs_without_warnings(crop: str, severity: float, scales: tuple[float, float]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        augment = Augmentation(Frame(32, crop), Augment(chain=5, severity=severity, scale_range=[*scales]))
        for shape in ((60, 80), (8, 100)):
            for seed in range(12):
                out = augment(scene(seed, shape), seed)
                assert out.shape == (32, 32, 3) and out.dtype == np.uint8


def test_draws_depend_on_the_seed_and_on_nothing_before():
    picture = scene(1, (80, 80))
    one, two = (
        Augmentation(Frame(40), Augment(chain=3, severity=0.7, scale_range=[0.5, 1.5])) for _ in range(2)
    )
    two(picture, 99)
    assert all((one(picture, seed) == two(picture, seed)).all() for seed in range(10))
    assert any((one(picture, 1) != one(picture, seed)).any() for seed in range(2, 5))


def test_a_pair_gets_the_same_crop_flip_and_resize():
    picture = scene(2, (80, 80))
    augment = Augmentation(Frame(40), Augment(scale_range=[0.6, 1.4]))
    for seed in range(10):
        inverted = 255 - augment(255 - picture, seed).astype(int)
        assert np.abs(inverted - augment(picture, seed)).max() <= 1


def test_without_degradations_pixels_stay_native():
    picture = scene(3, (64, 64))
    windows = {picture[y : y + 40, x : x + 40].tobytes() for y in range(25) for x in range(25)}
    augment = Augmentation(Frame(40), Augment(flips=False))
    assert all(augment(picture, seed).tobytes() in windows for seed in range(10))


def test_a_squashed_picture_is_trained_on_as_it_is_judged():
    picture = scene(5, (64, 96))
    augment = Augmentation(Frame(32, "squash"), Augment(flips=False))
    seen = look(picture, "identity", Frame(32, "squash")).astype(int)
    assert all(np.abs(augment(picture, seed) - seen).mean() < 2 for seed in range(5))


def test_the_places_of_a_chain_draw_each_for_itself(monkeypatch: pytest.MonkeyPatch):
    augment = Augmentation(Frame(64), Augment(chain=5, severity=0.5))
    chains: list[list[str]] = []

    def note(self: A.BasicTransform, params: object, *_: object, **kept: object) -> object:
        chains[-1].append(type(self).__name__)
        return kept

    monkeypatch.setattr(A.BasicTransform, "apply_with_params", note)
    for seed in range(60):
        chains.append([])
        augment(scene(4, (90, 90)), seed)
    lengths = [len(chain) for chain in chains]
    assert {1, 2, 3, 4} <= set(lengths) and abs(np.mean(lengths) - 2.5) < 0.6, "each is used half the time"
    assert np.mean([len(set(chain)) > 1 for chain in chains if len(chain) > 1]) > 0.7


def test_severity_degrades():
    picture = scene(4, (90, 90))

    def damage(severity: float) -> float:
        clean, hard = (
            Augmentation(Frame(64), Augment(chain=chain, severity=severity, flips=False)) for chain in (0, 5)
        )
        return float(
            np.mean([np.abs(hard(picture, s).astype(int) - clean(picture, s)).mean() for s in range(30)])
        )

    assert damage(0.1) < damage(0.5) < damage(1.0)


@pytest.mark.parametrize("severity", [0.001, 0.05, 1.0])
def test_every_severity_can_be_drawn(severity: float):
    augment = Augmentation(Frame(24), Augment(chain=5, severity=severity))
    assert all(augment(scene(seed), seed).shape == (24, 24, 3) for seed in range(8))
