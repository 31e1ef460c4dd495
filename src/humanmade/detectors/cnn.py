"""Small convolutional networks of the study, registered in timm so that one loop trains them all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

__all__ = ["CifakeCnn", "TraceCnn"]

WIDTHS = (32, 64, 128)
"""Channels of the stages of `TraceCnn`."""


class SmallNetwork(nn.Module):
    """What timm expects of a classifier: features, a head that can be replaced, pooled output."""

    num_features: int
    body: nn.Module
    head: nn.Module

    def __init__(self, drop_rate: float) -> None:
        super().__init__()
        self.drop_rate = drop_rate

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer; 0 classes leave the features."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Depth of each parameter, for layer-wise learning rates."""
        return {"stem": r"^stem", "blocks": r"^body\.(\d+)"}

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of pictures (n, 3, height, width)."""
        return self.forward_head(self.forward_features(pixels))

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """The last map (n, channels, height, width)."""
        return self.body(pixels)

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """From the last map to logits, or to what the last layer sees."""
        pooled = self.pooled(features)
        return pooled if pre_logits else self.head(F.dropout(pooled, self.drop_rate, self.training))

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """From the last map to features (n, `num_features`); here their means."""
        return features.mean(dim=(2, 3))


class CifakeCnn(SmallNetwork):
    """The plain CNN of CIFAKE: two blocks of 3x3 convolution (32 filters), ReLU and 2x2 max pooling,
    one dense layer of 64 units, one output.

    Bird and Lotfi 2024, "CIFAKE: Image Classification and Explainable Identification of AI-Generated
    Synthetic Images", IEEE Access 12: the topology that their search over filters, blocks and dense
    layers found best.
    """

    def __init__(
        self,
        num_classes: int = 1,
        img_size: int | tuple[int, int] = 32,
        drop_rate: float = 0.0,
        **_: Any,
    ) -> None:
        super().__init__(drop_rate)
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.num_features = 64
        blocks = [[nn.Conv2d(before, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] for before in (3, 32)]
        self.body = nn.Sequential(*(nn.Sequential(*block) for block in blocks))
        self.dense = nn.Linear(32 * (height // 4) * (width // 4), self.num_features)
        self.reset_classifier(num_classes)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.dense(F.dropout(features.flatten(1), self.drop_rate, self.training)))


class TraceCnn(SmallNetwork):
    """A small residual network for forensic traces in native crops.

    The stem keeps every pixel (stride 1, no pooling): down-sampling early averages the traces away
    (Gragnaniello et al. 2021, "Are GAN generated images easy to detect?").

    Args:
        npr: see each pixel minus its nearest-neighbour up-sampling (Tan et al. 2024), not its colour.
    """

    def __init__(
        self,
        num_classes: int = 1,
        npr: bool = False,
        drop_rate: float = 0.0,
        **_: Any,
    ) -> None:
        super().__init__(drop_rate)
        self.num_features = WIDTHS[-1]
        self.traces = NeighbouringPixels() if npr else nn.Identity()
        # Residuals are small and of a scale that varies by source; normalise what enters the stem.
        self.stem = nn.Sequential(nn.BatchNorm2d(3, affine=False), ConvNormAct(3, WIDTHS[0], 3))
        stages = []
        for index, (before, width) in enumerate(zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)):
            first = Residual(before, width, stride=2 if index else 1)
            stages.append(nn.Sequential(first, Residual(width, width)))
        self.body = nn.Sequential(*stages)
        self.reset_classifier(num_classes)

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.body(self.stem(self.traces(pixels)))


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNormAct(inputs, outputs, 3, stride=stride)
        self.second = ConvNormAct(outputs, outputs, 3, apply_act=False)
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity() if same else ConvNormAct(inputs, outputs, 1, stride=stride, apply_act=False)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(self.first(features)) + self.shortcut(features))


class NeighbouringPixels(nn.Module):
    """NPR on tensors; see `humanmade.images.residuals.neighbouring_pixels`."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        kept = F.interpolate(pixels[..., ::2, ::2], scale_factor=2, mode="nearest")
        return pixels - kept[..., : pixels.shape[-2], : pixels.shape[-1]]


def _settings(size: int, fixed: bool) -> dict[str, Any]:
    return {
        "input_size": (3, size, size),
        "fixed_input_size": fixed,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "num_classes": 1,
        "classifier": "head",
    }


default_cfgs = generate_default_cfgs(
    {
        "cifake_cnn": _settings(32, fixed=True),
        "trace_cnn": _settings(128, fixed=False),
        "trace_cnn_npr": _settings(128, fixed=False),
    }
)


@register_model
def cifake_cnn(pretrained: bool = False, **options: Any) -> CifakeCnn:
    """The CNN of the CIFAKE paper."""
    return build_model_with_cfg(CifakeCnn, "cifake_cnn", pretrained, **options)


@register_model
def trace_cnn(pretrained: bool = False, **options: Any) -> TraceCnn:
    """`TraceCnn` on the picture itself."""
    return build_model_with_cfg(TraceCnn, "trace_cnn", pretrained, **options)


@register_model
def trace_cnn_npr(pretrained: bool = False, **options: Any) -> TraceCnn:
    """`TraceCnn` on neighbouring-pixel relations."""
    return build_model_with_cfg(TraceCnn, "trace_cnn_npr", pretrained, npr=True, **options)
