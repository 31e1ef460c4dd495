import base64
import io

import numpy as np
from PIL import Image

from humanmade.evaluation import webp


def test_a_picture_is_made_to_fit():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8))
    sizes = []
    for most in (1_000_000, 2_500):
        address = webp.inline(noise, 100, most)
        data = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
        shown = Image.open(io.BytesIO(data))
        assert shown.size == (100, 150) and shown.format == "WEBP"
        sizes.append(len(data))
    assert sizes[1] < sizes[0]
