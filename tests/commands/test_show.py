from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.data import inventory, manifest
from humanmade.data.loader import TrainingDataset
from humanmade.evaluation import sheet, shown
from humanmade.images.augment import Augmentation
from humanmade.images.views import Frame, look
from humanmade.schema import NetworkRecipe
from tests.conftest import MakeFolder

FRAME = Frame(32)


@pytest.fixture
def table(manifest_folder: MakeFolder) -> pd.DataFrame:
    return inventory.attach(manifest.load([manifest_folder(pairs=5, test=2)]))


def cells(recipe: recipes.Recipe, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, *how: int) -> list:
    """The rows that would be drawn."""
    drawn: list[sheet.Row] = []
    monkeypatch.setattr(sheet, "draw", lambda path, rows, title: drawn.extend(rows))
    shown.draw(Path("s.png"), recipe, table, *how)
    return drawn


def test_a_network_is_shown_its_own_training_pictures(
    tiny_network: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    recipe = recipes.load(str(tiny_network))
    assert isinstance(recipe, NetworkRecipe)
    rows = cells(recipe, table, monkeypatch, 2, 3)
    assert [len(row) for _, row in rows] == [5, 5] and {name for name, _ in rows} == {""}
    shown_pair = rows[0][1]
    assert shown_pair[0].caption == "human-made\ngenerated" and shown_pair[1].caption == "identity"
    photos = table[(table["split"] == "train") & (table["label"] == 0)]
    pictures = {path: np.asarray(Image.open(path).convert("RGB")) for path in photos["path"]}
    (path,) = [path for path, picture in pictures.items() if (picture == shown_pair[0].pictures[0]).all()]
    assert (shown_pair[1].pictures[0] == look(pictures[path], "identity", FRAME)).all()
    train = TrainingDataset(photos, Augmentation(FRAME, recipe.augment), 0, True)
    for epoch in range(3):
        drawn = train[(epoch, train.paths.index(path))][0].permute(1, 2, 0).numpy()
        assert (drawn == shown_pair[2 + epoch].pictures[0]).all(), "what training will show it"


def test_counterparts_stand_below_their_photo(
    autoencoder_weights: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    settings = ["image_size=32", "workers=0", "histories=['identity','history_1','history_2']"]
    rows = cells(recipes.load("traces_spectrum", settings), table, monkeypatch, 2, 5)
    assert [cell.caption.split("\n")[0] for cell in rows[0][1]][1:] == ["identity", "history_1", "history_2"]
    assert rows[0][1][0].caption == "human-made\ngenerated\ncounterpart"
    assert all(len(cell.pictures) == 3 for _, row in rows for cell in row)


def test_a_vae_learns_from_photos_alone_and_members_follow_one_another(
    table: pd.DataFrame, tiny_network: Path, monkeypatch: pytest.MonkeyPatch
):
    own = Path("both.toml")
    own.write_text(f'detector = "ensemble"\nmembers = ["vae", "{tiny_network}"]\n')
    rows = cells(recipes.load("both.toml"), table, monkeypatch, 2, 1)
    assert [name for name, _ in rows] == ["vae", "", "tiny", ""]
    assert [len(rows[k][1][2].pictures) for k in (0, 2)] == [1, 2]


def test_pictures_without_pairs_are_of_both_classes(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=4, pair=[""] * 8)
    assert main(["show", str(tiny_probe), "--data", str(folder), "--pictures", "4"]) == 0
    assert capsys.readouterr().out == "build/show-tinyprobe.png: 4 rows of 2 columns, of 4 pictures\n"
    assert Image.open("build/show-tinyprobe.png").width > 2 * sheet.SIDE
    assert main(["show", str(tiny_probe), "--data", str(folder)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["show", str(tiny_probe), "--data", str(folder / "images"), "--out", "o.png"]) == 2
    assert "show: the data has no labelled train rows" in capsys.readouterr().err
