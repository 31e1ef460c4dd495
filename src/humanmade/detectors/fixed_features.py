"""Detectors on features that are not trained: computed once for all folds, a head learns from them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade.detectors import heads
from humanmade.detectors.base import Logits, PictureDetector
from humanmade.detectors.features import FeatureStore
from humanmade.files import write_text
from humanmade.images.views import expand
from humanmade.schema import LinearHeadRecipe
from humanmade.training.budget import Budget


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

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        heads.check_groups(training["label"].to_numpy(), training["group"].to_numpy(), self.recipe)
        histories = expand(self.recipe.histories)
        # Rows that are in both are decoded once for all their views.
        both = training[training["id"].isin(predicted["id"])]
        self.compute(both, list(dict.fromkeys([*histories, *views])), budget)
        self.compute(training, histories, budget)
        self.compute(predicted, views, budget)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        histories = expand(self.recipe.histories)
        self.compute(train, histories, budget)
        log = heads.fit_and_save(
            folder, self.store.matrix(train, histories), train, self.recipe, seed, self.facts
        )
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in log))
        return len(train)

    def verify(self, folder: Path) -> None:
        heads.load_head(folder, self.facts)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        head = heads.load_head(folder, self.facts)
        self.compute(rows, views)
        return np.column_stack([heads.linear_logits(head, self.store.get(rows, view)) for view in views])
