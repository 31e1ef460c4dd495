"""The one interface of all detectors."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from humanmade import files, run
from humanmade.data.loader import TrainingDataset, ViewDataset, fixed_size, view_batches, worker_count
from humanmade.detectors import counterparts
from humanmade.detectors.autoencoder import load_autoencoder
from humanmade.errors import UserError
from humanmade.images.views import Frame
from humanmade.progress import progress
from humanmade.recipe import Recipe
from humanmade.schema import PictureRecipe
from humanmade.seeding import sample
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import Tensors, digest, load_weights
from humanmade.training.loop import Trainer

Logits = npt.NDArray[np.float64]
F = TypeVar("F", np.float32, np.float64)

Maps: TypeAlias = Literal["exact", "gradient"]
"""Heat maps (`humanmade.evaluation.explain`) by `PictureDetector.patch_logits` or from `network`."""

TRAINED = "trained.json"
"""In the folder of a training that is finished."""

WATCHED = 2000
"""Held-out rows that are looked at between epochs, at most; a fold's final scores are of all of them."""


class Detector(ABC):
    """What a recipe describes. One object serves all folds of a run; what a fold learned is in files.

    Predicting always goes through the saved files, so a run predicts a year later what it
    predicted at once. Rows are those of `humanmade.data.manifest`, with `digest`.
    """

    recipe: Recipe

    def check(self, train: pd.DataFrame) -> None:  # noqa: B027 - most can learn from whatever has both classes
        """Refuse the training rows of a fold from which nothing can be learned, before anything is computed.

        Raises:
            UserError: it is so.
        """

    @abstractmethod
    def prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        """Do once what all folds would otherwise do again, such as computing features.

        Args:
            training: all rows of the data that some fold trains on.
            predicted: all rows that are predicted, under `views`.
        """

    @abstractmethod
    def fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        """Train on rows of the data, and on counterparts of them where the recipe wants those.

        Args:
            valid: held-out rows, to watch and to stop early by; may be empty.
            budget: asked between steps; an unfinished training leaves its state in `folder`.

        Returns:
            How many pictures went through training, counted once an epoch.
        """

    def fit_once(
        self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget
    ) -> dict[str, float]:
        """`fit`, unless an earlier start finished it in `folder`; the `pictures` and `seconds` that it took.

        Raises:
            UserError: what the earlier start left is damaged, or was trained otherwise.
        """
        note = folder / TRAINED
        if note.is_file():
            self.verify(folder)
        else:
            files.make_folder(folder)
            began = time.monotonic()
            pictures = self.fit(train, valid, seed, folder, budget)
            files.write_json(note, {"pictures": pictures, "seconds": time.monotonic() - began})
        return files.read_json(note, ("pictures", "seconds"), run.retrain(note))

    @abstractmethod
    def verify(self, folder: Path) -> None:
        """Make sure that `folder` holds what this detector's `fit` would leave.

        Raises:
            UserError: it is damaged, or was trained with other preprocessing or pretrained weights.
        """

    @abstractmethod
    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        """Logits of rows under each view, (rows, views), by what `fit` left in `folder`."""

    def logits_by(self, folders: Sequence[Path], rows: pd.DataFrame, views: Sequence[str]) -> list[Logits]:
        """`logits` by each folder; a detector that decodes pictures decodes them once for all."""
        return [self.logits(folder, rows, views) for folder in folders]

    def member_logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> dict[str, Logits]:
        """What `logits` gives under the name "", and beside it each member's own of an ensemble."""
        return {"": self.logits(folder, rows, views)}


def finite(numbers: npt.NDArray[F], what: str) -> npt.NDArray[F]:
    """The numbers, which are refused where one is none or infinite."""
    if not np.isfinite(numbers).all():
        raise UserError(f'{what} are not finite: training diverged; lower lr, or set precision = "fp32"')
    return numbers


def saved_tensors(path: Path, facts: dict[str, Any]) -> Tensors:
    """The tensors of a file of `save_weights`, which must have been written with these facts.

    Raises:
        UserError: it is damaged, or a fact is another one there.
    """
    tensors, known = load_weights(path)
    for key, value in facts.items():
        if known.get(key) != value:
            raise UserError(
                f"{path}: was trained otherwise ({key}: {known.get(key)} there, {value} now); "
                "use the same preprocessing and weights, or give another --out"
            )
    return tensors


def restore(network: nn.Module, path: Path, facts: dict[str, Any]) -> None:
    """Give a network the weights that `path` holds.

    Raises:
        UserError: as `saved_tensors`, or they are of another network.
    """
    try:
        network.load_state_dict(saved_tensors(path, facts))
    except RuntimeError as error:
        raise UserError(f"{path}: damaged ({str(error).splitlines()[-1].strip()[:200]})") from None


def watched(valid: pd.DataFrame) -> pd.DataFrame:
    """The held-out rows that are looked at between epochs: of many a fixed sample, half of each class."""
    if len(valid) <= WATCHED:
        return valid
    sides = [valid[valid["label"] == label] for label in (0, 1)]
    return pd.concat([side[sample(side["id"].tolist(), WATCHED // 2, "watch")] for side in sides])


class PictureDetector(Detector):
    """A detector that learns from pictures itself, and from counterparts that are added here alone."""

    recipe: PictureRecipe
    maps: ClassVar[Maps | None] = None
    """What heat maps are made of; None where no place of a picture speaks for itself."""

    def __init__(self, recipe: PictureRecipe) -> None:
        self.recipe = recipe
        self.frame = Frame(recipe.image_size, recipe.crop)

    @property
    def facts(self) -> dict[str, Any]:
        """What a trained file's answer depends on beside its own numbers; it travels inside the file."""
        return {"image_size": self.recipe.image_size, "crop": self.recipe.crop}

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What training alone depends on beside `facts`; it travels inside the file, too."""
        keys = self.recipe.counterparts
        made_by = {name: digest(load_autoencoder(name)) for name in keys.autoencoders if keys.scales}
        return {"counterparts": made_by}

    def prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        extended = counterparts.extend(training, self.recipe.counterparts, budget)
        self._prepare(extended, predicted, views, budget)

    def fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        extended = counterparts.extend(train, self.recipe.counterparts, budget)
        return self._fit(extended, valid, seed, folder, budget)

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        """What `prepare` does, of all rows that are learned from."""

    @abstractmethod
    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        """What `fit` does, of all rows that are learned from."""

    def batches(
        self, rows: pd.DataFrame, views: Sequence[str], size: int, what: str
    ) -> Iterator[tuple[torch.Tensor, int]]:
        """Batches (size, views, 3, height, width) of uint8, the last padded, with how many are pictures."""
        dataset = ViewDataset(rows, views, self.frame)
        batches = view_batches(dataset, size, worker_count(self.recipe.workers))
        for batch in progress(batches, what, "batches", -(-len(rows) // size)):
            yield fixed_size(batch, size), len(batch)

    def training_set(self, train: pd.DataFrame, seed: int) -> TrainingDataset | None:
        """What a network of its own is trained on, drawn anew each epoch; None where none is trained."""
        return None

    def trainer(self, train: pd.DataFrame, seed: int) -> Trainer | None:
        """A training that has not begun, of all rows that are learned from; None where there is none."""
        return None

    def patch_logits(self, folder: Path, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Split logits into what each place of each depth says, exactly, where `maps` is `exact`.

        Args:
            pixels: (n, 3, size, size) uint8.

        Returns:
            One map (n, height, width) a depth, and a rest (n,): the means of the maps and the rest add up
            to the logits.
        """
        raise NotImplementedError

    def network(self, folder: Path) -> nn.Module:
        """The trained network, from pictures (n, 3, size, size) of 0 to 1 to logits, where `maps` is
        `gradient`; its `backbone` is timm's."""
        raise NotImplementedError
