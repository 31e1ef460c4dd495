import io

import numpy as np
import pytest
from PIL import Image

from humanmade.images.facts import SHOWN, STORED, shown_facts, spread, stored_facts
from tests.conftest import scene

PICTURE = scene(1, (60, 60))


def encoded(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("quality", "sampling"), [(50, "4:2:0"), (90, "4:4:4"), (95, "4:2:2")])
def test_a_jpegs_header(quality: int, sampling: str):
    facts = stored_facts(encoded("JPEG", quality=quality, subsampling=sampling))
    assert list(facts) == list(STORED)
    assert (facts["format"], facts["mode"], facts["subsampling"]) == ("JPEG", "RGB", sampling)
    assert facts["tables"] == stored_facts(encoded("JPEG", quality=quality))["tables"]
    assert float(facts["quality"]) > float(stored_facts(encoded("JPEG", quality=99))["quality"])


def test_a_jpeg_whose_table_has_another_number_than_0():
    data = bytearray(encoded("JPEG", quality=50, subsampling=0))
    table, frame = data.index(b"\xff\xdb"), data.index(b"\xff\xc0")
    assert data[table + 4] == 0 and data[frame + 9] == 3, "the first table is 0, the frame has three colours"
    data[table + 4] = 3
    data[frame + 12] = 3  # the first colour's table
    facts = stored_facts(bytes(data))
    assert float(facts["quality"]) == float(stored_facts(encoded("JPEG", quality=50))["quality"])


def test_other_formats_have_no_tables():
    facts = stored_facts(encoded("PNG"))
    assert (facts["format"], facts["quality"], facts["tables"], facts["subsampling"]) == ("PNG", "", "", "")


def test_exif_and_profile_are_counted():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "maker", "model"
    facts = stored_facts(encoded("JPEG", exif=exif.tobytes(), icc_profile=b"profile"))
    assert facts["exif"] == "2" and facts["profile"] == "1"


def shown(picture: np.ndarray) -> dict[str, float]:
    image = Image.fromarray(picture)
    return {name: float(value) for name, value in shown_facts(image, image.convert("L")).items()}


def test_what_a_picture_looks_like():
    facts, flat = shown(PICTURE), shown(np.full((20, 20, 3), 99, np.uint8))
    assert list(facts) == list(SHOWN)
    assert flat == {"brightness": 99, "contrast": 0, "saturation": 0, "sharpness": 0}
    assert all(facts[name] > 0 for name in SHOWN)


def test_facts_by_hand():
    halves = np.zeros((40, 40, 3), np.uint8)
    halves[:, 20:] = (200, 110, 0)
    grey = round(0.299 * 200 + 0.587 * 110)
    facts = shown(halves)
    assert facts["brightness"] == facts["contrast"] == grey / 2 and facts["saturation"] == 100
    # The Laplacian is the step on one side of the edge, minus the step on the other.
    assert facts["sharpness"] == pytest.approx(grey * np.sqrt(2 / 40), abs=1e-3)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (31, 57, 3)).astype(np.uint8)
    assert (spread(noise) == noise.max(axis=2) - noise.min(axis=2)).all()


def test_saturation_of_a_large_picture_is_that_of_a_grid():
    picture = scene(4, (700, 900))
    assert shown(picture)["saturation"] == pytest.approx(spread(picture).mean(), abs=0.5)
    assert shown(scene(4, (1, 900)))["saturation"] > 0
