import pytest
import timm
import torch

from humanmade.detectors import lora
from humanmade.errors import UserError


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_it_starts_as_the_network_it_corrects_and_merges_into_one(name: str):
    torch.manual_seed(0)
    more = {"img_size": 64, "window_size": 4, "depths": (1, 1, 1, 1)} if "swin" in name else {}
    network = timm.create_model(name, num_classes=1, **more).eval()
    pixels = torch.rand(2, 3, *network.patch_embed.img_size)
    before = network(pixels)
    names = set(network.state_dict())
    lora.insert(network, 4)
    assert torch.equal(network(pixels), before)
    for parameter in (p for n, p in network.named_parameters() if n.endswith(".up")):
        torch.nn.init.normal_(parameter, std=0.1)
    tuned = network(pixels)
    assert not torch.allclose(tuned, before, atol=1e-3)
    lora.merge(network)
    assert torch.allclose(network(pixels), tuned, atol=1e-4) and set(network.state_dict()) == names


def test_only_corrections_and_the_head_learn():
    network = timm.create_model("test_vit", num_classes=1)
    whole = sum(p.numel() for p in network.parameters())
    lora.insert(network, 2)
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    endings = {name.rpartition(".")[2] for name in learning}
    assert endings == {"up", "down", "weight", "bias"}
    assert {name for name in learning if not name.endswith((".up", ".down"))} == {"head.weight", "head.bias"}
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) < whole / 5


def test_convolutional_networks_are_refused():
    with pytest.raises(UserError, match="lora needs a transformer"):
        lora.insert(timm.create_model("test_efficientnet", num_classes=1), 2)
