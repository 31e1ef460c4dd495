"""Curves for TensorBoard, written while a training runs, where the package tensorboard is installed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from humanmade.progress import warn_once

SECONDS = 5.0
"""Between two points of a curve inside an epoch; each waits for the GPU."""


class Curves:
    """An event file in a folder, one a start; nothing is written without a sound tensorboard.

    It holds times, so no two are equal, and nothing of the kit reads it. Not torch's SummaryWriter: that
    imports TensorFlow where it is installed, and writes from a thread, across which loaders would fork.
    """

    def __init__(self, folder: Path, step: int | None = None) -> None:
        """
        Args:
            step: that a training goes on from: what an earlier start wrote of later ones is void.
        """
        self._records: Any = None
        self._last = time.monotonic()
        if find_spec("tensorboard") is None:
            return
        try:
            self._open(folder)
        except Exception as error:  # of many kinds: other packages' protobuf is often not tensorboard's
            reason = (str(error).strip().splitlines() or [""])[0]
            warn_once(f"no curves for TensorBoard ({type(error).__name__}: {reason})")
        if step is not None:
            self._write(step=step + 1, session_log={"status": "START"})

    def _open(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._records = RecordWriter(path.open("wb", buffering=0))
        self._write(file_version="brain.Event:2")

    def within_epoch(self, step: int, tally: torch.Tensor, optimiser: torch.optim.Optimizer) -> None:
        """Add the rate, and the loss a picture since the epoch began, if it is time.

        Args:
            tally: sum of the losses and number of pictures, on the GPU.
        """
        if self._records and time.monotonic() - self._last >= SECONDS:
            loss, pictures = tally.tolist()
            self.after_epoch(step, {"lr": optimiser.param_groups[-1]["lr"], "loss": loss / max(pictures, 1)})

    def after_epoch(self, step: int, line: Mapping[str, float]) -> None:
        """Add what the log says of an epoch: of training, and of the held-out rows."""
        own = ("epoch", "lr", "loss")
        self.add(step, {f"{'train' if name in own else 'valid'}/{name}": line[name] for name in line})

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a point to each curve, by its name."""
        values = [{"tag": name, "simple_value": number} for name, number in numbers.items()]
        self._write(step=step, summary={"value": values})
        self._last = time.monotonic()

    def _write(self, **event: Any) -> None:
        # A disk that is full is told of by what must be written.
        with contextlib.suppress(OSError):
            if self._records:
                self._records.write(self._event(wall_time=time.time(), **event).SerializeToString())

    def close(self) -> None:
        """Close the file."""
        if self._records:
            self._records.close()
