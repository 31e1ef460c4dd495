import io

import numpy as np
import pytest
from PIL import Image

from humanmade.images.facts import SHOWN, STORED, shown_facts, stored_facts
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


def test_other_formats_have_no_tables():
    facts = stored_facts(encoded("PNG"))
    assert (facts["format"], facts["quality"], facts["tables"], facts["subsampling"]) == ("PNG", "", "", "")


def test_exif_and_profile_are_counted():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "maker", "model"
    facts = stored_facts(encoded("JPEG", exif=exif.tobytes(), icc_profile=b"profile"))
    assert facts["exif"] == "2" and facts["profile"] == "1"


def test_what_a_picture_looks_like():
    facts = {name: float(value) for name, value in shown_facts(PICTURE).items()}
    flat = {name: float(value) for name, value in shown_facts(np.full((20, 20, 3), 99, np.uint8)).items()}
    assert list(facts) == list(SHOWN)
    assert flat == {"brightness": 99, "contrast": 0, "saturation": 0, "sharpness": 0}
    assert all(facts[name] > 0 for name in SHOWN)
