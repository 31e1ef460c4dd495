from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.detectors import heads
from humanmade.detectors.probe import Probe
from humanmade.errors import UserError
from humanmade.schema import LinearHeadRecipe
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import load_weights
from tests.conftest import MakeFolder


def probe(path: Path, *changes: str) -> Probe:
    made = detectors.create(recipes.load(str(path), changes))
    assert isinstance(made, Probe)
    return made


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=10)]))
    return folds.make(table, 3, 0, "pairs").rows


def test_it_separates_pictures_it_has_not_seen(manifest_folder: MakeFolder, tiny_probe: Path, tmp_path: Path):
    folder = manifest_folder("dimmed", pairs=30)
    for path in (folder / "images").glob("*_1.png"):  # a random backbone sees brightness, but no traces
        Image.open(path).point(lambda level: level * 0.5).save(path)
    table = inventory.attach(manifest.load([folder]))
    cut = folds.make(table, 3, 0, "pairs")
    held_out = cut.validation(0)
    probe(tiny_probe, "shrinkage=1").fit(cut.training(0), held_out[:0], 0, tmp_path, Budget())
    logits = probe(tiny_probe).logits(tmp_path, held_out, ["identity", "hflip"])
    assert logits.shape == (20, 2)
    assert ((logits > 0) == (held_out["label"] == 1).to_numpy()[:, None]).mean(axis=0).min() > 0.8


def test_features_are_computed_once_for_all_folds(rows: pd.DataFrame, tiny_probe: Path, tmp_path: Path):
    first = probe(tiny_probe)
    first.prepare(rows, rows, ["identity", "hflip"], Budget())
    later = probe(tiny_probe)
    later.extract = lambda pixels: pytest.fail("computed again")  # type: ignore[method-assign]
    later.fit(rows[:12], rows[12:], 0, tmp_path, Budget())
    assert later.logits(tmp_path, rows[12:], ["identity", "hflip"]).shape == (8, 2)


def test_features_depend_on_the_picture_alone(
    rows: pd.DataFrame, tiny_probe: Path, monkeypatch, tmp_path: Path
):
    made = probe(tiny_probe, "inference_batch=8")
    made.prepare(rows, rows, ["identity"], Budget())
    whole = made.store.get(rows, "identity")
    monkeypatch.setenv("HUMANMADE_CACHE", str(tmp_path / "other"))
    again = probe(tiny_probe, "inference_batch=8")
    again.prepare(rows[::-1][4:9], rows[::-1][4:9], ["identity"], Budget())
    assert (again.store.get(rows[::-1][4:9], "identity") == whole[::-1][4:9]).all()


def test_inner_folds_choose_the_shrinkage(rows: pd.DataFrame, tiny_probe: Path, tmp_path: Path):
    made = probe(tiny_probe, "shrinkage=[1e-9, 0.1]")
    made.fit(rows, rows[:0], 0, tmp_path, Budget())
    tried = pd.read_json(tmp_path / "log.jsonl", lines=True)
    assert tried["shrinkage"].tolist() == [1e-9, 0.1]
    assert tried["logloss"][0] == pytest.approx(np.log(2), abs=1e-3)
    best = int(tried["logloss"].argmin())
    weight = load_weights(tmp_path / "head.safetensors")[0]["weight"].abs().max()
    assert (weight > 1e-3) == (best == 1)


def test_inner_folds_keep_groups_together():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 2)
    # A feature that names the group perfectly, labels at random by group: honest inner folds see nothing.
    features = np.eye(20)[groups]
    labels = rng.permutation(np.repeat([0, 1], 10))[groups]
    _, tried = heads.fit_linear(
        features, labels, groups, LinearHeadRecipe(detector="probe", shrinkage=[1e-3, 1e3]), 0
    )
    assert tried[1]["logloss"] > 0.6


def test_other_backbone_weights_are_refused(rows: pd.DataFrame, tiny_probe: Path, tmp_path: Path):
    probe(tiny_probe).fit(rows, rows[:0], 0, tmp_path, Budget())
    with pytest.raises(UserError, match="image_size: 32 there, 48 now"):
        probe(tiny_probe, "image_size=48").logits(tmp_path, rows, ["identity"])


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "test_resnet"])
@pytest.mark.parametrize("pool", ["mean", "mean_std"])
def test_families_of_backbones(rows: pd.DataFrame, tiny_probe: Path, backbone: str, pool: str):
    made = probe(tiny_probe, f"backbone={backbone}", f"pool={pool}", "layers=[-1]")
    made.prepare(rows[:3], rows[:3], ["identity"], Budget())
    features = made.store.get(rows[:3], "identity")
    assert features.shape[0] == 3 and np.isfinite(features).all() and features.std(axis=0).max() > 0


def test_corrupted_views_are_kept_by_their_draw(rows: pd.DataFrame, tiny_probe: Path):
    made = probe(tiny_probe)
    twin = rows[:2].assign(pair=["x", "y"], digest=rows["digest"][0], path=rows["path"][0])
    made.prepare(twin, twin, ["noise8", "jpeg50"], Budget())
    noisy, plain = made.store.get(twin, "noise8"), made.store.get(twin, "jpeg50")
    assert (noisy[0] != noisy[1]).any() and (plain[0] == plain[1]).all()


def overflowing(made: Probe) -> None:
    """Make the backbone's numbers too large for half precision, though not for float32."""
    stem = next(layer for layer in made.backbone.modules() if isinstance(layer, torch.nn.Conv2d))
    stem.weight.data *= 1e8


def test_a_backbone_that_overflows_in_fp16_is_computed_in_fp32(
    rows: pd.DataFrame, tiny_probe: Path, capsys: pytest.CaptureFixture[str]
):
    half, whole = probe(tiny_probe, "precision=fp16", "name=half"), probe(tiny_probe)
    for made in (half, whole):
        overflowing(made)
        made.prepare(rows, rows, ["identity"], Budget())
        made.prepare(rows, rows, ["hflip"], Budget())
    found = half.store.get(rows, "identity")
    assert np.isfinite(found).all() and (found == whole.store.get(rows, "identity")).all()
    assert half.store.key == whole.store.key, "kept as what it is"
    assert capsys.readouterr().err.count("half: features overflow in half precision") == 1


def test_features_that_are_no_numbers_are_refused(rows: pd.DataFrame, tiny_probe: Path):
    made = probe(tiny_probe)
    next(made.backbone.parameters()).data[:] = torch.nan
    with pytest.raises(UserError, match="features are not finite, even in fp32"):
        made.prepare(rows, rows, ["identity"], Budget())


@pytest.mark.cuda
def test_features_in_fp16_on_a_gpu_are_those_of_fp32(rows: pd.DataFrame, tiny_probe: Path):
    found = []
    for precision in ("fp16", "fp32"):
        made = probe(tiny_probe, f"precision={precision}")
        made.prepare(rows, rows, ["identity"], Budget())
        found.append(made.store.get(rows, "identity"))
        assert made.machine.device.type == "cuda" and str(made.machine.dtype)[-2:] == precision[-2:]
    assert np.allclose(*found, rtol=0.02, atol=0.02 * np.abs(found[1]).max())
