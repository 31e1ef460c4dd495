import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.images import corruptions, views
from humanmade.images.corruptions import CORRUPTIONS, Corruption, corrupt
from humanmade.images.histories import history
from humanmade.images.views import CROPS, Frame, draws, expand, look
from tests.conftest import MakeFolder, scene

PICTURE = scene(3, (50, 70))


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("shape", [(50, 70), (9, 200), (300, 40), (1, 1)])
def test_every_view_fills_the_frame(crop: str, shape: tuple[int, int]):
    picture = scene(4, shape)
    names = [
        "grid_3x3",
        "hflip",
        "vflip",
        "rot180",
        "scale_0.5",
        "scale_2",
        "jpeg_75",
        "webp_50",
        *CORRUPTIONS,
    ]
    for view in expand(names):
        assert look(picture, view, Frame(32, crop)).shape == (32, 32, 3), view


def test_a_native_crop_keeps_pixels_as_they_are():
    assert (look(PICTURE, "identity", Frame(40)) == PICTURE[5:45, 15:55]).all()
    assert (look(PICTURE, "crop_br", Frame(40)) == PICTURE[10:, 30:]).all()
    assert (look(PICTURE, "crop_tr", Frame(40)) == PICTURE[:40, 30:]).all()
    assert (look(PICTURE, "crop_bl", Frame(40)) == PICTURE[10:, :40]).all()
    assert (look(PICTURE, "hflip", Frame(40)) == PICTURE[5:45, 15:55][:, ::-1]).all()


def test_small_pictures_are_mirrored_not_stretched():
    shown = look(PICTURE[:30, :30], "identity", Frame(40))
    assert (shown[5:35, 5:35] == PICTURE[:30, :30]).all()
    assert (shown[4] == shown[5]).all()


def test_crop_5_combines_with_other_operations():
    assert expand(["hflip+crop_5", "crop_5"]) == (
        "hflip", "hflip+crop_tl", "hflip+crop_tr", "hflip+crop_bl", "hflip+crop_br",
        "identity", "crop_tl", "crop_tr", "crop_bl", "crop_br",
    )  # fmt: skip


def test_a_grid_covers_the_picture_with_nine_crops_from_edge_to_edge():
    grid = expand(["grid_3x3"])
    assert grid[:5] == expand(["crop_5"]) and expand(["crop_5", "grid_3x3"]) == grid
    shown = {look(PICTURE, view, Frame(30)).tobytes() for view in grid}
    assert shown == {PICTURE[y : y + 30, x : x + 30].tobytes() for y in (0, 10, 20) for x in (0, 20, 40)}
    assert (look(PICTURE, "crop_r", Frame(30)) == PICTURE[10:40, 40:]).all()
    small = PICTURE[:20, :20]
    assert len({look(small, view, Frame(30)).tobytes() for view in grid}) == 1, "mirrored, then seen whole"


@pytest.mark.parametrize(
    "name", ["crop_5+grid_3x3", "sideways", "scale_9", "jpeg_0", "hflip+", "history_0", "history", ""]
)
def test_unknown_views_are_refused(name: str):
    with pytest.raises(UserError, match="views"):
        expand([name])
    with pytest.raises(UserError, match="at least one"):
        expand([])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_repeat_and_only_some_depend_on_the_seed(name: str):
    frame = Frame(40)
    first, again, other = (look(PICTURE, name, frame, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first == other).all() == (not CORRUPTIONS[name].draws) == (not draws(name))
    assert (first != look(PICTURE, "identity", frame)).any()


@pytest.mark.parametrize("name", ["noise8", "colour20"])
def test_corruptions_in_blocks_give_the_same_and_take_little_memory(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    picture = np.tile(PICTURE, (16, 20, 1))
    found, peaks = [], []
    tracemalloc.start()
    try:
        for block in (2**30, 10_000):
            monkeypatch.setattr(corruptions, "BLOCK", block)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            found.append(corrupt(picture, name, 3))
            peaks.append((tracemalloc.get_traced_memory()[1] - before) / picture.nbytes)
    finally:
        tracemalloc.stop()
    assert (found[0] == found[1]).all() and (found[0] != picture).any()
    assert peaks[0] > 8 and peaks[1] < 1.5


def test_both_members_of_a_pair_get_the_same_draw():
    dark, light = np.full((40, 40, 3), 100, np.uint8), np.full((40, 40, 3), 140, np.uint8)
    frame = Frame(40)
    noises = [look(p, "noise8", frame, 7).astype(int) - p for p in (dark, light)]
    assert (noises[0] == noises[1]).all()


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("shape", [(20000, 1), (3, 15000)])
def test_very_long_pictures_cost_no_more_than_square_ones(
    crop: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []
    resize = views.cv2.resize

    def watched(picture: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
        sizes.extend((size[0] * size[1], picture.size // 3))
        return resize(picture, size, interpolation=interpolation)

    monkeypatch.setattr(views.cv2, "resize", watched)
    picture = np.full((*shape, 3), 90, np.uint8)
    shown = look(picture, "identity", Frame(224, crop))
    assert shown.shape == (224, 224, 3) and (shown == 90).all()
    assert max(sizes, default=0) <= 224 * 224, "neither what is resized nor what comes of it is larger"


@pytest.mark.parametrize("view", ["webp_75", "screenshot", "jpeg_75"])
def test_pictures_longer_than_a_codec_takes(view: str):
    long = np.tile(scene(1, (24, 64)), (1, 300, 1))
    shown, plain = (look(long, name, Frame(16)).astype(float) for name in (view, "identity"))
    assert shown.shape == (16, 16, 3) and np.abs(shown - plain).mean() < 40


def test_histories_repeat_by_seed_and_number_and_are_all_different():
    picture, frame = scene(5, (120, 160)), Frame(64)
    shown = {
        (name, seed): look(picture, name, frame, seed)
        for name in ("history_1", "history_2")
        for seed in range(8)
    }
    assert len({pixels.tobytes() for pixels in shown.values()}) == 16
    assert (look(picture, "history_2", frame, 3) == shown["history_2", 3]).all()
    assert draws("history_1") and draws("hflip+history_12")


def test_a_history_is_the_same_for_pictures_of_one_size_whatever_they_show():
    """Both members of a pair meet one history: a grey picture's size and edges are those of its partner."""
    flat = [np.full((90, 120, 3), grey, np.uint8) for grey in (90, 150)]
    for number in range(1, 12):
        first, second = (history(picture, number, 7).astype(int) for picture in flat)
        assert first.shape == second.shape
        assert abs((second - first).mean() - 60) < 4


def test_a_new_corruption_and_a_new_view_take_one_entry_each(
    monkeypatch: pytest.MonkeyPatch, tiny_probe: Path, manifest_folder: MakeFolder
):
    def dotted(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random((*picture.shape[:2], 1)) < 0.2, 255, picture).astype(np.uint8)

    monkeypatch.setitem(CORRUPTIONS, "dotted", Corruption(dotted, draws=True))
    monkeypatch.setitem(views.VIEWS, "inverted", lambda picture: 255 - picture)
    frame = Frame(40)
    assert (look(PICTURE, "inverted+hflip", frame) == 255 - look(PICTURE, "hflip", frame)).all()
    first, again, other = (look(PICTURE, "inverted+dotted", frame, seed) for seed in (1, 1, 2))
    assert draws("inverted+dotted") and (first == again).all() and (first != other).any()
    assert expand(["inverted+crop_5"])[1] == "inverted+crop_tl"
    folder = manifest_folder(pairs=9, test=2)
    command = ["cv", str(tiny_probe), "--data", str(folder), "--out", "r", "--fold", "0"]
    assert main([*command, "--set", 'views=["identity", "inverted", "hflip+dotted"]']) == 0
    assert main(["predict", "r", "--data", str(folder), "--out", "p.csv"]) == 0
    assert Path("p.csv").read_bytes() == Path("r/test.csv").read_bytes()
    corrupted = json.loads(Path("r/scores.json").read_text())["corrupted"]
    assert list(corrupted) == [*CORRUPTIONS, "mean", "worst"] and "dotted" in corrupted
