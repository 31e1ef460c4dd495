"""Our own networks: the CIFAKE paper's, and the start that Community Forensics offers, as its authors share
it and as timm writes it."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from humanmade.detectors import timm_models
from humanmade.detectors.weights import create_backbone
from humanmade.errors import UserError

NAME = "vit_small_patch16_384_community"


def test_timm_makes_the_cnn_and_its_head_can_be_replaced():
    model = timm.create_model("cifake_cnn", num_classes=1, drop_rate=0.1)
    pixels = torch.rand(2, 3, 32, 32)
    assert model(pixels).shape == (2, 1)
    model.reset_classifier(0)
    assert model.eval()(pixels).shape == (2, model.num_features)
    model.reset_classifier(5)
    assert model(pixels).shape == (2, 5)


def test_cifake_cnn_is_the_papers_topology():
    model = timm_models.CifakeCnn()
    kinds = [type(layer).__name__ for layer in model.modules() if not list(layer.children())]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 2 + ["Linear", "Linear"]
    assert (
        sum(p.numel() for p in model.parameters())
        == (3 * 9 + 1) * 32 + (32 * 9 + 1) * 32 + (2048 + 1) * 64 + 65
    )


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return create_backbone(NAME, False, 384, 1).state_dict()


@pytest.mark.parametrize("prefix", ["vit.", ""])
def test_both_layouts_load_whole_at_any_size(
    tensors, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, tmp_path / f"{NAME}.safetensors")
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path))
    same = create_backbone(NAME, True, 384, 1).state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in tensors.items())
    small = create_backbone(NAME, True, 96, 1)
    assert small.pos_embed.shape == (1, 1 + 6 * 6, 384) and small(torch.rand(1, 3, 96, 96)).shape == (1, 1)
    assert torch.equal(small.state_dict()["blocks.11.mlp.fc2.weight"], tensors["blocks.11.mlp.fc2.weight"])


def test_another_network_is_refused_by_name(tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fewer = {f"vit.{name}": tensor for name, tensor in tensors.items() if "blocks.3." not in name}
    save_file(fewer, tmp_path / f"{NAME}.safetensors")
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=f"do not fit {NAME}"):
        create_backbone(NAME, True, 384, 1)
