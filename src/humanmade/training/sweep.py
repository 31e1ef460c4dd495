"""Steps at given learning rates, for the learning-rate range test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import closing

from humanmade.data.loader import training_batches, worker_count
from humanmade.errors import UserError
from humanmade.training.loop import Trainer


def sweep(trainer: Trainer, rates: Sequence[float]) -> Iterator[float]:
    """Take one step at each learning rate, whatever the schedule says, and give its loss a picture.

    Raises:
        UserError: memory is too short for a step.
    """

    def set_rates(step: int) -> None:
        for group in trainer.optimiser.param_groups:
            group["lr"] = rates[step] * group.get("lr_scale", 1.0)

    trainer.set_rates, epochs = set_rates, -(-len(rates) // trainer.steps_per_epoch)
    draws, workers = trainer.draws(0, epochs), worker_count(trainer.recipe.workers)
    with closing(training_batches(trainer.dataset, draws, workers)) as batches:
        steps = itertools.chain.from_iterable(trainer.steps(epoch, batches) for epoch in range(epochs))
        for _ in itertools.islice(steps, len(rates)):
            loss, pictures = trainer.tally.tolist()
            trainer.tally.zero_()
            yield loss / pictures if pictures else math.nan
    if trainer.step < len(rates):  # steps end early where memory does
        size = trainer.recipe.batch_size
        raise UserError(f"lr: memory is too short for batches of {size}; lower batch_size or image_size")
