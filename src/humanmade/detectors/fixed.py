"""Detectors on features that are not trained: computed once for all folds, a head learns from them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from humanmade.data.loader import worker_count
from humanmade.detectors import heads
from humanmade.detectors.base import Logits, PictureDetector
from humanmade.detectors.counterparts import row_weights
from humanmade.detectors.features import Features, FeatureStore, NotFiniteError
from humanmade.errors import UserError
from humanmade.files import write_text
from humanmade.images.views import expand
from humanmade.progress import warn_once
from humanmade.schema import FrozenRecipe, LinearHeadRecipe
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import load_weights, save_weights
from humanmade.training.device import Machine

HEAD = "head.safetensors"


class FixedFeatures(PictureDetector):
    """Features from a store, and a linear head. Subclasses say what the features are."""

    recipe: LinearHeadRecipe

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the features depend on; it travels inside the head's file."""

    @property
    @abstractmethod
    def store(self) -> FeatureStore:
        """Where the features are kept."""

    def compute(self, rows: pd.DataFrame, views: Sequence[str], budget: Budget | None = None) -> None:
        """Compute the features that are missing, as `FeatureStore.compute` does."""
        self.store.compute(rows, views, budget)

    @property
    def histories(self) -> tuple[str, ...]:
        """The views that the head learns from."""
        return expand(self.recipe.histories)

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        heads.check_groups(training["label"].to_numpy(), training["group"].to_numpy(), self.recipe)
        # Rows that are in both are decoded once for all their views.
        both = training[training["id"].isin(predicted["id"])]
        all_views = list(dict.fromkeys([*self.histories, *views]))
        self.compute(both, all_views, budget)
        self.compute(training, self.histories, budget)
        self.compute(predicted, views, budget)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        names = self.histories
        self.compute(train, names, budget)
        features = self.store.matrix(train, names)
        # The views of a picture are one group, so inner folds keep them together.
        tensors, log = fit_linear_head(features, pd.concat([train] * len(names)), self.recipe, seed)
        save_head(folder, tensors, self.facts)
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in log))
        return len(train)

    def verify(self, folder: Path) -> None:
        load_head(folder, self.facts)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        tensors = load_head(folder, self.facts)
        self.compute(rows, views)
        features = (self.store.get(rows, view) for view in views)
        return np.column_stack([heads.linear_logits(tensors, matrix) for matrix in features])


class FrozenFeatures(FixedFeatures):
    """Features that a frozen network computes: in half precision, but where that overflows."""

    recipe: FrozenRecipe
    batch: int
    """Pictures that go through the network at once."""

    def __init__(self, recipe: FrozenRecipe) -> None:
        super().__init__(recipe)
        self.machine = Machine.pick(recipe.precision)

    @abstractmethod
    def extract(self, pixels: torch.Tensor) -> Features:
        """Features (n, dimensions) of pictures (n, 3, size, size) uint8."""

    @cached_property
    def store(self) -> FeatureStore:
        key = json.dumps([self.facts, str(self.machine.dtype), self.machine.device.type], sort_keys=True)
        return FeatureStore(key, self.frame, self.batch, worker_count(self.recipe.workers), self.extract)

    def compute(self, rows: pd.DataFrame, views: Sequence[str], budget: Budget | None = None) -> None:
        """Compute the features that are missing.

        Of a network whose numbers half precision cannot hold, all are computed again in float32, and
        kept under that name.

        Raises:
            UserError: in float32 they are not finite either.
        """
        try:
            super().compute(rows, views, budget)
        except NotFiniteError:
            name = self.recipe.name
            if self.machine.dtype == torch.float32:
                raise UserError(f"{name}: features are not finite, even in fp32; use other weights") from None
            warn_once(f"{name}: features overflow in half precision; they are computed in fp32")
            self.machine = replace(self.machine, dtype=torch.float32)
            del self.store
            super().compute(rows, views, budget)


def fit_linear_head(
    features: heads.Matrix, rows: pd.DataFrame, recipe: LinearHeadRecipe, seed: int
) -> tuple[heads.Tensors, list[dict[str, float]]]:
    """Fit a linear head to rows' labels, their groups kept together; `features` are standardised in place."""
    labels, groups = rows["label"].to_numpy(), rows["group"].to_numpy()
    return heads.fit_linear(features, labels, groups, recipe, seed, row_weights(rows))


def save_head(folder: Path, tensors: heads.Tensors, facts: dict[str, Any]) -> None:
    """Write a head with the facts its features depend on."""
    saved = {name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}
    save_weights(folder / HEAD, saved, facts)


def load_head(folder: Path, facts: dict[str, Any]) -> heads.Tensors:
    """Read a head.

    Raises:
        UserError: it is damaged, or was fitted to features of other facts.
    """
    saved, known = load_weights(folder / HEAD)
    if known != facts:
        key = next(key for key in {**known, **facts} if known.get(key) != facts.get(key))
        raise UserError(
            f"{folder / HEAD}: was trained otherwise ({key}: {known.get(key)} there, {facts.get(key)} now); "
            "use the same preprocessing and weights, or give another --out"
        )
    return {name: tensor.numpy() for name, tensor in saved.items()}
