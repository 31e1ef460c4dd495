"""The one interface of all detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade.training.budget import Budget

Logits = npt.NDArray[np.float64]


class Detector(ABC):
    """What a recipe describes. One object serves all folds of a run; what a fold learned is in files.

    Predicting always goes through the saved files, so a run predicts a year later what it
    predicted at once. Rows are those of `humanmade.data.manifest`, with `digest`.
    """

    def prepare(  # noqa: B027 - optional
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        """Do once what all folds would otherwise do again, such as computing features.

        Args:
            training: all rows that some fold trains on.
            predicted: all rows that are predicted, under `views`.
        """

    @abstractmethod
    def fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        """Train on rows and leave in `folder` all that predicting needs.

        Args:
            valid: held-out rows, to watch and to stop early by; may be empty.
            budget: asked between steps; an unfinished training leaves its state in `folder`.

        Returns:
            How many pictures went through training, counted once an epoch.
        """

    @abstractmethod
    def verify(self, folder: Path) -> None:
        """Make sure that `folder` holds what this detector's `fit` would leave.

        Raises:
            UserError: it is damaged, or was trained with other preprocessing or pretrained weights.
        """

    @abstractmethod
    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        """Logits of rows under each view, (rows, views), by what `fit` left in `folder`."""
