"""The training loop: from a network and rows to trained weights, resumable at any step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from humanmade.data.loader import Plan, TrainingDataset, plan_epoch, training_batches, worker_count
from humanmade.errors import UserError
from humanmade.files import write_text
from humanmade.progress import progress
from humanmade.recipe import require
from humanmade.schema import TrainedRecipe
from humanmade.seeding import stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import load_state, save_state
from humanmade.training.device import Machine
from humanmade.training.team import sharing

Loss = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a network, pictures (n, 3, height, width) of 0 to 1 and labels (n,)."""

Evaluate = Callable[[torch.nn.Module], dict[str, float]]
"""Scores of the held-out rows; `selection` decides early stopping. Empty where nothing is held out:
then all epochs are trained and the last is kept."""

MIN_LR_SHARE = 0.01
"""Learning rate at the start of the warm-up and at the end, as a share of the peak."""


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
        self.parallel: torch.nn.Module | None = None
        if sharing():
            self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
            fewest = min(len(batch) for step in self.plan(0) for batch in step)
            require(fewest >= self.ranks, "batch_size", recipe.batch_size, f"{self.ranks} pictures a batch")
            self.parallel = DistributedDataParallel(network)
        self.optimiser = create_optimizer_v2(
            network,
            opt=recipe.optimiser,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            layer_decay=recipe.layer_decay if recipe.layer_decay < 1 else None,
        )
        self.schedule = _schedule(self.optimiser, recipe, recipe.epochs * self.steps_per_epoch)
        self.scaler = machine.scaler()
        self.average = ModelEmaV3(network, recipe.ema, use_warmup=True) if recipe.ema else None
        self.step = 0
        self.loss_sum, self.pictures = 0.0, 0
        """Since the epoch began."""
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

    def _share(self, plan: Plan) -> Plan:
        """This rank's part of each batch."""
        return [[np.array_split(batch, self.ranks)[self.rank].tolist() for batch in step] for step in plan]

    def run(self, folder: Path, budget: Budget, evaluate: Evaluate, what: str) -> None:
        """Train to the end, continuing from `folder`'s state where there is one.

        Raises:
            Interrupted, OutOfTimeError: the state is saved in `folder`; call again to go on.
        """
        state_file = folder / "last.pt"
        self._restore(load_state(state_file))
        with budget.graceful():
            while len(self.log) < self.recipe.epochs and not self._stale():
                epoch = len(self.log)
                for _ in progress(
                    self._epoch(epoch),
                    f"{what} epoch {epoch + 1}/{self.recipe.epochs}",
                    "steps",
                    (epoch + 1) * self.steps_per_epoch - self.step,
                ):
                    if self._sum(float(budget.over)):
                        save_state(state_file, self._state())
                        budget.stop()
                self._close_epoch(epoch, evaluate, folder)
                save_state(state_file, self._state())
        if self.best["weights"] is not None:
            self.result.load_state_dict(self.best["weights"])

    def _epoch(self, epoch: int) -> Any:
        """Take the epoch's remaining steps one by one."""
        plan = self.plan(epoch)[self.step - epoch * self.steps_per_epoch :]
        self.dataset.epoch = epoch
        batches = training_batches(self.dataset, self._share(plan), worker_count(self.recipe.workers))
        for step in plan:
            self.network.train()
            pictures = sum(map(len, step))
            for part in range(len(step)):
                pixels, labels = next(batches)
                # Dropout and stochastic depth draw from the step's own seed, so resuming repeats
                # them; seeded after the loader, whose start draws from the same generator.
                torch.manual_seed(stable_seed("step", self.seed, self.step, part) + self.rank)
                self._accumulate(pixels, labels, pictures)
            self._update()
            yield

    def _accumulate(self, pixels: torch.Tensor, labels: torch.Tensor, pictures: int) -> None:
        """Add one batch's gradient, weighed by its share of the step's pictures."""
        labels = labels.to(self.machine.device).float()
        network = self.network if self.parallel is None else self.parallel
        loss = self.loss(network, self.machine.pixels(pixels), labels)
        # Averaging over ranks divides by their number, though each has a part of the pictures only.
        self.scaler.scale(loss / pictures * self.ranks).backward()
        self.loss_sum += float(loss.detach())
        if not math.isfinite(self.loss_sum):
            raise UserError(f"training diverged at step {self.step} (loss {self.loss_sum}); lower lr")
        self.pictures += len(labels)

    def _update(self) -> None:
        self.schedule.step(self.step)
        self.scaler.unscale_(self.optimiser)
        if self.recipe.clip_grad:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        self.step += 1
        if self.average:
            self.average.update(self.network, step=self.step)

    def _close_epoch(self, epoch: int, evaluate: Evaluate, folder: Path) -> None:
        loss = self._sum(self.loss_sum) / max(1, self._sum(self.pictures))
        self.loss_sum, self.pictures = 0.0, 0
        scores = self._scores(evaluate)
        self.log.append({"epoch": epoch, "lr": self.optimiser.param_groups[-1]["lr"], "loss": loss} | scores)
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
            "counts": (self.step, self.loss_sum, self.pictures),
            "log": self.log,
            "best": self.best,
        }

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        self.step, self.loss_sum, self.pictures = state["counts"]
        self.log, self.best = state["log"], state["best"]


def _schedule(optimiser: torch.optim.Optimizer, recipe: TrainedRecipe, steps: int) -> Scheduler:
    """timm's schedule as a pure function of the step (its "epoch" is our step)."""
    schedule, _ = create_scheduler_v2(
        optimiser,
        sched=recipe.schedule,
        num_epochs=steps,
        decay_epochs=max(1, steps // 3),
        warmup_epochs=int(recipe.warmup * steps),
        warmup_lr=recipe.lr * MIN_LR_SHARE,
        min_lr=recipe.lr * MIN_LR_SHARE,
    )
    return schedule
