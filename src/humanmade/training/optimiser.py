"""What a recipe says of steps: the optimiser, its learning rates, and the moving average of weights."""

from __future__ import annotations

import math

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3

from humanmade.errors import UserError, reason
from humanmade.schema import TrainedRecipe

MIN_LR_SHARE = 0.01
"""Learning rate at the start of the warm-up and at the end, as a share of the peak."""


def require_optimiser(recipe: TrainedRecipe, device: torch.device) -> None:
    """Refuse an optimiser that timm lacks, or that takes no plain step on this device.

    Raises:
        UserError: it is such a one.
    """
    layer = torch.nn.Linear(1, 1, device=device)
    try:
        optimiser = create_optimizer_v2(layer, opt=recipe.optimiser, lr=recipe.lr)
        layer(torch.ones(1, 1, device=device)).sum().backward()
        optimiser.step()
    except Exception as error:  # each optimiser refuses in its own way
        said = reason(error)
        raise UserError(
            f"recipe: optimiser '{recipe.optimiser}' cannot be used here ({said}); timm's adamw and sgd can"
        ) from None


def prepare(
    network: torch.nn.Module, recipe: TrainedRecipe, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, Scheduler, ModelEmaV3 | None]:
    """The optimiser, its schedule as a pure function of the step (timm's "epoch"), and the average."""
    optimiser = create_optimizer_v2(
        getattr(network, "backbone", network),  # timm's own knows which layer each weight belongs to
        opt=recipe.optimiser,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        layer_decay=recipe.layer_decay if recipe.layer_decay < 1 else None,
    )
    steps = recipe.epochs * steps_per_epoch
    schedule, _ = create_scheduler_v2(
        optimiser,
        sched=recipe.schedule,
        num_epochs=steps,
        decay_epochs=max(1, steps // 3),
        warmup_epochs=int(recipe.warmup * steps),
        warmup_lr=recipe.lr * MIN_LR_SHARE,
        min_lr=recipe.lr * MIN_LR_SHARE,
    )
    return optimiser, schedule, average(network, recipe.ema, steps) if recipe.ema else None


def average(network: torch.nn.Module, decay: float, steps: int) -> ModelEmaV3:
    """A moving average of weights whose decay rises to the recipe's by the middle of training.

    timm's decay at step s is 1 - s^-power. A power of 1 is the plain mean of all steps so far, the most
    that an average can remember; its default of 2/3 is at 0.9966 after 5,000 steps.
    """
    power = min(1.0, -math.log(1 - decay) / math.log(max(2.0, steps / 2)))
    return ModelEmaV3(network, decay, use_warmup=True, warmup_power=power)
