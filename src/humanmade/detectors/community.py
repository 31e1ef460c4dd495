"""ViT-S/16 of Community Forensics, trained on pictures of 4,803 generators, registered in timm as a start.

Park and Owens 2025, "Community Forensics: Using Thousands of Generators to Train Fake Image Detectors" (MIT).
Its authors keep timm's network inside another, so each tensor's name has a prefix.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

__all__: list[str] = []

PREFIX = "vit."

default_cfgs = generate_default_cfgs(
    {
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
        }
    }
)


@register_model
def vit_small_patch16_384_community(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """timm's ViT-S/16 with the weights of Community Forensics."""
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
