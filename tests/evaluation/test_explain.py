import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image

from humanmade import choices, detectors
from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.data import folds, inventory, manifest
from humanmade.data.loader import ViewDataset
from humanmade.detectors.network import Normalised
from humanmade.detectors.probe import Probe
from humanmade.evaluation import explain as explaining
from humanmade.evaluation.inference import honest_logits
from humanmade.evaluation.sheet import GAP, LINE, SIDE
from humanmade.images.views import Frame
from humanmade.run import Run
from humanmade.training.budget import Budget
from tests.conftest import MakeFolder


def test_selection_is_per_source_and_by_support(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(explaining, "PER_GROUP", 2)
    rows = pd.DataFrame(
        {
            "id": list("abcdef"),
            "label": [1, 1, 1, 1, 0, 0],
            "source": ["gan"] * 4 + [""] * 2,
            "logit": [5.0, -3.0, 0.1, -7.0, 2.0, -1.0],
        }
    )
    chosen = explaining.select(rows)
    ids = chosen.groupby(["kind", "group"])["id"].apply(list).to_dict()
    assert ids["gan", "worst mistakes"] == ["d", "b"] and ids["gan", "surest hits"] == ["a", "c"]
    assert ids["gan", "most doubtful"] == ["c", "b"]
    assert ids["human-made", "worst mistakes"] == ["e"] and ids["human-made", "surest hits"] == ["f"]


def test_a_logit_of_0_says_human_made():
    rows = pd.DataFrame({"id": ["a", "b"], "label": [0, 1], "source": "one", "logit": 0.0})
    chosen = explaining.select(rows).set_index("group")["id"]
    assert (chosen["surest hits"], chosen["worst mistakes"]) == ("a", "b")


@pytest.mark.parametrize("method", choices.MAPS)
@pytest.mark.parametrize(
    ("backbone", "size"),
    [("test_efficientnet", 64), ("test_vit", 160), ("test_convnext", 64), ("cifake_cnn", 32),
     ("swin_tiny_patch4_window7_224", 64), ("resnet18", 64)],
)  # fmt: skip
def test_every_family_gets_a_map_of_the_pictures_size(backbone: str, size: int, method: str):
    detectors.create(recipes.load("cnn_cifake"))  # registers our own networks
    torch.manual_seed(0)
    options = {"img_size": size} if "swin" in backbone else {}
    network = Normalised(timm.create_model(backbone, num_classes=1, **options), [0.5] * 3, [0.5] * 3)
    pixels = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    shown = explaining.activation_map(network, pixels, method)
    assert shown.shape == (size, size) and np.isfinite(shown).all()
    assert shown.min() >= 0 and 0.5 < shown.max() <= 1 + 1e-6 and shown.std() > 0.01


def test_a_map_follows_the_place_that_decides():
    class Corner(torch.nn.Module):
        """Says "generated" by the brightness of the upper left quarter alone."""

        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Conv2d(3, 1, 1)
            torch.nn.init.ones_(self.body.weight)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.body(pixels)[..., :16, :16].mean(dim=(2, 3)) * 10 + 100

    network = Normalised(Corner(), [0.0] * 3, [1.0] * 3)
    pixels = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    for method in ("hirescam", "layercam"):
        shown = explaining.activation_map(network, pixels, method)
        assert shown[:16, :16].mean() > 10 * shown[16:, 16:].mean()


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
@pytest.mark.parametrize("pool", ["mean", "mean_std"])
def test_patch_logits_of_a_probe_add_up(
    manifest_folder: MakeFolder, tiny_probe: Path, tmp_path: Path, backbone: str, pool: str
):
    table = inventory.attach(manifest.load([manifest_folder(pairs=8)]))
    rows = folds.make(table, 2, 0, "pairs").rows
    made = detectors.create(recipes.load(str(tiny_probe), [f"backbone={backbone}", f"pool={pool}"]))
    assert isinstance(made, Probe)
    made.fit(rows, rows[:0], 0, tmp_path, Budget())
    squares = ViewDataset(rows, ["identity"], Frame(32))
    pixels = torch.cat([squares[i] for i in range(4)])
    parts, rest = made.patch_logits(tmp_path, pixels)
    added = sum(part.mean(dim=(1, 2)) for part in parts) + rest
    logits = made.logits(tmp_path, rows[:4], ["identity"])[:, 0]
    # The store keeps features in half precision.
    assert np.allclose(added.numpy(), logits, atol=0.02 * np.abs(logits).max() + 0.02)


def test_the_verb_draws_a_sheet_and_checks_itself(tiny_network: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8, sources=["a", "b"])
    changes = ["--set", "image_size=64", "--out", "r"]
    assert main(["cv", str(tiny_network), "--data", str(folder), *changes]) == 0
    assert main(["explain", "r", "--data", str(folder), "--method", "layercam"]) == 0
    out = capsys.readouterr().out
    assert "sanity: rank correlation with maps of random weights" in out and "4 sources" in out
    sheet = np.asarray(Image.open("r/explain-layercam.png"))
    assert sheet.shape[0] > 4 * 2 * SIDE and sheet.std() > 20
    assert main(["explain", "r", "--data", str(folder), "--out", "r/explain-layercam.png"]) == 2


def test_a_sheet_has_a_row_a_source_and_three_columns_a_group(tmp_path: Path):
    chosen = pd.DataFrame(
        {
            "id": ["a.jpg", "b.jpg", "c.jpg"],
            "kind": ["gan", "gan", "photos"],
            "group": ["surest hits", "most doubtful", "worst mistakes"],
            "label": [1, 1, 0],
            "logit": [3.0, 0.1, 2.0],
            "wrong": [False, False, True],
        }
    )
    shown = [np.full((32, 32, 3), (red, 200, 0), np.uint8) for red in (0, 100, 200)]
    maps = np.zeros((3, 32, 32), np.float32)
    maps[:, :16] = 1
    explaining.contact_sheet(tmp_path / "s.png", chosen, maps, shown, "title")
    pixels = np.asarray(Image.open(tmp_path / "s.png").convert("RGB")).astype(int)
    assert pixels.shape[1] == GAP + 9 * (SIDE + GAP)
    for red, column in ((0, 3), (100, 6), (200, 0)):
        rows, columns = np.nonzero((pixels == [red, 200, 0]).all(axis=2))
        assert columns.min() == GAP + column * (SIDE + GAP) and np.ptp(columns) == SIDE - 1
        top, bottom = (pixels[rows.max() + y, columns.min() + 9] for y in (20, SIDE - 20))
        assert top.sum() > bottom.sum() + 200, "below it, its map: bright where the detector looks"
    yellow = np.nonzero((np.abs(pixels - [255, 215, 0]) < 9).all(axis=2))
    assert yellow[1].max() < GAP + SIDE and yellow[0].min() > len(pixels) - 4 * LINE, "the photo is a mistake"


def test_maps_come_from_a_fold_that_never_saw_the_picture(tiny_probe: Path, manifest_folder: MakeFolder):
    folder, other = manifest_folder("own", 8), manifest_folder("other", 3, first_seed=900)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    rows = inventory.attach(manifest.load([folder]))
    honest = honest_logits(Run.find("r"), rows).set_index("id")
    oof = pd.read_csv("r/oof.csv").set_index("id")
    assert (honest["fold"] == oof.loc[honest.index, "fold"]).all()
    assert np.allclose(honest["logit"], oof.loc[honest.index, "logit"])
    unknown = honest_logits(Run.find("r"), inventory.attach(manifest.load([other])))
    assert main(["predict", "r", "--data", str(other), "--out", "p.csv"]) == 0
    predicted = pd.read_csv("p.csv").set_index("id")["logit"]
    assert np.allclose(unknown["logit"], predicted[unknown["id"]]) and set(unknown["fold"]) == {0}
    assert set(unknown["id"]) <= set(oof.index), "other pictures under the same names are no known ones"


def test_rows_partly_trained_on_have_the_logits_of_where_they_were_held_out(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    folder, extra = manifest_folder("own", 8), manifest_folder("extra", 2, first_seed=900)
    words = ["cv", str(tiny_probe), "--data", str(folder), "--extra", str(extra), "--out", "r"]
    assert main(words) == 0
    foreign = manifest_folder("foreign", 2, first_seed=1000)
    rows = inventory.attach(manifest.load([folder, extra, foreign]))
    capsys.readouterr()
    honest = explaining.honest_logits(Run.find("r"), rows).set_index("id")
    oof = pd.read_csv("r/oof.csv").set_index("id").add_prefix("own_").rename(index=lambda name: f"own/{name}")
    assert np.allclose(honest.loc[oof.index, "logit"], oof["own_logit"]), "known by what is in them"
    assert (honest.loc[oof.index, "fold"] == oof["own_fold"]).all() and len(honest) == len(oof) + 8
    assert "r was trained on 4 of these pictures in every fold, so their logits" in capsys.readouterr().err


def test_without_data_it_explains_the_runs_own_pictures(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    folder = manifest_folder("own", 8, test=2)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    assert main(["explain", "r"]) == 0
    assert f"no --data: the data of r, {folder}\n" in capsys.readouterr().err
    assert main(["predict", "r", "--out", "p.csv"]) == 0 and main(["check", "r/submission.csv"]) == 0
    assert np.allclose(pd.read_csv("p.csv")["logit"], pd.read_csv("r/test.csv")["logit"])
    folder.rename(folder.with_name("gone"))
    capsys.readouterr()
    for words in (["explain", "r"], ["predict", "r", "--out", "q.csv"], ["check", "r/submission.csv"]):
        assert main(words) == 2
        assert capsys.readouterr().err == f"humanmade: run 'r': its data {folder} is not here; give --data\n"


def test_detectors_without_maps_say_so(manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8)
    changes = ["--set", "image_size=32", "--set", "workers=0", "--folds", "2"]
    assert main(["cv", "spectrum", "--data", str(folder), "--out", "r", *changes]) == 0
    assert main(["explain", "r", "--data", str(folder)]) == 2
    assert "a 'spectrum' detector has no heat maps" in capsys.readouterr().err


@pytest.mark.parametrize(("far", "cautious"), [(0.4, False), (1.7, True), (np.inf, True), (None, False)])
def test_a_detector_that_reads_histories_gets_a_caution(tmp_path: Path, far: float | None, cautious: bool):
    steadiness = (
        {} if far is None else {"flips": 0.1, "sensitivity": far if far < 9 else None}
    )  # as JSON keeps infinity
    (tmp_path / "scores.json").write_text(json.dumps({"data": "", "folds": [], "steadiness": steadiness}))
    said = explaining.caution(Run(tmp_path))
    assert len(said) == cautious and all(f"{far:.1f} times" in line for line in said)
    assert not explaining.caution(Run(tmp_path / "none")), "a run that has no scores yet"
