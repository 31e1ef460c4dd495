"""A small variational autoencoder (Kingma and Welling 2014) of human-made pictures alone.

What does not look like them, it reproduces worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from humanmade.data.loader import TrainingDataset
from humanmade.detectors import heads
from humanmade.detectors.base import Logits, PictureDetector, finite, restore, watched
from humanmade.detectors.reconstruction import error_statistics
from humanmade.images.augment import Augmentation
from humanmade.images.views import expand
from humanmade.schema import VaeRecipe
from humanmade.seeding import stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import save_weights
from humanmade.training.device import Machine
from humanmade.training.loop import STATE, Trainer
from humanmade.training.optimiser import require_optimiser

MODEL = "model.safetensors"

WIDTHS = (32, 64, 128)
"""Channels of the levels, each at half the size of the one before."""

LATENT = 8
"""Channels of a latent position."""

BATCH = 64
"""Pictures that are reconstructed at once."""


class Vae(nn.Module):
    """A convolutional variational autoencoder: 8x spatial, a diagonal Gaussian at each position."""

    def __init__(self) -> None:
        super().__init__()
        encoder: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
            encoder += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(WIDTHS[-1], 2 * LATENT, 3, padding=1))
        decoder: list[nn.Module] = [nn.Conv2d(LATENT, WIDTHS[-1], 3, padding=1), nn.SiLU()]
        for before, after in zip(WIDTHS[::-1], (*WIDTHS[-2::-1], WIDTHS[0]), strict=True):
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)]
            decoder += [nn.GroupNorm(8, after), nn.SiLU()]
        self.decoder = nn.Sequential(*decoder, nn.Conv2d(WIDTHS[0], 3, 3, padding=1))

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
    """KL divergence of each latent from the standard normal, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


class VaeDetector(PictureDetector):
    """A VAE of human-made pictures; its errors and its KL term, calibrated on the fold."""

    recipe: VaeRecipe

    def __init__(self, recipe: VaeRecipe) -> None:
        super().__init__(recipe)
        self.machine = Machine.pick(recipe.precision)
        require_optimiser(recipe, self.machine.device)

    def check(self, train: pd.DataFrame) -> None:
        heads.check_rows(train, self.recipe)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        recipe = self.recipe
        trainer = self.trainer(train, seed)
        seen = watched(valid)
        photos = seen[seen["label"] == 0]
        trainer.run(folder, budget, lambda model: self._watch(model, photos), folder.name, len(photos))
        facts = self.facts | self.origin
        save_weights(folder / MODEL, trainer.result.state_dict(), facts)
        statistics = np.concatenate(self._statistics(trainer.result, train, expand(recipe.histories)))
        heads.fit_and_save(folder, statistics, train, recipe, seed, facts)
        (folder / STATE).unlink(missing_ok=True)
        return len(trainer.dataset) * len(trainer.log)

    def training_set(self, train: pd.DataFrame, seed: int) -> TrainingDataset:
        photos = train[train["label"] == 0]
        return TrainingDataset(photos, Augmentation(self.frame), seed, pair_sync=False)

    def trainer(self, train: pd.DataFrame, seed: int) -> Trainer:
        torch.manual_seed(stable_seed("weights", seed))
        dataset, network = self.training_set(train, seed), self.machine.place(Vae())
        return Trainer(network, dataset, self.recipe, self.machine, seed, self._loss)

    def verify(self, folder: Path) -> None:
        self._load(folder, self.facts | self.origin)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        network, head = self._load(folder, self.facts)
        statistics = self._statistics(network, rows, views)
        return np.column_stack([heads.linear_logits(head, of_view) for of_view in statistics])

    def _load(self, folder: Path, facts: dict[str, Any]) -> tuple[nn.Module, heads.Tensors]:
        network = Vae()
        restore(network, folder / MODEL, facts)
        return self.machine.place(network), heads.load_head(folder, facts)

    def _loss(self, network: nn.Module, pixels: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        """Negative evidence bound a value, summed over a batch: pixels are Gaussian, their deviation 0.1."""
        with self.machine.autocast():
            remade, mean, log_variance = network(pixels)
        error = (remade.float() - pixels).square().sum() / (2 * 0.1**2)
        return (error + divergence(mean.float(), log_variance.float()).sum()) / pixels[0].numel()

    def _watch(self, network: nn.Module, rows: pd.DataFrame) -> dict[str, float]:
        if rows.empty:
            return {}
        error = float(self._statistics(network, rows, ["identity"])[0][:, 0].mean())
        return {"log_error": error, "selection": -error}

    @torch.inference_mode()
    def _statistics(self, network: nn.Module, rows: pd.DataFrame, views: Sequence[str]) -> list[heads.Matrix]:
        """For each view (rows, dimensions): errors of the mean reconstruction at several scales, and the KL
        term of each latent channel."""
        network.eval()
        parts: list[list[heads.Matrix]] = [[] for _ in views]
        for batch, count in self.batches(rows, views, BATCH, "reconstructing"):
            for view, of_view in enumerate(parts):
                pixels = self.machine.pixels(batch[:, view])
                with self.machine.autocast():
                    mean, log_variance = network.encode(pixels)  # type: ignore[operator]
                    remade = network.decode(mean)  # type: ignore[operator]
                kl = divergence(mean.float(), log_variance.float()).mean(dim=(2, 3))
                errors = error_statistics(pixels, remade.float())
                of_view.append(torch.cat([errors, torch.log(kl + 1e-4)], dim=1)[:count].cpu().numpy())
        return [finite(np.concatenate(of_view), "errors of reconstruction") for of_view in parts]
