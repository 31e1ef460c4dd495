import base64
import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
from PIL import Image

from humanmade.evaluation.page import INK, drawn, panels, picture, styled


@styled
def figure(title: str) -> str:
    drawing, (left, right) = panels(2, columns=2)
    left.plot([0, 1.23456], [0, 1])
    right.set_title(title)
    return drawn(drawing, f'says <{title}> & "more"')


def test_a_drawing_stands_in_html_in_the_pages_ink():
    svg = figure("from 0.12345 <b>")
    element = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert element.get("aria-label") == 'says <from 0.12345 <b>> & "more"' and element.get("role") == "img"
    assert element.get("viewBox") and not element.get("width"), "its place gives the size"
    assert "currentColor" in svg and INK not in svg and "<style" not in svg
    assert "from 0.12345 &lt;b&gt;" in svg, "what is read is not rounded"
    assert not re.search(r'="[^"]*\.\d{3}', svg.split(">", 1)[1]), "places are"


def test_drawings_share_no_ids_and_are_the_same_each_time():
    one, other = figure("one"), figure("other")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert all(ids) and not ids[0] & ids[1]
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert figure("one") == one, "whatever the user's own style"


def test_a_picture_is_made_to_fit():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8))
    sizes = []
    for most in (1_000_000, 2_500):
        address = picture(noise, 100, most)
        data = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
        shown = Image.open(io.BytesIO(data))
        assert shown.size == (100, 150) and shown.format == "WEBP"
        sizes.append(len(data))
    assert sizes[1] < sizes[0]
