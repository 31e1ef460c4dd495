"""Batches of pictures: many views of each for inference, one augmented draw of each for training.

Batches hold 8-bit tensors; networks normalise on their own device.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from humanmade.errors import UserError
from humanmade.images.decode import BrokenPictureError, Picture, decode
from humanmade.images.views import Frame, look
from humanmade.seeding import stable_seed

Transform = Callable[[Picture], npt.NDArray[np.float32]]

Draw = tuple[int, int]
"""One showing of a training picture: in which epoch, and the number of its row."""

Plan = list[list[list[int]]]
"""An epoch: steps, of batches whose gradients are accumulated, of row numbers."""


ENDED = ("exited unexpectedly", "killed by signal", "No space left", "shared memory")
"""What is said of a process that was ended, or found no room for what it decoded."""


def read_picture(path: str) -> Picture:
    """Decode a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return decode(Path(path).read_bytes(), trusted=True)
    except (BrokenPictureError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path}: cannot be read any more ({reason}); repair or remove it, and give the command again"
        ) from None


class ViewDataset(Dataset[torch.Tensor]):
    """Pictures decoded once and shown as several views: (views, 3, size, size) uint8.

    With a `transform` each view is turned into a vector instead: (views, dimensions).
    """

    def __init__(
        self, rows: pd.DataFrame, views: Sequence[str], frame: Frame, transform: Transform | None = None
    ) -> None:
        self.paths = rows["path"].tolist()
        self.seeds = [view_seed(key) for key in draw_keys(rows)]
        self.views, self.frame, self.transform = tuple(views), frame, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = read_picture(self.paths[index])
        squares = [look(picture, view, self.frame, self.seeds[index]) for view in self.views]
        if self.transform:
            return torch.from_numpy(np.stack([self.transform(square) for square in squares]))
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


class TrainingDataset(Dataset[tuple[torch.Tensor, float]]):
    """Augmented pictures and labels; draws come from (seed, epoch, picture or pair)."""

    def __init__(
        self,
        rows: pd.DataFrame,
        augment: Callable[[Picture, int], Picture],
        seed: int,
        pair_sync: bool,
    ) -> None:
        self.paths, self.labels = rows["path"].tolist(), rows["label"].tolist()
        self.keys = pair_keys(rows) if pair_sync else rows["id"].tolist()
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, float]:
        epoch, row = draw
        picture = self.augment(
            read_picture(self.paths[row]),
            stable_seed("augment", self.seed, epoch, self.keys[row]),
        )
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        return pixels, float(self.labels[row])


def pair_keys(rows: pd.DataFrame) -> list[str]:
    """What names a row in training: its pair where it has one, so that both members share batch and draws."""
    return rows["pair"].mask(rows["pair"] == "", rows["id"]).tolist()


def draw_keys(rows: pd.DataFrame) -> list[str]:
    """What names a row's draws in views: its pair, else its content, whatever the picture is called."""
    return rows["pair"].mask(rows["pair"] == "", rows["digest"]).tolist()


def view_seed(key: str) -> int:
    """Seed of the draws that a view makes for a picture or pair."""
    return stable_seed("view", key)


def plan_epoch(units: Sequence[str], batch: int, accumulate: int, seed: int, epoch: int) -> Plan:
    """Shuffle rows, keeping those of one unit side by side, into batches of nearly equal size.

    Equal sizes leave no small last batch, and nothing is dropped. A pure function of its arguments.

    Args:
        units: one name a row; the rows of one unit (a pair) stay together.
    """
    rng = np.random.default_rng(stable_seed("order", seed, epoch))
    codes, names = pd.factorize(pd.Series(units))
    rank = rng.permutation(len(names))[codes]
    order = np.argsort(rank, kind="stable")
    count = max(1, -(-len(order) // batch))
    batches = [part.tolist() for part in np.array_split(order, count)]
    return [batches[i : i + accumulate] for i in range(0, len(batches), accumulate)]


def training_batches(
    dataset: TrainingDataset, batches: Iterable[list[Draw]], workers: int
) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
    """Batches in order: pixels (n, 3, size, size) uint8 and labels (n,); workers serve until the last."""
    yield from _batches(dataset, workers, batch_sampler=batches)


def view_batches(dataset: ViewDataset, batch: int, workers: int) -> Iterator[torch.Tensor]:
    """Batches (n, views, 3, size, size) in the order of the rows; the last may be smaller."""
    yield from _batches(dataset, workers, batch_size=batch)


class _InThreads(Dataset[Any]):
    """Batches read by threads, each with a copy of the data set, as augmentations have a state."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset, self.own = dataset, threading.local()
        self.threads = ThreadPoolExecutor(_share_of_cores())

    def __getitems__(self, keys: Sequence[Any]) -> list[Any]:
        return list(self.threads.map(self._item, keys))

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def _item(self, key: Any) -> Any:
        if not hasattr(self.own, "dataset"):
            self.own.dataset = copy.deepcopy(self.dataset)
        return self.own.dataset[key]

    def close(self) -> None:
        """Let the threads end."""
        self.threads.shutdown(cancel_futures=True)


def _batches(dataset: Dataset[Any], workers: int, **how: Any) -> Iterator[Any]:
    if workers:
        yield from _load(dataset, workers, **how)
        return
    with closing(_InThreads(dataset)) as threaded:
        yield from _load(threaded, 0, **how)


def _load(dataset: Dataset[Any], workers: int, **how: Any) -> Iterator[Any]:
    # From pinned memory a GPU copies while it computes.
    pinned = torch.cuda.is_available()
    loader = DataLoader(dataset, num_workers=workers, pin_memory=pinned, worker_init_fn=_quiet_worker, **how)
    batches = iter(loader)
    while True:
        # Only what the loader itself raises: what a batch is used for raises outside of it.
        try:
            batch = next(batches)
        except StopIteration:
            return
        except UserError as error:  # of a worker, below its traceback
            raise UserError(str(error).strip().splitlines()[-1].rpartition("UserError: ")[2]) from None
        except (RuntimeError, OSError) as error:
            if not any(word in str(error) for word in ENDED):
                raise
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"a process that decodes pictures ended ({reason}); set workers = 0 (--set workers=0), or "
                "make room in memory and in /dev/shm"
            ) from None
        yield batch


def fixed_size(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Pad a batch with zeros to `size`: kernels chosen by shape then treat every picture alike."""
    missing = size - len(pixels)
    return pixels if not missing else torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])])


def worker_count(workers: int, feeding_network: bool = True) -> int:
    """Processes that decode: as asked, or one a core, at most four, shared among torchrun's ranks.

    None where a network is fed that computes on these very cores: its threads wait for each other at every
    layer, and a process beside them costs them half their speed. Threads decode between its batches then.
    """
    if workers >= 0:
        return workers
    return 0 if feeding_network and not torch.cuda.is_available() else _share_of_cores()


def _share_of_cores() -> int:
    return max(1, min(4, os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _quiet_worker(_: int) -> None:
    import cv2

    # Ctrl-C reaches the whole process group; the main process decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
