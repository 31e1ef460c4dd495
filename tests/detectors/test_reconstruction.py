from pathlib import Path

import pandas as pd
import pytest
import torch

from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.detectors import reconstruction
from humanmade.detectors.reconstruction import Reconstruction
from humanmade.errors import UserError
from humanmade.training.budget import Budget
from tests.conftest import MakeFolder

SMALL = ["image_size=32", "workers=0", "precision=fp32"]


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=12)]))
    return folds.make(table, 3, 0, "pairs").rows


def test_statistics_see_how_large_an_error_is():
    pixels = torch.rand(3, 3, 32, 32)
    shown = pixels.clone()
    shown[1] += 0.1
    shown[2] += torch.randn(3, 32, 32) * 0.1
    statistics = reconstruction.error_statistics(pixels, shown)
    assert statistics.shape == (3, 4 * len(reconstruction.SCALES)) and torch.isfinite(statistics).all()
    assert statistics[0, 0] < statistics[1, 0], "no error is the least"
    coarse = 4 * (len(reconstruction.SCALES) - 1)
    assert statistics[1, coarse] > statistics[2, coarse], (
        "noise averages away at coarse scales, a shift does not"
    )


def test_reconstruction_scores_pictures(rows: pd.DataFrame, autoencoder_weights: Path, tmp_path: Path):
    recipe = recipes.load("reconstruction", SMALL)
    made = detectors.create(recipe)
    assert isinstance(made, Reconstruction)
    made.prepare(rows, rows, ["identity", "hflip"], Budget())
    train, held_out = rows[rows["pair"] < "p6"], rows[rows["pair"] >= "p6"]
    made.fit(train, held_out[:0], 0, tmp_path / "fold0", Budget())
    made.verify(tmp_path / "fold0")
    logits = detectors.create(recipe).logits(tmp_path / "fold0", held_out, ["identity", "hflip"])
    assert logits.shape == (8, 2) and ((logits[:, 0] > 0) == (held_out["label"] == 1)).mean() > 0.7
    other = detectors.create(recipes.change(recipe, image_size=40))
    with pytest.raises(UserError, match="image_size"):
        other.verify(tmp_path / "fold0")
