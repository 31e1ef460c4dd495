import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade.images.canaries import CANARIES, NATIVE, PARTS, describe
from humanmade.images.decode import Picture
from tests.conftest import scene

PICTURE = scene(1, (120, 160))


def noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, 12, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def moved(one: Picture, other: Picture) -> dict[str, float]:
    """How far each canary moves between two pictures."""
    first, second = describe(one, 5000), describe(other, 5000)
    return {name: float(np.abs(first[part] - second[part]).max()) for name, part in PARTS.items()}


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 255), st.integers(0, 9999))
def test_any_picture_has_finite_numbers(height: int, width: int, level: int, size: int):
    flat = np.full((height, width, 3), level, np.uint8)
    for picture in (flat, noisy(flat)):
        vector = describe(picture, size)
        assert vector.shape == (sum(CANARIES.values()),) and vector.dtype == np.float32
        assert np.isfinite(vector).all()


def test_parts_cover_the_vector_once():
    places = np.concatenate([np.arange(part.start, part.stop) for part in PARTS.values()])
    assert (places == np.arange(sum(CANARIES.values()))).all()


def test_a_tint_is_a_matter_of_colour():
    tinted = PICTURE.copy()
    tinted[..., 0] = tinted[..., 0] // 2
    far = moved(PICTURE, tinted)
    assert far["colour"] > 0.2 and far["thumbnail"] > 0.1
    assert moved(PICTURE, PICTURE[:, ::-1])["colour"] == pytest.approx(0, abs=0.02), "places do not matter"


def test_traces_are_a_matter_of_sharpness():
    far = moved(noisy(PICTURE), cv2.GaussianBlur(noisy(PICTURE), (0, 0), 1.0))
    assert far["sharpness"] > 1
    assert far["thumbnail"] < 0.02 and far["blurred"] < 0.1, "composition is what blur leaves"


def test_sharpness_falls_with_blur_at_both_scales():
    steps = [noisy(PICTURE), *(cv2.GaussianBlur(noisy(PICTURE), (0, 0), sigma) for sigma in (0.7, 1.5, 4))]
    sharp = np.array([describe(step, 1)[PARTS["sharpness"]] for step in steps])
    assert (np.diff(sharp, axis=0) < 0).all()


def test_a_turned_picture_is_another_composition():
    assert moved(PICTURE, PICTURE[::-1])["blurred"] > 0.5


def test_bytes_of_the_file_and_of_a_jpeg():
    few, many = (describe(PICTURE, size)[PARTS["bytes"]] for size in (100, 10_000))
    assert many[0] - few[0] == pytest.approx(np.log(100), abs=1e-5) and many[1] == few[1]
    assert few[0] == pytest.approx(np.log(100 / (120 * 160)), abs=1e-5)
    assert describe(noisy(PICTURE), 100)[PARTS["bytes"]][1] > few[1] + 0.4, "noise compresses badly"


def test_a_drawing_has_flat_areas_and_few_colours():
    drawing = np.full((192, 192, 3), 240, np.uint8)
    cv2.rectangle(drawing, (40, 40), (150, 150), (200, 30, 30), -1)
    flat, _, colours, _ = describe(drawing, 1)[PARTS["drawing"]][:4]
    photo = describe(noisy(scene(1, (192, 192))), 1)[PARTS["drawing"]]
    assert flat > 0.9 > 0.3 > photo[0] and colours == pytest.approx(np.log(2)) and photo[2] > 4
    stripes = np.repeat(np.arange(192, dtype=np.uint8) % 16 // 8 * 200, 192).reshape(192, 192)
    across, along = (
        describe(np.dstack([grey] * 3), 1)[PARTS["drawing"]][7:15] for grey in (stripes, stripes.T)
    )
    assert across.argmax() == 4 and along.argmax() == 0 and across.max() > 0.9, "directions of edges"


def test_large_pictures_are_read_in_the_middle():
    large = np.zeros((NATIVE + 400, NATIVE + 200, 3), np.uint8)
    large[:200] = noisy(large[:200])
    black = np.zeros_like(large)
    part = PARTS["sharpness"]
    assert (describe(large, 1)[part] == describe(black, 1)[part]).all(), "the rim is left out"
    large[500:600] = noisy(large[500:600])
    assert (describe(large, 1)[part] > describe(black, 1)[part]).all()
