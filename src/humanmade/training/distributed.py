"""The processes that torchrun started together, and how they wait for one another.

They meet at torchrun's own store, which outlives every rank: no process group is needed as long as
each rank trains folds of its own. A process group exists exactly while ranks share one fold's data,
and `humanmade.training.loop` looks for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import pandas as pd
import torch
from torch import distributed

from humanmade.errors import Interrupted, UserError
from humanmade.seeding import stable_seed
from humanmade.training.budget import OutOfTimeError

PATIENCE = timedelta(days=2)
"""How long ranks wait for one another: a fold may take many hours. torchrun ends them if one fails."""

GONE = "another process of this run ended; the same command goes on from what is saved"

FAILED = "failed"
"""Counts in the store the ranks that failed."""


@dataclass
class ProcessGroup:
    """This process among those that torchrun started; alone, it is rank 0 of 1."""

    rank: int = 0
    count: int = 1
    store: distributed.Store | None = field(default=None, repr=False)
    meetings: int = 0
    failed_first: bool | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes what belongs to the whole run."""
        return self.rank == 0

    def meet(self, word: str = "") -> list[str]:
        """Wait for all ranks; what each of them said, by rank."""
        if self.store is None:
            return [word]
        self.meetings += 1
        self.store.set(f"{self.meetings}/{self.rank}", word)
        keys = [f"{self.meetings}/{rank}" for rank in range(self.count)]
        # Not the store's own waiting, in which a signal is not heard.
        while not self.store.check(keys):
            if self.store.check([FAILED]):
                raise UserError(GONE)
            time.sleep(0.05)
        return [self.store.get(key).decode() for key in keys]

    def any(self, flag: bool) -> bool:
        """Wait for all ranks; whether any of them says yes."""
        return "yes" in self.meet("yes" if flag else "no")

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Let rank 0 go through a block before the others, which then find its files and say nothing."""
        if self.leads:
            yield
            self.meet()
            return
        self.meet()
        with quiet():
            yield

    def share(self, rows: pd.DataFrame) -> pd.DataFrame:
        """This rank's part of rows, by their `id`: the same pictures of every table."""
        if self.count == 1:
            return rows
        return rows[[stable_seed("share", name) % self.count == self.rank for name in rows["id"]]]

    def gather(self, numbers: dict[str, float]) -> dict[str, float]:
        """Numbers by id that each rank has of its share, on every rank."""
        return {
            name: number
            for word in self.meet(json.dumps(numbers))
            for name, number in json.loads(word).items()
        }

    def fail(self) -> bool:
        """Report that this rank fails; whether it is the first to, so that one line is said for all."""
        if self.failed_first is None:
            self.failed_first = self.store is None or self.store.add(FAILED, 1) == 1
        return self.failed_first

    @contextlib.contextmanager
    def sharing(self) -> Iterator[None]:
        """Let ranks share the data of what is trained inside (DistributedDataParallel)."""
        if self.store is None:
            yield
            return
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        store = distributed.PrefixStore("group", self.store)
        distributed.init_process_group(
            backend, store=store, rank=self.rank, world_size=self.count, timeout=PATIENCE
        )
        # The group is taken down only where all ranks leave together: NCCL waits for the others in that, for
        # ever where one has failed and another is in a collective. Otherwise it ends with the process.
        try:
            yield
        except OutOfTimeError:
            distributed.destroy_process_group()
            raise
        except (UserError, Interrupted):
            self.fail()  # before the others find this rank gone
            raise
        except RuntimeError as error:
            lost = isinstance(error, distributed.DistError) or "gloo/transport" in str(error)
            if not lost and not self.store.check([FAILED]):
                raise
            raise UserError(GONE) from None
        else:
            distributed.destroy_process_group()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print nothing: another rank says the same."""
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@cache
def process_group() -> ProcessGroup:
    """The group of this process, by torchrun's environment, else one of its own."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        return ProcessGroup()
    store, rank, count = next(iter(distributed.rendezvous("env://")))
    return ProcessGroup(rank, count, store)


def sharing() -> bool:
    """Whether ranks share the data of what is trained now."""
    return distributed.is_available() and distributed.is_initialized()
