"""A frozen timm backbone with a linear head on pooled features of several depths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch

from humanmade.detectors.base import Maps
from humanmade.detectors.features import Features
from humanmade.detectors.fixed_features import FrozenFeatures
from humanmade.detectors.folding import folded
from humanmade.detectors.heads import load_head
from humanmade.detectors.weights import create_backbone, in_one_line, input_facts
from humanmade.recipe import require
from humanmade.schema import ProbeRecipe
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest


class Probe(FrozenFeatures):
    """Logistic regression on the features of a frozen backbone."""

    recipe: ProbeRecipe
    maps: ClassVar[Maps | None] = "exact"

    def __init__(self, recipe: ProbeRecipe) -> None:
        super().__init__(recipe)
        self.batch = recipe.inference_batch

    @property
    def backbone(self) -> torch.nn.Module:
        """The frozen network, without its classifier."""
        return self._frozen[0]

    @cached_property
    def _frozen(self) -> tuple[torch.nn.Module, str]:
        """The network, and what names its weights as they were before batch norms were folded."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a backbone that is random by recipe is the same at every start
            network = create_backbone(recipe.backbone, recipe.pretrained, recipe.image_size, 0)
        with in_one_line(recipe):
            depths = len(network.feature_info)  # type: ignore[arg-type]
        for layer in recipe.layers:
            good = -depths <= layer < depths
            require(good, "layers", layer, f"-{depths} to {depths - 1} for {recipe.backbone}")
        network = network.eval().requires_grad_(False)
        with in_one_line(recipe):
            return self.machine.place(folded(network, recipe.image_size)), digest(network)

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        size = self.recipe.image_size
        with in_one_line(self.recipe), torch.inference_mode():
            self.pooled(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        super()._prepare(training, predicted, views, budget)

    @cached_property
    def facts(self) -> dict[str, Any]:
        own = {"weights": self._frozen[1], "layers": self.recipe.layers, "pool": self.recipe.pool}
        return input_facts(self.recipe) | own

    @torch.inference_mode()
    def extract(self, pixels: torch.Tensor) -> Features:
        """Features (n, dimensions): every chosen depth pooled over space, then the pooled output."""
        features = self.pooled(pixels)
        # Kept in fp16, whose largest number is 65,504; infinities are left, as they tell of an overflow.
        largest = torch.finfo(torch.float16).max
        bounded = torch.where(features.isinf(), features, features.clamp(-largest, largest))
        return bounded.half().cpu().numpy()

    def _forward(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Maps (n, channels, height, width) of every chosen depth, and the output (n, channels)."""
        mean, std = (
            torch.tensor(self.facts[name], device=self.machine.device).view(1, -1, 1, 1)
            for name in ("mean", "std")
        )
        normal = self.machine.pixels(pixels).sub_(mean).div_(std)
        with self.machine.autocast():
            last, maps = self.backbone.forward_intermediates(  # type: ignore[operator]
                normal, indices=self.recipe.layers or None
            )
            output = self.backbone.forward_head(last, pre_logits=True)  # type: ignore[operator]
        return [depth.float() for depth in maps], output.float()

    @torch.inference_mode()
    def patch_logits(self, folder: Path, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Of `pool = "mean_std"` the spreads, which have no place, are in the rest."""
        saved = load_head(folder, self.facts)
        head = {name: torch.from_numpy(value).float() for name, value in saved.items()}
        maps, output = self._forward(pixels)
        slope = head["weight"] / head["scale"]
        offset = head["bias"] - (head["mean"] * slope).sum()
        parts, place = [], 0
        rest = offset + torch.zeros(len(pixels))
        for depth in (depth.cpu() for depth in maps):
            channels = depth.shape[1]
            parts.append(torch.einsum("nchw,c->nhw", depth, slope[place : place + channels]))
            place += channels
            for spread in _pool(depth, self.recipe.pool)[1:]:
                rest = rest + spread @ slope[place : place + channels]
                place += channels
        return parts, rest + output.cpu() @ slope[place:]

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """What `extract` gives, before it is rounded."""
        maps, output = self._forward(pixels)
        parts = [pooled for depth in maps for pooled in _pool(depth, self.recipe.pool)]
        return torch.cat([*parts, output], dim=1)


def _pool(features: torch.Tensor, how: str) -> list[torch.Tensor]:
    """Pool a map (n, channels, height, width) over space to (n, channels), one or two of them."""
    mean = features.mean(dim=(2, 3))
    return [mean] if how == "mean" else [mean, features.std(dim=(2, 3), correction=0)]
