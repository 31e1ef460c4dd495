import pytest
import timm
import torch
from torch import nn

from humanmade.detectors.folding import folded

PIXELS = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def network(name: str) -> nn.Module:
    """A random network whose batch norms do something."""
    torch.manual_seed(0)
    made = timm.create_model(name, num_classes=0).eval().requires_grad_(False)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
            layer.weight.data.uniform_(0.5, 2)
            layer.bias.data.normal_(0, 0.1)
    return made


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_byobnet", "test_convnext"])
def test_batch_norms_vanish_and_every_map_stays(name: str):
    plain = network(name)
    lean = folded(plain, 96)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in lean.modules())
    for one, two in (
        (plain(PIXELS), lean(PIXELS)),
        *zip(plain.forward_intermediates(PIXELS)[1], lean.forward_intermediates(PIXELS)[1], strict=True),
    ):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


class Shortcut(nn.Module):
    """The convolution's own output goes on beside the batch norm, so that must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.forward_intermediates(pixels)[0]

    def forward_intermediates(self, pixels: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        plain = self.conv(pixels)
        return self.norm(plain) + plain, [plain]


def test_what_folding_would_change_is_left_as_it_is():
    plain = Shortcut().eval().requires_grad_(False)
    plain.norm.running_var.fill_(4)
    assert folded(plain, 96) is plain
