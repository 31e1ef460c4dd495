from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, JpegImagePlugin

from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.data.loader import read_picture
from humanmade.detectors import counterparts
from humanmade.errors import UserError
from humanmade.recipe import Recipe
from humanmade.training.budget import Budget
from tests.conftest import MakeFolder


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=6)]))
    return folds.make(table, 3, 0, "pairs").rows


def asking(tiny_probe: Path, *changes: str) -> Recipe:
    return recipes.load(str(tiny_probe), changes)


def quantisation(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        return np.array(image.quantization[0])


def test_photos_get_counterparts_in_their_own_group(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    recipe = asking(tiny_probe, "counterparts=[0.5, 1.0]")
    table = counterparts.extend(rows, recipe, autoencoder_weights, Budget())
    assert len(table) == len(rows) + 6 * 2 * 2 and table["id"].is_unique
    made = table[~table["id"].isin(rows["id"])]
    assert made.groupby("pair")["label"].apply(sorted).map(str).eq("[0, 1]").all()
    photos = rows[rows["label"] == 0].set_index("id")
    for row in made.to_dict("records"):
        name, _, kind = row["id"].partition("#")
        assert row["group"] == photos.loc[name, "group"]
        scale = float(kind.split("-")[0])
        assert read_picture(row["path"]).shape == (48 * scale, 64 * scale, 3)
    whole = made[made["id"].str.endswith("#1-0")].iloc[0]
    original = photos.loc[whole["id"].partition("#")[0]]
    assert (whole["path"], whole["digest"]) == (original["path"], original["digest"]), "itself at scale 1"


def test_without_the_key_nothing_changes(rows: pd.DataFrame, tiny_probe: Path):
    assert counterparts.extend(rows, asking(tiny_probe), None, Budget()) is rows
    with pytest.raises(UserError, match="real_fakes = false; expected true, or scales in counterparts"):
        asking(tiny_probe, "real_fakes=false")


def test_real_fakes_can_be_left_out(rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path):
    recipe = asking(tiny_probe, "counterparts=0.5", "real_fakes=false")
    table = counterparts.extend(rows, recipe, autoencoder_weights, Budget())
    assert set(table.loc[table["label"] == 1, "source"]) == {"counterparts"}
    assert table["label"].mean() == 0.5 and table["pair"].nunique() == len(table) / 2, (
        "pairs are all there is"
    )


def test_of_many_photos_a_fixed_sample_is_taken(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    recipe = asking(tiny_probe, "counterparts=0.5", "counterpart_photos=2", "real_fakes=false")
    table = counterparts.extend(rows, recipe, autoencoder_weights, Budget())
    assert len(table) == 4
    again = counterparts.extend(rows[::-1], recipe, autoencoder_weights, Budget())
    assert set(again["id"]) == set(table["id"])


def test_pictures_are_made_once(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = asking(tiny_probe, "counterparts=0.5")
    first = counterparts.extend(rows, recipe, autoencoder_weights, Budget())
    monkeypatch.setattr(counterparts, "counterpart", None)  # calling it would fail
    assert counterparts.extend(rows, recipe, autoencoder_weights, Budget()).equals(first)


def test_counterparts_can_be_compressed_like_their_photos(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    photo = Path(rows.loc[rows["label"] == 0, "path"].iloc[0])
    Image.open(photo).save(photo, "JPEG", quality=41, subsampling=0)
    lossless = asking(tiny_probe, "counterparts=[0.5, 1.0]", "real_fakes=false")
    plain = counterparts.extend(rows, lossless, autoencoder_weights, Budget())
    recipe = asking(tiny_probe, "counterparts=[0.5, 1.0]", "real_fakes=false", "counterpart_compression=0.5")
    coded = counterparts.extend(rows, recipe, autoencoder_weights, Budget())
    assert coded["id"].tolist() == plain["id"].tolist()
    itself = coded["path"].isin(rows["path"])
    assert itself.sum() == 6 and (coded[itself]["digest"] == plain[itself]["digest"]).all()
    assert set(coded[~itself]["digest"]).isdisjoint(plain["digest"]), "other features"
    of_photo = coded["id"].str.startswith(rows.loc[rows["label"] == 0, "id"].iloc[0] + "#")
    for path in coded[of_photo]["path"]:
        image = Image.open(path)
        steps = quantisation(photo)
        expected = np.maximum(1, np.round(steps * 0.5)) if path.endswith("-1.0.5.coded") else steps
        assert (quantisation(Path(path)) == expected).all()
        assert JpegImagePlugin.get_sampling(image) == 0
    before, after = (read_picture(table[of_photo & ~itself]["path"].iloc[0]) for table in (plain, coded))
    assert before.shape == after.shape and 0 < np.abs(before.astype(int) - after).mean() < 20


@pytest.mark.parametrize(
    ("mode", "format", "saved"),
    [("RGB", "PNG", "PNG"), ("RGB", "WEBP", "PNG"), ("CMYK", "JPEG", "PNG"), ("L", "JPEG", "JPEG")],
)
def test_what_is_no_colour_jpeg(tmp_path: Path, mode: str, format: str, saved: str):
    picture = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    Image.fromarray(picture).convert(mode).save(tmp_path / "photo", format)
    counterparts._save_like(tmp_path / "coded", picture, tmp_path / "photo", 0.5)
    with Image.open(tmp_path / "coded") as image:
        assert image.format == saved and (saved == "PNG" or image.mode == mode)
    if saved == "PNG":
        assert (read_picture(str(tmp_path / "coded")) == picture).all()


def test_each_component_keeps_its_own_steps(tmp_path: Path):
    picture = np.full((32, 32, 3), 90, dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo", "JPEG", qtables=[[10] * 64, [40] * 64])
    swapped = (tmp_path / "photo").read_bytes()
    # The same tables under each other's number, as some encoders write them.
    swapped = swapped.replace(b"\x00" + bytes([10] * 64), b"\x07" + bytes([10] * 64))
    swapped = swapped.replace(b"\x01" + bytes([40] * 64), b"\x00" + bytes([40] * 64))
    swapped = swapped.replace(b"\x07" + bytes([10] * 64), b"\x01" + bytes([10] * 64))
    frame = swapped.index(b"\xff\xc0") + 10
    components = bytearray(swapped)
    for place, table in zip(range(frame + 2, frame + 11, 3), (1, 0, 0), strict=True):
        components[place] = table
    (tmp_path / "swapped").write_bytes(components)
    counterparts._save_like(tmp_path / "coded", picture, tmp_path / "swapped", 1.0)
    with Image.open(tmp_path / "coded") as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert [image.quantization[part[3]][0] for part in image.layer] == [10, 40, 40]


def test_mixtures_lie_between_photo_and_reconstruction():
    rng = np.random.default_rng(0)
    photo, remade = (rng.integers(0, 256, (32, 40, 3)).astype(np.uint8) for _ in range(2))
    assert counterparts._mixed(photo, remade, 0.0, np.random.default_rng(1)) is remade
    far = np.abs(remade.astype(float) - photo).mean()
    kinds = set()
    for seed in range(20):
        mixed = counterparts._mixed(photo, remade, 1.0, np.random.default_rng(seed)).astype(float)
        assert np.abs(mixed - photo).mean() < far and (mixed != remade).mean() > 0.3
        low, high = np.minimum(photo, remade).astype(float), np.maximum(photo, remade).astype(float)
        within = (mixed >= low - 1) & (mixed <= high + 1)
        kinds.add(bool(within.all()))
    assert kinds == {True, False}, "some are mixed in pixels, some in frequencies"


def test_all_frequencies_give_the_reconstruction_back():
    difference = np.random.default_rng(0).normal(size=(16, 20, 3))
    assert np.allclose(counterparts._band(difference, 1.0), difference)
    low = counterparts._band(difference, 0.5)
    assert low.var() < 0.5 * difference.var() and np.allclose(counterparts._band(low, 0.5), low)
