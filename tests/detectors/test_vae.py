from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, loader, manifest
from humanmade.detectors.vae import VaeDetector, divergence
from humanmade.training.budget import Budget, OutOfTimeError
from tests.conftest import MakeFolder
from tests.training.test_loop import StopAfter


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=12)]))
    return folds.make(table, 3, 0, "pairs").rows


def test_divergence_of_the_prior_is_zero():
    mean, log_variance = torch.zeros(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    assert divergence(mean, log_variance).sum() == 0
    assert (divergence(mean + 1, log_variance) == 0.5).all()


def vae(*changes: str) -> VaeDetector:
    small = ["image_size=32", "workers=0", "precision=fp32", "epochs=3", "batch_size=4", "shrinkage=0.1"]
    made = detectors.create(recipes.load("vae", [*small, *changes]))
    assert isinstance(made, VaeDetector)
    return made


def test_a_vae_learns_from_photos_alone_and_decodes_once_for_all_views(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = vae("epochs=12")
    seen = made.fit(rows, rows[:6], 0, tmp_path, Budget())
    assert seen == 12 * 12, "twelve photos, twelve epochs"
    log = pd.read_json(tmp_path / "log.jsonl", lines=True)
    assert log["loss"].iloc[-1] < 0.8 * log["loss"].iloc[0]
    made.verify(tmp_path)
    read: list[str] = []
    decode = loader.read_picture
    monkeypatch.setattr(loader, "read_picture", lambda path: (read.append(path), decode(path))[1])
    logits = vae("epochs=12").logits(tmp_path, rows, ["identity", "hflip"])
    assert logits.shape == (24, 2) and np.isfinite(logits).all() and len(read) == len(rows)
    other = vae("epochs=12").logits(tmp_path, rows, ["hflip"])
    assert np.allclose(other[:, 0], logits[:, 1], atol=1e-6) and not np.allclose(logits[:, 0], logits[:, 1])


def test_an_interrupted_vae_ends_with_the_same_bytes(rows: pd.DataFrame, tmp_path: Path):
    vae().fit(rows, rows[:4], 0, tmp_path / "whole", Budget())
    with pytest.raises(OutOfTimeError):
        vae().fit(rows, rows[:4], 0, tmp_path / "parts", StopAfter(4))
    vae().fit(rows, rows[:4], 0, tmp_path / "parts", Budget())
    for name in ("model.safetensors", "head.safetensors", "log.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
