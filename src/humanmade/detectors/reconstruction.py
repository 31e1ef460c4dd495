"""What a pretrained autoencoder does to a picture tells where it came from.

What such a decoder made, it reproduces too well (AEROBLADE, Ricker et al. 2024).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from humanmade.detectors.autoencoder import LatentAutoencoder, load_autoencoder
from humanmade.detectors.features import Features
from humanmade.detectors.fixed_features import FrozenFeatures
from humanmade.schema import ReconstructionRecipe
from humanmade.training.checkpoint import digest

SCALES = (1, 2, 4, 8)
"""Sizes, as divisors of the picture's, at which reconstruction errors are measured."""


def error_statistics(pixels: torch.Tensor, remade: torch.Tensor) -> torch.Tensor:
    """How two batches of pictures (n, 3, height, width) of 0 to 1 differ, at several scales.

    Returns:
        (n, 4 per scale): log mean absolute error, log of the worst twentieth of it, the error's share
        of the picture's own detail at that scale, and the correlation of error and picture.
    """
    parts = []
    for scale in SCALES:
        first, second = (F.avg_pool2d(batch, scale) for batch in (pixels, remade))
        error = (first - second).abs().mean(dim=1).flatten(1)
        detail = (first - F.avg_pool2d(first, 3, 1, 1)).abs().mean(dim=1).flatten(1)
        worst = torch.quantile(error, 0.95, dim=1)
        correlation = (_standard(error) * _standard(detail)).mean(dim=1)
        log_error = torch.log(error.mean(dim=1) + 1e-4)
        relative = log_error - torch.log(detail.mean(dim=1) + 1e-4)
        parts += [log_error, torch.log(worst + 1e-4), relative, correlation]
    return torch.stack(parts, dim=1)


def _standard(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean(dim=1, keepdim=True)) / (values.std(dim=1, keepdim=True) + 1e-6)


class Reconstruction(FrozenFeatures):
    """Statistics of what a pretrained autoencoder does to a picture, and a linear head."""

    recipe: ReconstructionRecipe

    batch = 8

    @cached_property
    def autoencoder(self) -> LatentAutoencoder:
        """The pretrained autoencoder."""
        network = load_autoencoder(self.recipe.autoencoder)
        self.machine.place(network)
        return network

    @cached_property
    def facts(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "autoencoder": recipe.autoencoder,
            "weights": digest(self.autoencoder),
            "image_size": recipe.image_size,
            "crop": recipe.crop,
        }

    @torch.inference_mode()
    def extract(self, pixels: torch.Tensor) -> Features:
        """Statistics of the first reconstruction, of the second, and of how far the latents move."""
        original = self.machine.pixels(pixels)
        with self.machine.autocast():
            latents = self.autoencoder.encode(original)
            once = self.autoencoder.decode(latents)
            again = self.autoencoder.encode(once)
        moved = (latents - again).float().abs().mean(dim=(2, 3))
        size = latents.float().abs().mean(dim=(2, 3))
        parts = [error_statistics(original, once.float()), torch.log(moved + 1e-4), torch.log(size + 1e-4)]
        return np.asarray(torch.cat(parts, dim=1).cpu().numpy(), dtype=np.float32)
