from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from humanmade.evaluation import sheet
from humanmade.evaluation.sheet import GAP, SIDE, Cell
from tests.conftest import scene

WIDE, TALL = scene(1, (60, 120)), scene(2, (288, 96))
YELLOW = (np.array([255, 215, 0]), 8)


def drawn(path: Path, rows: list[sheet.Row], **more: object) -> np.ndarray:
    sheet.draw(path, rows, **more)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def boxes(pixels: np.ndarray, colour: np.ndarray, within: int) -> tuple[slice, slice]:
    """The part of a sheet that holds a colour."""
    rows, columns = np.nonzero(np.abs(pixels - colour).max(axis=2) <= within)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_pictures_keep_their_aspect_and_stand_one_above_the_other(tmp_path: Path):
    red, blue = np.zeros((60, 120, 3), np.uint8), np.zeros((300, 100, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    pixels = drawn(tmp_path / "s.png", [("", [Cell((red, blue), "two"), None, Cell((red,), "")])])
    rows, columns = boxes(pixels, np.array([0, 0, 200]), 0)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (SIDE, SIDE // 3)
    above, across = boxes(pixels, np.array([200, 0, 0]), 0)
    assert above.stop <= rows.start and above.stop - above.start == SIDE // 2
    assert (across.start, across.stop) == (GAP, 3 * (SIDE + GAP)), "an empty place stays empty"
    assert (pixels[above, GAP + SIDE : 2 * (SIDE + GAP)] == 255).all()


def test_a_sheet_is_the_same_to_the_byte_and_tells_no_version(tmp_path: Path):
    rows = [("a source", [Cell((WIDE, TALL), "+1.00", True), Cell((TALL,), "-1.00")])]
    for name in ("one.png", "two.png"):
        sheet.draw(tmp_path / name, rows, "a title", {1: "a head"})
    data = (tmp_path / "one.png").read_bytes()
    assert data == (tmp_path / "two.png").read_bytes()
    assert b"matplotlib" not in data.lower() and b"tEXt" not in data and b"tIME" not in data


def test_the_users_own_style_changes_nothing(tmp_path: Path):
    rows = [("a source", [Cell((WIDE,), r"$\nonsense$ +1.00")])]
    plain = drawn(tmp_path / "one.png", rows, title="a title")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30, "text.color": "red"}):
        assert (drawn(tmp_path / "two.png", rows, title="a title") == plain).all()


def test_captions_keep_to_their_cells_and_highlights_show(tmp_path: Path):
    long = "a/very/long/folder/of/pictures/0123456789.jpg"
    pixels = drawn(tmp_path / "s.png", [("", [Cell((WIDE,), long, True), Cell((WIDE,), long)])])
    below = pixels[GAP + SIDE // 2 :]
    rows, columns = boxes(below, *YELLOW)
    assert columns.start < GAP + 2 and SIDE * 0.9 < columns.stop <= SIDE + 2 * GAP, "its own cell alone"
    assert (below[rows, columns].max(axis=2) < 100).any(), "text stands on it"
    gap = below[:, GAP + SIDE + 2 : 2 * GAP + SIDE - 2]
    assert (gap == 255).all(), "between the cells nothing is written"
    left, right = (below[:, left + 4 : left + SIDE].sum(axis=2) < 250 for left in (GAP, 2 * GAP + SIDE))
    assert left.any() and right.any()


@pytest.mark.parametrize("title", ["", "word " * 60])
def test_titles_and_heads_have_room_above_the_pictures(tmp_path: Path, title: str):
    black = np.zeros((10, 10, 3), np.uint8)
    rows = [("name", [Cell((black,), ""), Cell((black,), "")])]
    bare, full = (
        drawn(tmp_path / "a.png", rows),
        drawn(tmp_path / "b.png", rows, title=title, heads={1: "head"}),
    )
    added = len(full) - len(bare)
    lines, left_over = divmod(added, sheet.LINE)
    assert left_over == 0 and (lines == 1 if not title else lines > 5), "long titles are wrapped"
    assert (bare[-SIDE:] == full[-SIDE:]).all(), "what is below only moves"
    darkest = full[: GAP + added].min(axis=(1, 2))
    assert darkest.min() < 128 and (darkest[:GAP] == 255).all()
