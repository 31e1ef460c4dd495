"""Networks that timm lacks, registered there, so that every recipe names its network in one way."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

__all__ = ["CifakeCnn"]

PREFIX = "vit."
"""Before each tensor's name in the file of Community Forensics, whose network holds timm's."""

default_cfgs = generate_default_cfgs(
    {
        "cifake_cnn": {
            "input_size": (3, 32, 32),
            "fixed_input_size": True,
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "num_classes": 1,
            "classifier": "head",
        },
        "vit_small_patch16_384_community": {
            "hf_hub_id": "OwensLab/commfor-model-384",
            "license": "mit",
            "input_size": (3, 384, 384),
            "fixed_input_size": True,
            "mean": IMAGENET_DEFAULT_MEAN,
            "std": IMAGENET_DEFAULT_STD,
            "num_classes": 1,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
)


class CifakeCnn(nn.Module):
    """The plain CNN of CIFAKE: two blocks of 3x3 convolution (32 filters), ReLU and 2x2 max pooling,
    one dense layer of 64 units, one output.

    Bird and Lotfi 2024, "CIFAKE: Image Classification and Explainable Identification of AI-Generated
    Synthetic Images", IEEE Access 12: the topology that their search over filters, blocks and dense
    layers found best.
    """

    num_features = 64
    head: nn.Module

    def __init__(
        self,
        num_classes: int = 1,
        img_size: int | tuple[int, int] = 32,
        drop_rate: float = 0.0,
        **_: Any,
    ) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        blocks = [[nn.Conv2d(before, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] for before in (3, 32)]
        self.body = nn.Sequential(*(nn.Sequential(*block) for block in blocks))
        self.dense = nn.Linear(32 * (height // 4) * (width // 4), self.num_features)
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer; 0 classes leave the features."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Depth of each parameter, for layer-wise learning rates."""
        return {"blocks": r"^body\.(\d+)"}

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of pictures (n, 3, height, width)."""
        maps = F.dropout(self.body(pixels).flatten(1), self.drop_rate, self.training)
        return self.head(F.dropout(F.relu(self.dense(maps)), self.drop_rate, self.training))


@register_model
def cifake_cnn(pretrained: bool = False, **options: Any) -> CifakeCnn:
    """The CNN of the CIFAKE paper."""
    return build_model_with_cfg(CifakeCnn, "cifake_cnn", pretrained, **options)


@register_model
def vit_small_patch16_384_community(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """timm's ViT-S/16, trained on pictures of 4,803 generators.

    Park and Owens 2025, "Community Forensics: Using Thousands of Generators to Train Fake Image
    Detectors" (MIT).
    """
    return build_model_with_cfg(
        VisionTransformer,
        "vit_small_patch16_384_community",
        pretrained,
        pretrained_filter_fn=_bare,
        **({"patch_size": 16, "embed_dim": 384, "depth": 12, "num_heads": 6} | options),
    )


def _bare(tensors: dict[str, torch.Tensor], network: VisionTransformer) -> dict[str, torch.Tensor]:
    """The tensors under timm's names, positions resampled to the network's grid."""
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    resampled: dict[str, torch.Tensor] = checkpoint_filter_fn(bare, network)
    return resampled
