"""Batch norms folded into the convolutions before them: a frozen network then computes the same, faster."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SAME = 1e-3
"""Largest difference that folding may make, as a share of the largest value."""


@torch.no_grad()
def folded(network: nn.Module, size: int) -> nn.Module:
    """A network with batch norms folded where that changes nothing, else the network itself.

    Args:
        network: of timm, in evaluation; its maps and output must come out as they were.
        size: side of the pictures that it takes.
    """
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        return network
    pixels = torch.linspace(-2, 2, 3 * size * size).view(1, 3, size, size).sin()
    lean = copy.deepcopy(network)
    for convolution, norm in _pairs(lean, pixels):
        fused = fuse_conv_bn_eval(convolution, norm)
        convolution.weight, convolution.bias = fused.weight, fused.bias
        name = next(name for name, module in lean.named_modules() if module is norm)
        parent, _, attribute = name.rpartition(".")
        # timm's batch norms hold the activation that follows.
        rest = nn.Sequential(norm.drop, norm.act) if hasattr(norm, "act") else nn.Identity()
        setattr(lean.get_submodule(parent), attribute, rest)
    before, after = (_answers(each, pixels) for each in (network, lean))
    same = all((a - b).abs().max() <= SAME * a.abs().max() for a, b in zip(before, after, strict=True))
    return lean if same else network


def _pairs(network: nn.Module, pixels: torch.Tensor) -> list[tuple[Any, Any]]:
    """Convolutions, each with the batch norm that takes its output as it is."""
    outputs: dict[int, tuple[nn.Module, torch.Tensor]] = {}
    pairs: list[tuple[Any, Any]] = []

    def leaves(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        outputs[id(output)] = layer, output

    def enters(layer: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], layer))

    hooks = [m.register_forward_hook(leaves) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(enters) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network(pixels)
    for hook in hooks:
        hook.remove()
    return pairs


def _answers(network: Any, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Every map that the network gives, and the last."""
    last, maps = network.forward_intermediates(pixels)
    return [*maps, last]
