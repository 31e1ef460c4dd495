"""Detectors on features that are not trained: computed once for all folds, a head learns from them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from humanmade.data.loader import worker_count
from humanmade.detectors import heads
from humanmade.detectors.base import Logits, PictureDetector
from humanmade.detectors.features import Features, FeatureStore, NotFiniteError
from humanmade.errors import UserError
from humanmade.files import write_text
from humanmade.images.views import expand
from humanmade.progress import warn_once
from humanmade.schema import FrozenRecipe, LinearHeadRecipe
from humanmade.training.budget import Budget
from humanmade.training.device import Machine


class FixedFeatures(PictureDetector):
    """Features from a store, and a linear head. Subclasses say what the features are."""

    recipe: LinearHeadRecipe

    @property
    @abstractmethod
    def store(self) -> FeatureStore:
        """Where the features are kept."""

    def compute(self, rows: pd.DataFrame, views: Sequence[str], budget: Budget | None = None) -> None:
        """Compute the features that are missing, as `FeatureStore.compute` does."""
        self.store.compute(rows, views, budget)

    def check(self, train: pd.DataFrame) -> None:
        heads.check_rows(train, self.recipe)

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        histories = expand(self.recipe.histories)
        # Rows that are in both are decoded once for all their views.
        both = training[training["id"].isin(predicted["id"])]
        self.compute(both, list(dict.fromkeys([*histories, *views])), budget)
        self.compute(training, histories, budget)
        self.compute(predicted, views, budget)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        histories = expand(self.recipe.histories)
        self.compute(train, histories, budget)
        facts = self.facts | self.origin
        log = heads.fit_and_save(folder, self.store.matrix(train, histories), train, self.recipe, seed, facts)
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in log))
        return len(train)

    def verify(self, folder: Path) -> None:
        heads.load_head(folder, self.facts | self.origin)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        head = heads.load_head(folder, self.facts)
        self.compute(rows, views)
        return np.column_stack([heads.linear_logits(head, self.store.get(rows, view)) for view in views])


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
        """Features of pictures, kept on disk."""
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
