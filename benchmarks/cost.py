"""What recipes cost on Kaggle's two T4, computed: `python -m benchmarks.cost [RECIPE...]`.

Multiplications are counted on the meta device, what a processor core does with a picture is measured
here, and how fast a T4 is stays an assumption. Prints the table of docs/kaggle_cost.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import photographs
from benchmarks.compare import one_core
from humanmade import recipe as recipes
from humanmade.data.loader import TrainingDataset, ViewDataset
from humanmade.detectors.autoencoder import LatentAutoencoder
from humanmade.detectors.spectrum import statistics
from humanmade.detectors.weights import create_backbone
from humanmade.evaluation.grid import SAMPLE
from humanmade.images import views
from humanmade.images.augment import Augmentation
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.images.views import Frame
from humanmade.schema import (
    EnsembleRecipe,
    LinearHeadRecipe,
    NetworkRecipe,
    PictureRecipe,
    ProbeRecipe,
    Recipe,
    SpectrumRecipe,
)

TRAIN, TEST = 79_950, 5_540
PICTURE = (768, 576)
"""Width and height of a typical picture of the competition."""
CARDS, THREADS = 2, 4
PEAK = 65e12
"""Operations a second of a T4 in fp16, by its maker."""
DENSE, DEPTHWISE = 0.15, 0.03
"""Assumed shares of the peak: of dense layers, and of networks with depthwise convolutions."""
BACKWARD = 3
"""Forward passes that a training step costs."""
COUNT = 12
"""Pictures that a measurement reads."""
LIBRARIES, GROWTH = 3.0, 1.15
"""Gigabytes of a process without a head, judged, and how much a head grows it, as a share of its float32
matrix (`python -m benchmarks.heads`)."""


@dataclass
class Cost:
    """Seconds that the cards and the processor need, which work at the same time, stage by stage."""

    operations: float = 0.0
    cards: float = 0.0
    processor: float = 0.0
    total: float = 0.0

    def add(self, operations: float, share: float, processor: float) -> None:
        """A stage: operations in all, share of the peak, and seconds of one core."""
        cards, threads = operations / (PEAK * share * CARDS), processor / THREADS
        self.operations += operations
        self.cards += cards
        self.processor += threads
        self.total += max(cards, threads)


def cost(recipe: Recipe) -> Cost:
    """What `push train` of a recipe does on the whole competition, heads and canaries apart."""
    spent = Cost()
    members = recipe.members.values() if isinstance(recipe, EnsembleRecipe) else [recipe]
    for member in members:
        _add(spent, member)
    return spent


def _add(spent: Cost, recipe: Recipe) -> None:
    assert isinstance(recipe, PictureRecipe)
    folds, photos = recipe.folds, 0
    shown = views.expand(recipe.views)
    if recipe.counterparts.scales:
        # Each of two ranks makes those of its half of the rows, among which are all that a fold takes.
        photos = recipe.counterparts.photos * 2
        pixels = torch.empty(1, 3, *reversed(PICTURE), device="meta")
        spent.add(
            photos * _operations(_autoencoder(), pixels), DENSE, photos * _seconds(recipe, ("identity",))
        )
    operations, share = _forward(recipe)
    if isinstance(recipe, NetworkRecipe):
        # A fold trains on all pictures but its own; activations computed again are a pass more.
        drawn = (TRAIN * (folds - 1) + photos * folds) * recipe.epochs
        passes = drawn * (BACKWARD + recipe.grad_checkpointing)
        spent.add(passes * operations, share, drawn * _seconds_of_a_draw(recipe))
        looked = TRAIN + TEST * folds
        spent.add(looked * len(shown) * operations, share, looked * _seconds(recipe, shown))
    else:
        assert isinstance(recipe, LinearHeadRecipe)
        learned = tuple(recipe.histories)
        seen = TRAIN + photos
        spent.add(seen * len(learned) * operations, share, seen * _seconds(recipe, learned))
        spent.add(TEST * len(shown) * operations, share, TEST * _seconds(recipe, shown))
    grid = ("identity", *CORRUPTIONS)
    spent.add(SAMPLE * len(grid) * operations, share, SAMPLE * _seconds(recipe, grid))


def memory(recipe: Recipe) -> float:
    """Gigabytes of memory of a process, there being one a card: of an ensemble, of its largest member."""
    if isinstance(recipe, EnsembleRecipe):
        return max(map(memory, recipe.members.values()))
    if not isinstance(recipe, LinearHeadRecipe):
        return LIBRARIES
    made = recipe.counterparts.photos if recipe.counterparts.scales else 0
    rows = (TRAIN * (recipe.folds - 1) // recipe.folds + made) * len(views.expand(recipe.histories))
    return LIBRARIES + rows * _values(recipe) * 4 * GROWTH / 1e9


def _values(recipe: LinearHeadRecipe) -> int:
    """Features of one view."""
    if not isinstance(recipe, ProbeRecipe):
        return len(statistics(np.zeros((recipe.image_size, recipe.image_size, 3), np.uint8)))
    size = recipe.image_size
    with torch.device("meta"):
        network: Any = create_backbone(recipe.backbone, False, size, 0).eval()
        last, maps = network.forward_intermediates(
            torch.empty(1, 3, size, size), indices=recipe.layers or None
        )
        output = network.forward_head(last, pre_logits=True)
    pooled = 1 if recipe.pool == "mean" else 2
    return int(output.shape[1] + pooled * sum(depth.shape[1] for depth in maps))


def _forward(recipe: PictureRecipe) -> tuple[float, float]:
    """Operations of one view, and the share of the peak that they reach."""
    if isinstance(recipe, (NetworkRecipe, ProbeRecipe)):
        return _of_backbone(recipe.backbone, recipe.image_size)
    if not isinstance(recipe, SpectrumRecipe):
        raise SystemExit(f"{recipe.name}: what a {recipe.detector} costs is not known here")
    return 0.0, DENSE


@cache
def _of_backbone(name: str, size: int) -> tuple[float, float]:
    with torch.device("meta"):
        network = create_backbone(name, False, size, 1).eval()
        operations = _operations(network, torch.empty(1, 3, size, size))
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    depthwise = any(layer.groups == layer.in_channels > 1 for layer in convolutions)
    return operations, DEPTHWISE if depthwise else DENSE


@cache
def _autoencoder() -> nn.Module:
    with torch.device("meta"):
        return LatentAutoencoder().eval()


def _operations(network: nn.Module, pixels: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        network(pixels)
    return float(counter.get_total_flops())


def _seconds(recipe: PictureRecipe, shown: tuple[str, ...]) -> float:
    """Seconds of a core for all views of a picture."""
    transform = statistics if isinstance(recipe, SpectrumRecipe) else None
    return _read(
        lambda rows: ViewDataset(rows, shown, Frame(recipe.image_size, recipe.crop), transform),
        list(range(COUNT)),
    )


def _seconds_of_a_draw(recipe: NetworkRecipe) -> float:
    """Seconds of a core for one augmented draw, the mean over several of each picture."""
    augment = Augmentation(Frame(recipe.image_size, recipe.crop), recipe.augment)
    return _read(
        lambda rows: TrainingDataset(rows, augment, 0, False),
        [(epoch, row) for epoch in range(8) for row in range(COUNT)],
    )


def _read(make: Callable[[pd.DataFrame], Dataset[Any]], items: Sequence[Any]) -> float:
    with tempfile.TemporaryDirectory() as name, one_core():
        dataset = make(photographs.write(Path(name), *PICTURE, COUNT))
        _ = dataset[items[0]]
        # Processor time: that others use the machine too does not count.
        began = time.process_time()
        for item in items:
            _ = dataset[item]
        return (time.process_time() - began) / len(items)


def main() -> None:
    """Print a line a recipe: all that are cut for two cards, by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("recipe", nargs="*")
    print("| recipe | petaflop | minutes of the cards | of the processor | binds | hours | GB a process |")
    print("|---|---|---|---|---|---|---|")
    for name in parser.parse_args().recipe or _for_two_cards():
        recipe = recipes.load(name)
        spent, gigabytes = cost(recipe), memory(recipe)
        binds = "cards" if spent.cards > spent.processor else "decoding"
        minutes = f"{spent.cards / 60:.0f} | {spent.processor / 60:.0f}"
        print(
            f"| `{name}` | {spent.operations / 1e15:.1f} | {minutes} | {binds} | {spent.total / 3600:.1f}"
            f" | {gigabytes:.0f} |",
            flush=True,
        )


def _for_two_cards() -> list[str]:
    """Shipped recipes of as many folds as share two cards evenly, the demo's apart."""
    return [name for name in recipes.shipped() if name != "demo" and recipes.load(name).folds == 4]


if __name__ == "__main__":
    main()
