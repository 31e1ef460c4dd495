"""Any timm network with one logit at its end, fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from humanmade import metrics
from humanmade.data.loader import TrainingDataset
from humanmade.detectors import lora
from humanmade.detectors.base import Logits, Maps, PictureDetector, finite, restore, watched
from humanmade.detectors.weights import create_backbone, in_one_line, input_facts, pretrained_settings
from humanmade.errors import UserError
from humanmade.images.augment import Augmentation
from humanmade.images.corruptions import SELECTING
from humanmade.schema import NetworkRecipe
from humanmade.seeding import stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest, save_weights
from humanmade.training.device import Machine
from humanmade.training.loop import STATE, Trainer
from humanmade.training.optimiser import require_optimiser

CHECKPOINT = "model.safetensors"


class Normalised(nn.Module):
    """A backbone that takes pictures of 0 to 1 and normalises them itself."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.backbone((pixels - self.mean) / self.std)


class Network(PictureDetector):
    """A fine-tuned timm network."""

    recipe: NetworkRecipe
    maps: ClassVar[Maps | None] = "gradient"

    def __init__(self, recipe: NetworkRecipe) -> None:
        super().__init__(recipe)
        self.machine = Machine.pick(recipe.precision)
        require_optimiser(recipe, self.machine.device)

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        # What the first fold would end at is said before a run is begun: weights that are nowhere, too.
        _ = self.origin
        size = self.recipe.image_size
        with in_one_line(self.recipe), torch.inference_mode():
            self._fresh().eval()(torch.zeros(1, 3, size, size))

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        trainer = self.trainer(train, seed)
        seen = watched(valid)
        views = 1 + len(self._shifts)
        trainer.run(folder, budget, lambda model: self._validate(model, seen), folder.name, len(seen) * views)
        lora.merge(trainer.result)
        save_weights(folder / CHECKPOINT, trainer.result.state_dict(), self.facts | self.origin)
        (folder / STATE).unlink(missing_ok=True)
        return len(trainer.dataset) * len(trainer.log)

    def training_set(self, train: pd.DataFrame, seed: int) -> TrainingDataset:
        augment = Augmentation(self.frame, self.recipe.augment)
        return TrainingDataset(train, augment, seed, self.recipe.augment.pair_sync)

    def trainer(self, train: pd.DataFrame, seed: int) -> Trainer:
        torch.manual_seed(stable_seed("weights", seed))
        placed, dataset = self.machine.place(self._fresh()), self.training_set(train, seed)
        return Trainer(placed, dataset, self.recipe, self.machine, seed, self._loss)

    def _fresh(self) -> Normalised:
        """The network as training begins with it."""
        network = self.build(self.recipe.pretrained)
        if self.recipe.lora:
            lora.insert(network.backbone, self.recipe.lora)
        if self.recipe.grad_checkpointing:
            self._recompute(network.backbone)
        return network

    def verify(self, folder: Path) -> None:
        self._load(folder, self.facts | self.origin)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        return self.logits_by([folder], rows, views)[0]

    def logits_by(self, folders: Sequence[Path], rows: pd.DataFrame, views: Sequence[str]) -> list[Logits]:
        networks = [self.machine.place(self.network(folder)) for folder in folders]
        return self._predict(networks, rows, views, "predicting")

    def network(self, folder: Path) -> Normalised:
        return self._load(folder, self.facts)

    def _load(self, folder: Path, facts: dict[str, Any]) -> Normalised:
        network = self.build(pretrained=False)
        restore(network, folder / CHECKPOINT, facts)
        return network

    @cached_property
    def facts(self) -> dict[str, Any]:
        return input_facts(self.recipe)

    @cached_property
    def origin(self) -> dict[str, Any]:
        start = digest(self.build(pretrained=True)) if self.recipe.pretrained else "random"
        return super().origin | {"start": start}

    def build(self, pretrained: bool) -> Normalised:
        """Make the network, with pretrained or with random weights."""
        recipe = self.recipe
        rates = {"drop_rate": recipe.drop_rate, "drop_path_rate": recipe.drop_path_rate}
        # Many networks know no stochastic depth, and refuse its rate even if it is 0.
        given = {name: rate for name, rate in rates.items() if rate}
        backbone = create_backbone(recipe.backbone, pretrained, recipe.image_size, 1, **given)
        # timm's initialisation of a one-class head can start with logits of +-30; start with 0.
        head: nn.Module = backbone.get_classifier()  # type: ignore[operator]
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
        settings = pretrained_settings(recipe.backbone)
        return Normalised(backbone, settings["mean"], settings["std"])

    def _recompute(self, backbone: nn.Module) -> None:
        try:
            backbone.set_grad_checkpointing()  # type: ignore[operator]
        except (AttributeError, AssertionError):
            raise UserError(f"recipe: timm cannot checkpoint gradients of {self.recipe.backbone}") from None

    def _loss(self, network: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy on smoothed labels, summed over the batch."""
        with self.machine.autocast():
            logits = network(pixels).float().flatten()
        smoothing = self.recipe.label_smoothing
        targets = labels * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    @property
    def _shifts(self) -> Sequence[str]:
        """Corruptions to watch: only where epochs are chosen between they are worth their time."""
        return SELECTING if self.recipe.patience else ()

    def _validate(self, network: nn.Module, valid: pd.DataFrame) -> dict[str, float]:
        if valid.empty:
            return {}
        (logits,) = self._predict([network], valid, ["identity", *self._shifts], "validating")
        scores = metrics.summary(valid["label"], logits[:, 0])
        corrupted = [metrics.auc(valid["label"], column) for column in logits[:, 1:].T]
        selection = metrics.selection(scores["auc"], float(np.mean(corrupted)) if corrupted else None)
        return scores | {"selection": selection}

    @torch.inference_mode()
    def _predict(
        self, networks: Sequence[nn.Module], rows: pd.DataFrame, views: Sequence[str], what: str
    ) -> list[Logits]:
        """Logits (rows, views) by each network."""
        parts: list[list[Logits]] = [[] for _ in networks]
        for pixels, count in self.batches(rows, views, self.recipe.inference_batch, what):
            shown = [self.machine.pixels(pixels[:, view]) for view in range(len(views))]
            for network, of_network in zip(networks, parts, strict=True):
                with self.machine.autocast():
                    logits = torch.cat([network.eval()(view) for view in shown], dim=1)
                of_network.append(logits[:count].float().cpu().numpy().astype(np.float64))
        return [finite(np.concatenate(of_network), "logits") for of_network in parts]
