"""Features of a frozen backbone, computed once per picture and view and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from humanmade import files, places
from humanmade.data.loader import Transform, ViewDataset, draw_keys, fixed_size, view_batches, view_seed
from humanmade.images.views import Frame, draws
from humanmade.progress import progress
from humanmade.shards import Shards, Vectors
from humanmade.training.budget import Budget

Features = npt.NDArray[np.floating]
Extract = Callable[[torch.Tensor], Features]

SHARD = 1024
"""Pictures a file; what is finished survives an interruption."""

DRAWN = "drawn"
"""Stands for any view that draws at random."""

CODE_VERSION = 2
"""Raise when the same key would give other values: views, decoding or pooling changed."""


class NotFiniteError(Exception):
    """Features hold infinities or are no numbers, as where half precision overflows."""


class FeatureStore:
    """Features by content of the picture and by view, for one backbone."""

    def __init__(
        self,
        key: str,
        frame: Frame,
        batch: int,
        workers: int,
        extract: Extract = torch.Tensor.numpy,
        transform: Transform | None = None,
    ) -> None:
        """
        Args:
            key: names the backbone, its weights, its pooling and its precision.
            batch: pictures that go through the backbone at once, always this many.
            extract: gives features (n, dimensions) of what the loader gives.
            transform: turns a view into features in the loader's workers, instead of a backbone.
        """
        self.key = f"{CODE_VERSION}|{key}|{frame.size}|{frame.crop}|{batch}"
        self.frame, self.batch, self.workers = frame, batch, workers
        self.extract, self.transform = extract, transform
        self.views: dict[str, Shards] = {}

    def get(self, rows: pd.DataFrame, view: str) -> Vectors:
        """Features (rows, dimensions) of rows whose features were computed."""
        return self._view(view).get(_names(rows, view))

    def matrix(self, rows: pd.DataFrame, views: Sequence[str]) -> Vectors:
        """Features (views x rows, dimensions), view after view, in one matrix that nothing else holds."""
        out = np.empty((len(views) * len(rows), self._view(views[0]).width), np.float32)
        for number, view in enumerate(views):
            self._view(view).fill(_names(rows, view), out[number * len(rows) :][: len(rows)])
        return out

    def compute(self, rows: pd.DataFrame, views: Sequence[str], budget: Budget | None = None) -> None:
        """Compute what is missing; a picture is decoded once for all its missing views.

        Raises:
            NotFiniteError: some features are not finite.
            OutOfTimeError: the budget is used up; full shards of what was computed are kept.
        """
        needed = [view for view in views if self._lacking(rows, view).any()]
        with contextlib.ExitStack() as stack:
            for folder in sorted(map(self._folder, needed)):
                stack.enter_context(files.held(folder, "computing features", (budget or Budget()).check))
            for view in needed:
                self.views.pop(view)  # another process may have added to them
            self._compute(rows, needed, budget)

    def _compute(self, rows: pd.DataFrame, views: Sequence[str], budget: Budget | None) -> None:
        lacking = {view: self._lacking(rows, view) for view in views}
        needed = [view for view in views if lacking[view].any()]
        if not needed:
            return
        todo = rows[np.any([lacking[view] for view in needed], axis=0)]
        todo = todo[~pd.Series(_names(todo, DRAWN), index=todo.index).duplicated()]
        dataset = ViewDataset(todo, needed, self.frame, self.transform)
        batches = view_batches(dataset, self.batch, self.workers)
        done: list[list[Features]] = []
        for batch in progress(batches, "features", "pictures", len(todo), self.batch):
            padded = fixed_size(batch, self.batch)
            done.append([self.extract(padded[:, v])[: len(batch)] for v in range(len(needed))])
            if not all(np.isfinite(part).all() for part in done[-1]):
                raise NotFiniteError
            if sum(len(part[0]) for part in done) >= SHARD:
                todo, done = self._store(todo, needed, done), []
            if budget:
                budget.check()
        if done:
            self._store(todo, needed, done)

    def _lacking(self, rows: pd.DataFrame, view: str) -> npt.NDArray[np.bool_]:
        known = self._view(view)
        return np.array([name not in known for name in _names(rows, view)], dtype=bool)

    def _store(self, todo: pd.DataFrame, views: Sequence[str], done: list[list[Features]]) -> pd.DataFrame:
        """Write finished pictures, one file a view, and return what is left to do."""
        count = sum(len(part[0]) for part in done)
        for index, view in enumerate(views):
            features = np.concatenate([part[index] for part in done])
            self._view(view).write(_names(todo[:count], view), features)
        return todo[count:]

    def _folder(self, view: str) -> Path:
        name = hashlib.sha256(f"{self.key}|{view}".encode()).hexdigest()[:32]
        return places.cache("features") / name

    def _view(self, view: str) -> Shards:
        if view not in self.views:
            self.views[view] = Shards(self._folder(view))
        return self.views[view]


def _names(rows: pd.DataFrame, view: str) -> list[str]:
    """What a picture's features are kept under: its content and, where the view draws, its seed."""
    if view != DRAWN and not draws(view):
        return [str(digest) for digest in rows["digest"]]
    keys = draw_keys(rows)
    return [f"{digest}-{view_seed(key):08x}" for digest, key in zip(rows["digest"], keys, strict=True)]
