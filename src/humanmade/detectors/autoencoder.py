"""Autoencoders as detectors: how well a picture is reconstructed tells where it came from.

`reconstruction` asks a pretrained latent autoencoder: what such a decoder made, it reproduces too
well (AEROBLADE, Ricker et al. 2024). `vae` trains a small variational autoencoder (Kingma and
Welling 2014) on human-made pictures alone: what they do not look like, it reproduces worse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from humanmade.data.loader import TrainingDataset, ViewDataset, fixed_size, view_batches, worker_count
from humanmade.detectors import heads
from humanmade.detectors.base import Detector, Logits
from humanmade.detectors.features import Features, FeatureStore
from humanmade.detectors.fixed import FixedFeatures, fit_linear_head, load_head, save_head
from humanmade.detectors.latent import load_autoencoder
from humanmade.errors import UserError
from humanmade.images.augment import Augmentation
from humanmade.images.views import Frame, expand
from humanmade.progress import progress
from humanmade.recipe import ReconstructionRecipe, VaeRecipe
from humanmade.seeding import stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest, load_weights, save_weights
from humanmade.training.device import Machine
from humanmade.training.loop import Trainer

MODEL = "model.safetensors"
SCALES = (1, 2, 4, 8)
"""Sizes, as divisors of the picture's, at which reconstruction errors are measured."""


def error_statistics(pixels: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """How two batches of pictures (n, 3, height, width) of 0 to 1 differ, at several scales.

    Returns:
        (n, 4 per scale): log mean absolute error, log of the worst twentieth of it, the error's share
        of the picture's own detail at that scale, and the correlation of error and picture.
    """
    parts = []
    for scale in SCALES:
        first, second = (F.avg_pool2d(each, scale) if scale > 1 else each for each in (pixels, shown))
        error = (first - second).abs().mean(dim=1).flatten(1)
        detail = (first - F.avg_pool2d(first, 3, 1, 1)).abs().mean(dim=1).flatten(1)
        worst = torch.quantile(error, 0.95, dim=1)
        together = (_standard(error) * _standard(detail)).mean(dim=1)
        log_error = torch.log(error.mean(dim=1) + 1e-4)
        parts += [
            log_error,
            torch.log(worst + 1e-4),
            log_error - torch.log(detail.mean(dim=1) + 1e-4),
            together,
        ]
    return torch.stack(parts, dim=1)


def _standard(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean(dim=1, keepdim=True)) / (values.std(dim=1, keepdim=True) + 1e-6)


class Reconstruction(FixedFeatures):
    """Statistics of what a pretrained autoencoder does to a picture, and a linear head."""

    recipe: ReconstructionRecipe

    def __init__(self, recipe: ReconstructionRecipe) -> None:
        self.recipe = recipe
        self.machine = Machine.pick(recipe.precision)

    @cached_property
    def network(self) -> nn.Module:
        """Anything with `encode` and `decode`."""
        return self.machine.place(load_autoencoder(self.recipe.autoencoder))

    @cached_property
    def facts(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "autoencoder": recipe.autoencoder,
            "weights": digest(self.network),
            "image_size": recipe.image_size,
            "crop": recipe.crop,
        }

    @cached_property
    def store(self) -> FeatureStore:
        recipe = self.recipe
        key = json.dumps([self.facts, str(self.machine.dtype), self.machine.device.type], sort_keys=True)
        frame = Frame(recipe.image_size, recipe.crop)
        return FeatureStore(key, frame, 8, worker_count(recipe.workers))

    @torch.inference_mode()
    def extract(self, pixels: torch.Tensor) -> Features:
        """Statistics of the first reconstruction, of the second, and of how far the latents move."""
        original = self.machine.pixels(pixels)
        with self.machine.autocast():
            latents = self.network.encode(original)  # type: ignore[operator]
            once = self.network.decode(latents)  # type: ignore[operator]
            again = self.network.encode(once)  # type: ignore[operator]
        moved = (latents - again).float().abs().mean(dim=(2, 3))
        size = latents.float().abs().mean(dim=(2, 3))
        parts = [error_statistics(original, once.float()), torch.log(moved + 1e-4), torch.log(size + 1e-4)]
        return np.asarray(torch.cat(parts, dim=1).cpu().numpy(), dtype=np.float32)


class Vae(nn.Module):
    """A convolutional variational autoencoder: 8x spatial, a diagonal Gaussian at each position."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        encoder: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            encoder += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(widths[-1], 2 * latent, 3, padding=1))
        decoder: list[nn.Module] = [nn.Conv2d(latent, widths[-1], 3, padding=1), nn.SiLU()]
        for before, after in zip(widths[::-1], (*widths[-2::-1], width), strict=True):
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)]
            decoder += [nn.GroupNorm(8, after), nn.SiLU()]
        self.decoder = nn.Sequential(*decoder, nn.Conv2d(width, 3, 3, padding=1))

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (n, latent, height / 8, width / 8) of pictures of 0 to 1."""
        mean, log_variance = self.encoder(pixels * 2 - 1).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of 0 to 1."""
        return torch.sigmoid(self.decoder(latents))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A reconstruction from drawn latents, and their mean and log variance."""
        mean, log_variance = self.encode(pixels)
        drawn = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        return self.decode(drawn), mean, log_variance


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL divergence from the standard normal, in nats per picture (n,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=(1, 2, 3))


class VaeDetector(Detector):
    """A VAE of human-made pictures; its errors and its KL term, calibrated on the fold."""

    recipe: VaeRecipe

    def __init__(self, recipe: VaeRecipe) -> None:
        self.recipe = recipe
        self.machine = Machine.pick(recipe.precision)
        self.frame = Frame(recipe.image_size, recipe.crop)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        recipe = self.recipe
        torch.manual_seed(stable_seed("weights", seed))
        network = self.machine.place(Vae(recipe.width, recipe.latent))
        augment = Augmentation(self.frame)
        dataset = TrainingDataset(train[train["label"] == 0], augment, seed, pair_sync=False)
        trainer = Trainer(
            network, dataset, recipe, self.machine, seed, worker_count(recipe.workers), self._loss
        )
        held_out = valid[valid["label"] == 0]
        trainer.run(folder, budget, lambda model: self._watch(model, held_out), folder.name)
        save_weights(folder / MODEL, trainer.result.state_dict(), self._facts())
        names = expand(recipe.histories)
        features = np.concatenate([self._statistics(trainer.result, train, name) for name in names])
        head, _ = fit_linear_head(features, pd.concat([train] * len(names)), recipe, seed)
        save_head(folder, head, self._facts())
        (folder / "last.pt").unlink(missing_ok=True)
        return len(dataset) * len(trainer.log)

    def verify(self, folder: Path) -> None:
        self._load(folder)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        network, head = self._load(folder)
        columns = [heads.linear_logits(head, self._statistics(network, rows, view)) for view in views]
        return np.column_stack(columns)

    def _load(self, folder: Path) -> tuple[nn.Module, heads.Tensors]:
        tensors, _ = load_weights(folder / MODEL)
        network = Vae(self.recipe.width, self.recipe.latent)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise UserError(f"{folder / MODEL}: damaged ({str(error)[:200]})") from None
        return self.machine.place(network), load_head(folder, self._facts())

    def _facts(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "width": recipe.width,
            "latent": recipe.latent,
            "image_size": recipe.image_size,
            "crop": recipe.crop,
        }

    def _loss(self, network: nn.Module, pixels: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        """Negative evidence bound of a batch, summed: pixels are Gaussian with a deviation of 0.1."""
        with self.machine.autocast():
            shown, mean, log_variance = network(pixels)
        error = (shown.float() - pixels).square().sum() / (2 * 0.1**2)
        return (error + self.recipe.beta * divergence(mean.float(), log_variance.float()).sum()) / pixels[
            0
        ].numel()

    def _watch(self, network: nn.Module, rows: pd.DataFrame) -> dict[str, float]:
        if rows.empty:
            return {}
        errors = self._statistics(network, rows, "identity")[:, 0]
        return {"log_error": float(errors.mean()), "selection": -float(errors.mean())}

    @torch.inference_mode()
    def _statistics(self, network: nn.Module, rows: pd.DataFrame, view: str) -> heads.Matrix:
        """Errors of the mean reconstruction at several scales, and the KL term per latent channel."""
        network.eval()
        size = 64
        dataset = ViewDataset(rows, [view], self.frame)
        batches = view_batches(dataset, size, worker_count(self.recipe.workers))
        parts = []
        for batch in progress(batches, "reconstructing", "batches", -(-len(rows) // size)):
            pixels = self.machine.pixels(fixed_size(batch, size)[:, 0])
            with self.machine.autocast():
                mean, log_variance = network.encode(pixels)  # type: ignore[operator]
                shown = network.decode(mean)  # type: ignore[operator]
            mean, log_variance = mean.float(), log_variance.float()
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=(2, 3))
            found = torch.cat([error_statistics(pixels, shown.float()), torch.log(kl + 1e-4)], dim=1)
            parts.append(found[: len(batch)].cpu().numpy())
        return np.concatenate(parts).astype(np.float64)
