"""The training loop: from a network and rows to trained weights, resumable at any step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from humanmade.data.loader import Draw, Plan, TrainingDataset, plan_epoch, training_batches, worker_count
from humanmade.errors import UserError, out_of_memory
from humanmade.files import write_text
from humanmade.progress import progress, warn
from humanmade.recipe import require
from humanmade.schema import TrainedRecipe
from humanmade.seeding import stable_seed
from humanmade.training.budget import Budget, Pace
from humanmade.training.checkpoint import load_state, save_state
from humanmade.training.curves import Curves
from humanmade.training.device import Machine, choose_kernels
from humanmade.training.distributed import sharing
from humanmade.training.optimiser import prepare

Loss = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a network, pictures (n, 3, height, width) of 0 to 1 and labels (n,)."""

Evaluate = Callable[[torch.nn.Module], dict[str, float]]
"""Scores of the held-out rows; `selection` decides early stopping. Empty where nothing is held out:
then all epochs are trained and the last is kept."""

LOOK = 50
"""Steps between two looks at the loss; each waits for the GPU."""
MOST_SKIPPED = 50
"""Steps in a row that fp16 may overflow in; the loss's scale, halved each time, has none to blame then."""
STATE = "last.pt"
"""In the folder of a training that is not finished."""

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Trainer:
    """One training, from its first step or from where it was stopped.

    Where ranks share a fold's data, each takes its part of every batch and gradients are averaged, so
    a step is what one process would do but for batch norm, whose statistics are of a rank's own part.
    Rank 0 watches the held-out rows and tells the others.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        dataset: TrainingDataset,
        recipe: TrainedRecipe,
        machine: Machine,
        seed: int,
        loss: Loss,
    ) -> None:
        """
        Args:
            seed: of the order of pictures and of everything the network draws.
            loss: summed over a batch, so that batches of any size weigh by their pictures.
        """
        self.network, self.dataset, self.recipe = network, dataset, recipe
        self.machine, self.seed, self.loss = machine, seed, loss
        self.steps_per_epoch = len(self.plan(0))
        self.rank, self.ranks = 0, 1
        self.parallel: DistributedDataParallel | None = None
        if sharing():
            self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
            fewest = min(len(batch) for step in self.plan(0) for batch in step)
            require(fewest >= self.ranks, "batch_size", recipe.batch_size, f"{self.ranks} pictures a batch")
            self.parallel = DistributedDataParallel(network)
        self.optimiser, self.schedule, self.average = prepare(network, recipe, self.steps_per_epoch)
        self.set_rates: Callable[[int], object] = self.schedule.step
        """Sets the learning rates of a step."""
        self.scaler = machine.scaler()
        self.step = 0
        self.pieces = 1
        """Parts that every batch is cut into, because memory is too short for the whole."""
        self.skipped = 0
        """Steps in a row, to the last, that fp16 overflowed in."""
        self.tally = torch.zeros(2, dtype=torch.float64, device=machine.device)
        """Sum of the losses and number of pictures since the epoch began."""
        self.log: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"selection": float("-inf"), "epoch": -1, "weights": None}

    @property
    def result(self) -> torch.nn.Module:
        """The network that predicts: the moving average where there is one."""
        return self.average.module if self.average else self.network

    def plan(self, epoch: int) -> Plan:
        """The batches of an epoch, whole pairs in one batch where the recipe keeps them together."""
        recipe = self.recipe
        return plan_epoch(self.dataset.keys, recipe.batch_size, recipe.accumulate, self.seed, epoch)

    def _parts(self, batch: Sequence[int]) -> list[list[int]]:
        """This rank's rows of a batch, in as many parts as memory asks for."""
        own = np.array_split(batch, self.ranks)[self.rank]
        return [part.tolist() for part in np.array_split(own, self.pieces) if len(part)]

    def draws(self, start: int, epochs: int) -> Iterator[list[Draw]]:
        """This rank's part of every batch from step `start` to the end of `epochs`."""
        for epoch in range(len(self.log), epochs):
            for step in self.plan(epoch)[max(0, start - epoch * self.steps_per_epoch) :]:
                for part in (part for batch in step for part in self._parts(batch)):
                    yield [(epoch, row) for row in part]

    def run(self, folder: Path, budget: Budget, evaluate: Evaluate, what: str, watched: int = 0) -> None:
        """Train to the end, continuing from `folder`'s state where there is one.

        Args:
            watched: pictures that `evaluate` predicts, views counted.

        Raises:
            Interrupted, OutOfTimeError: the state is saved in `folder`; call again to go on.
            UserError: the first steps show that the budget does not hold this training.
        """
        if state := load_state(folder / STATE):
            self._restore(state)
        choose_kernels(self.recipe.deterministic)
        pace = Pace(budget, len(self.dataset) / self.steps_per_epoch, new=self.step == 0)
        with budget.graceful(), closing(Curves(folder, self.step)) as self.curves:
            while not self._train(folder, pace, evaluate, what, watched):
                self._halve()
        if self.best["weights"] is not None:
            self.result.load_state_dict(self.best["weights"])

    def _train(self, folder: Path, pace: Pace, evaluate: Evaluate, what: str, watched: int) -> bool:
        """Take the steps that are left; False where memory is too short for the next one."""
        recipe, budget = self.recipe, pace.budget
        draws, workers = self.draws(self.step, recipe.epochs), worker_count(recipe.workers)
        with closing(training_batches(self.dataset, draws, workers)) as batches:
            while len(self.log) < recipe.epochs and not self._stale():
                epoch, all_steps = len(self.log), recipe.epochs * self.steps_per_epoch
                steps = progress(
                    self.steps(epoch, batches),
                    f"{what} epoch {epoch + 1}/{recipe.epochs}{pace.left(all_steps - self.step, all_steps)}",
                    "steps",
                    (epoch + 1) * self.steps_per_epoch - self.step,
                )
                for _ in steps:
                    pace.step(all_steps - self.step)
                    if self.skipped == MOST_SKIPPED or self.step % LOOK == 0:
                        self._check()
                    self.curves.within_epoch(self.step, self.tally, self.optimiser)
                    if self._sum(float(budget.over)):
                        save_state(folder / STATE, self._state())
                        budget.stop()
                if self.step < (epoch + 1) * self.steps_per_epoch:
                    return False
                began = time.monotonic()
                self._close_epoch(epoch, evaluate, folder)
                pace.watched(all_steps - self.step, time.monotonic() - began, watched)
                save_state(folder / STATE, self._state())
        return True

    def _halve(self) -> None:
        """Go on in batches of half the size, twice as many a step, which leaves the gradients as they are."""
        size = self.recipe.batch_size // self.pieces
        if self.ranks > 1 or size < 2:
            raise UserError(
                f"training: memory is too short for batches of {size}; lower batch_size or image_size"
            )
        self.pieces *= 2
        self.optimiser.zero_grad()
        torch.cuda.empty_cache()  # nothing where there is none
        warn(
            f"memory is too short for batches of {size}; going on with {-(-size // 2)} "
            "and as many more a step, so that each step learns from the same pictures"
        )

    def steps(self, epoch: int, batches: Batches) -> Iterator[None]:
        """Take the epoch's remaining steps one by one, as long as there is memory for them."""
        for step in self.plan(epoch)[self.step - epoch * self.steps_per_epoch :]:
            self.network.train()
            pictures = sum(map(len, step))
            count = sum(len(self._parts(batch)) for batch in step)
            counted = torch.zeros_like(self.tally)
            try:
                for part in range(count):
                    pixels, labels = next(batches)
                    # Dropout and stochastic depth draw from the step's own seed, so resuming repeats
                    # them; seeded after the loader, whose start draws from the same generator.
                    torch.manual_seed(stable_seed("step", self.seed, self.step, part) + self.rank)
                    counted += self._accumulate(pixels, labels, pictures, last=part == count - 1)
            except RuntimeError as error:
                if out_of_memory(error):
                    return
                raise
            self.tally += counted
            self._update()
            yield

    def _accumulate(
        self, pixels: torch.Tensor, labels: torch.Tensor, pictures: int, last: bool
    ) -> torch.Tensor:
        """Add a batch's gradient, weighed by its share of the step's pictures; its loss and their number."""
        labels = labels.to(self.machine.device, non_blocking=True).float()
        network = self.network if self.parallel is None else self.parallel
        # Ranks average their gradients once a step, after its last batch.
        with self.parallel.no_sync() if self.parallel and not last else nullcontext():
            loss = self.loss(network, self.machine.pixels(pixels), labels)
            # Averaging over ranks divides by their number, though each has a part of the pictures only.
            self.scaler.scale(loss / pictures * self.ranks).backward()
        loss = loss.detach().double()
        counted = torch.stack([loss, torch.full_like(loss, len(labels))])
        if self.scaler.is_enabled():  # the step is skipped where the loss itself overflows
            counted = counted.masked_fill(~loss.isfinite(), 0)
        return counted

    def _update(self) -> None:
        self.set_rates(self.step)
        self.scaler.unscale_(self.optimiser)
        if self.recipe.clip_grad:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_grad)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        self.step += 1
        self.skipped = self.skipped + 1 if self.scaler.get_scale() < scale else 0
        if self.average:
            self.average.update(self.network, step=self.step)

    def _check(self) -> None:
        """Give up a training that has come to nothing."""
        if self.skipped == MOST_SKIPPED:
            raise UserError(
                f"training: fp16 overflowed in {self.skipped} steps in a row, to step {self.step}; "
                'set precision = "fp32", or lower lr'
            )
        loss = float(self.tally[0])
        if not math.isfinite(loss):
            raise UserError(f"training diverged by step {self.step} (loss {loss}); lower lr")

    def _close_epoch(self, epoch: int, evaluate: Evaluate, folder: Path) -> None:
        self._check()
        loss_sum, pictures = map(self._sum, self.tally.tolist())
        loss = loss_sum / pictures if pictures else math.nan
        self.tally.zero_()
        scores = self._scores(evaluate)
        self.log.append({"epoch": epoch, "lr": self.optimiser.param_groups[-1]["lr"], "loss": loss} | scores)
        self.curves.after_epoch(self.step, self.log[-1])
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in self.log))
        if self.recipe.patience and scores.get("selection", float("-inf")) > self.best["selection"]:
            weights = {k: v.detach().cpu().clone() for k, v in self.result.state_dict().items()}
            self.best = {"selection": scores["selection"], "epoch": epoch, "weights": weights}

    def _sum(self, value: float) -> float:
        """The sum over ranks."""
        if self.ranks == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.machine.device)
        distributed.all_reduce(total)
        return float(total)

    def _scores(self, evaluate: Evaluate) -> dict[str, float]:
        """Scores of the held-out rows, the same on all ranks."""
        scores = [evaluate(self.result) if self.rank == 0 else {}]
        if self.ranks > 1:
            distributed.broadcast_object_list(scores)
        return scores[0]

    def _stale(self) -> bool:
        """Whether `patience` epochs have passed without a better one."""
        waited = len(self.log) - 1 - self.best["epoch"]
        return self.best["epoch"] >= 0 and waited >= self.recipe.patience

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "counts": (self.step, *map(self._sum, self.tally.tolist())),
            "log": self.log,
            "best": self.best,
            "pieces": self.pieces,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # none where the training began in another precision
            self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        self.step, *tally = state["counts"]
        # Of all ranks together; the first goes on counting.
        self.tally.copy_(torch.tensor(tally, dtype=torch.float64) * (self.rank == 0))
        self.log, self.best, self.pieces = state["log"], state["best"], state["pieces"]
