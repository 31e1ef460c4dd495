"""The learning-rate range test (Smith 2017), by the numbers of fastai's `lr_find`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from humanmade import detectors
from humanmade.detectors import counterparts
from humanmade.detectors.base import PictureDetector
from humanmade.errors import UserError
from humanmade.files import whole_file
from humanmade.progress import progress
from humanmade.recipe import Recipe
from humanmade.schema import EnsembleRecipe, TrainedRecipe
from humanmade.training.budget import Budget
from humanmade.training.sweep import sweep

LOWEST, HIGHEST = 1e-7, 10.0
"""Between them the rate rises by the same factor each step."""
MEMORY = 0.98
"""Weight of the past in the smoothed loss."""
RUNAWAY = 4.0
"""Times the best smoothed loss at which the test ends."""
SEEN = 0.1
"""Share of its whole depth from which on a fall of the loss can be seen."""
FEWEST = 10
"""Losses below which nothing is suggested."""


@dataclass(frozen=True)
class RateTest:
    """Learning rates with the smoothed loss at each; the first steps and the runaway end are left out."""

    rates: list[float]
    losses: list[float]

    @property
    def suggestion(self) -> float:
        """The middle of the longest fall of the loss, a little to the right: fastai's `valley`."""
        start, end = _longest_fall(self.losses)
        # A head that starts at zero falls by nothing for decades: the fall begins where it can be seen.
        seen = self.losses[0] - SEEN * (self.losses[0] - self.losses[end])
        start = max(start, next((k for k in range(end) if self.losses[k] < seen), start))
        third = (end - start) / 3
        return self.rates[start + int(third) + int(third / 2)]


def check(recipe: Recipe) -> TrainedRecipe:
    """The recipe, if it trains a network.

    Raises:
        UserError: it does not.
    """
    if isinstance(recipe, TrainedRecipe):
        return recipe
    members = recipe.members.items() if isinstance(recipe, EnsembleRecipe) else ()
    trained = [name for name, member in members if isinstance(member, TrainedRecipe)]
    advice = f"its member {' or '.join(trained)} does" if trained else "those with detector network or vae do"
    raise UserError(f"lr: recipe '{recipe.name}' trains no network, so it has no learning rate; {advice}")


def run(recipe: TrainedRecipe, table: pd.DataFrame, steps: int) -> RateTest:
    """Train on the labelled rows while the rate rises, until the loss runs away; nothing is kept.

    Args:
        table: with `digest`.
        steps: from `LOWEST` to `HIGHEST`.

    Raises:
        UserError: there are no labelled rows, weights are nowhere, or the loss ran away at once.
    """
    rows = table[table["split"].isin(["train", "extra"])]
    if rows.empty:
        raise UserError("lr: the data has no labelled train rows; give other --data")
    detector = detectors.create(recipe)
    assert isinstance(detector, PictureDetector)
    trainer = detector.trainer(counterparts.extend(rows, recipe.counterparts, Budget()), recipe.seeds[0])
    assert trainer, "a trained recipe has one"
    rates = np.geomspace(LOWEST, HIGHEST, steps).tolist()
    losses: list[float] = []
    mean = 0.0
    for loss in progress(sweep(trainer, rates), "learning rates", "steps", steps):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        losses.append(mean / (1 - MEMORY ** (len(losses) + 1)))
        if not math.isfinite(loss) or losses[-1] > RUNAWAY * min(losses):
            break
    kept = slice(steps // 10, len(losses) - 5)
    found = RateTest(rates[kept], losses[kept])
    if len(found.losses) < FEWEST:
        raise UserError(f"lr: the loss ran away after {len(losses)} of {steps} steps; give more --steps")
    return found


def draw(path: Path, found: RateTest, recipe: TrainedRecipe) -> None:
    """Write the loss over the rate as PNG, with the suggestion and the recipe's own rate."""
    with whole_file(path) as scratch, style.context("default"):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axis = figure.subplots()
        axis.semilogx(found.rates, found.losses)
        axis.axvline(found.suggestion, color="C2", label=f"suggested {found.suggestion:.1e}")
        axis.axvline(recipe.lr, color="C7", linestyle=":", label=f"the recipe's {recipe.lr:.1e}")
        axis.set(title=recipe.name, xlabel="learning rate", ylabel="loss, smoothed")
        axis.legend()
        figure.savefig(scratch, format="png", metadata={"Software": None})


def _longest_fall(losses: Sequence[float]) -> tuple[int, int]:
    """Where the longest decreasing subsequence begins, counted back from its end, and where it ends."""
    lengths = np.ones(len(losses), dtype=int)
    for k in range(1, len(losses)):
        above = lengths[:k][np.asarray(losses[:k]) > losses[k]]
        lengths[k] = 1 + (above.max() if len(above) else 0)
    end = int(lengths.argmax())
    return max(0, end - int(lengths[end])), end
