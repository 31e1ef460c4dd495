"""Low-rank tuning (Hu et al. 2022): a transformer keeps its weights and learns small corrections.

What generalises in a pretrained backbone survives on biased data when only a few directions may move.
"""

from __future__ import annotations

import torch
from torch import nn

from humanmade.errors import UserError

TUNED = ("qkv", "q_proj", "k_proj", "v_proj", "proj", "fc1", "fc2")
"""Names of the linear layers in timm's transformer blocks that get a correction."""


class LowRank(nn.Module):
    """A frozen linear layer plus a product of two thin matrices, which starts at zero."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layer(tokens) + nn.functional.linear(nn.functional.linear(tokens, self.down), self.up)


def insert(backbone: nn.Module, rank: int) -> None:
    """Freeze a transformer but its head, and put a correction beside each block's linear layers.

    Raises:
        UserError: the backbone has no transformer blocks.
    """
    backbone.requires_grad_(False)
    backbone.get_classifier().requires_grad_(True)  # type: ignore[operator]
    tuned = False
    for name, layer in list(backbone.named_modules()):
        parent, _, attribute = name.rpartition(".")
        if isinstance(layer, nn.Linear) and parent.endswith(("attn", "mlp")) and attribute in TUNED:
            setattr(backbone.get_submodule(parent), attribute, LowRank(layer, rank))
            tuned = True
    if not tuned:
        raise UserError("recipe: lora needs a transformer of timm's, such as a ViT or a Swin")


@torch.no_grad()
def merge(network: nn.Module) -> None:
    """Turn every correction into its layer's own weights."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LowRank):
            module.layer.weight += (module.up @ module.down).to(module.layer.weight.dtype)
            parent, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(parent), attribute, module.layer.requires_grad_(True))
