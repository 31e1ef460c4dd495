"""The one interface of all detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade.detectors import counterparts
from humanmade.recipe import Recipe
from humanmade.training.budget import Budget

Logits = npt.NDArray[np.float64]


class Detector(ABC):
    """What a recipe describes. One object serves all folds of a run; what a fold learned is in files.

    Predicting always goes through the saved files, so a run predicts a year later what it
    predicted at once. Rows are those of `humanmade.data.manifest`, with `digest`.
    """

    recipe: Recipe

    def prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        """Do once what all folds would otherwise do again, such as computing features.

        Args:
            training: all rows of the data that some fold trains on.
            predicted: all rows that are predicted, under `views`.
        """
        self._prepare(self._extended(training, budget), predicted, views, budget)

    def fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        """Train on rows of the data, and on counterparts of them where the recipe wants those.

        Args:
            valid: held-out rows, to watch and to stop early by; may be empty.
            budget: asked between steps; an unfinished training leaves its state in `folder`.

        Returns:
            How many pictures went through training, counted once an epoch.
        """
        return self._fit(self._extended(train, budget), valid, seed, folder, budget)

    def _extended(self, rows: pd.DataFrame, budget: Budget) -> pd.DataFrame:
        """All that is learned from where the data has `rows`: the one place where counterparts join."""
        return counterparts.extend(rows, self.recipe, budget)

    def _prepare(  # noqa: B027 - optional
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        """What `prepare` does, of all rows that are learned from."""

    @abstractmethod
    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        """What `fit` does, of all rows that are learned from."""

    @abstractmethod
    def verify(self, folder: Path) -> None:
        """Make sure that `folder` holds what this detector's `fit` would leave.

        Raises:
            UserError: it is damaged, or was trained with other preprocessing or pretrained weights.
        """

    @abstractmethod
    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        """Logits of rows under each view, (rows, views), by what `fit` left in `folder`."""
