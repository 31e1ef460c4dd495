"""Works of networks: an epoch, features, counterparts, folds of a probe, views."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import torch
import torch.nn.functional as F
from timm.optim import create_optimizer_v2

from benchmarks import notebook, photographs
from benchmarks.compare import Rival, Row, compare, empty_cache, timed
from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.data.loader import ViewDataset
from humanmade.detectors import counterparts
from humanmade.detectors.autoencoder import load_autoencoder
from humanmade.detectors.network import Network
from humanmade.detectors.probe import Probe
from humanmade.detectors.weights import create_backbone
from humanmade.images.views import Frame
from humanmade.training.budget import Budget
from humanmade.training.device import Machine

LITE0 = "tf_efficientnet_lite0"
SIZE, BATCH = 224, 32
TRAINED = 512
"""Pictures of an epoch; what the notebook takes a picture is measured on a quarter of them."""
SIX = ["identity", "hflip", "vflip", "rot180", "crop_tl", "crop_br"]


def fine_tuning(data: Path, rounds: int) -> list[Row]:
    """An epoch of a network, input included."""
    rows = table(data, TRAINED)
    settings = (f"image_size={SIZE}", f"batch_size={BATCH}", "epochs=1", "ema=0.0")
    detector = cast(Network, detectors.create(recipes.load("efficientnet_lite0", settings)))
    detector.prepare(rows, rows, ["identity"], Budget())
    pixels = memory(rows, SIZE)

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return timed(lambda: detector.fit(rows, rows[:0], 0, Path(folder), Budget()), len(rows))

    quarter = list(zip(rows["path"], rows["label"].tolist(), strict=True))[: TRAINED // 4]
    rivals = [
        Rival("public notebook", lambda: notebook.epoch(quarter, LITE0, SIZE, BATCH), ">= 2"),
        Rival("steps on tensors in memory", lambda: steps(detector, pixels), ">= 0.9"),
    ]
    return compare(f"fine-tuning epoch, Lite0 {SIZE}", ours, rivals, rounds)


def steps(detector: Network, pixels: torch.Tensor) -> float:
    """Forward, backward and step on tensors in memory; seconds a picture."""
    machine, recipe = detector.machine, detector.recipe
    network = machine.place(detector.build(pretrained=True)).train()
    optimiser = create_optimizer_v2(network, opt=recipe.optimiser, lr=recipe.lr)
    batches = pixels.split(BATCH)

    def train() -> None:
        for batch in batches:
            with machine.autocast():
                logits = network(machine.pixels(batch)).float().flatten()
            F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_grad)
            optimiser.step()
            optimiser.zero_grad()

    return timed(train, len(pixels))


def frozen_features(data: Path, rounds: int) -> list[Row]:
    """Features of two backbones."""
    counts = {"probe_lite0": 320, "probe_dinov2_s": 96}
    return [line for name, count in counts.items() for line in _features(name, table(data, count), rounds)]


def _features(name: str, rows: pd.DataFrame, rounds: int) -> list[Row]:
    shared = probe(name)
    pixels = memory(rows, SIZE).split(shared.recipe.inference_batch)
    # As timm makes it, batch norms and all.
    network = shared.machine.place(create_backbone(shared.recipe.backbone, True, SIZE, 0).eval())

    @torch.inference_mode()
    def forward() -> None:
        for batch in pixels:
            with shared.machine.autocast():
                network(shared.machine.pixels(batch))

    rival = Rival("bare forward in memory", lambda: timed(forward, len(rows)), ">= 0.9")
    return compare(f"frozen features, {name}", lambda: extraction(name, rows, SIX[:1]), [rival], rounds)


def folds_of_a_probe(data: Path, rounds: int) -> list[Row]:
    """Five folds of a probe, a shrinkage chosen for each, and held-out logits: no test set, no forecast.

    However few pictures there are, a head takes some tenths of a second: of few the ratio is large.
    """
    rows = table(data, 1_300)
    made = folds.make(rows, 5, 0, "pairs")

    def ours() -> float:
        fresh = probe("probe_lite0")
        with empty_cache(), tempfile.TemporaryDirectory() as folder:
            return timed(lambda: _all_folds(fresh, made, Path(folder)))

    rival = Rival("one extraction", lambda: extraction("probe_lite0", rows, SIX[:1]) * len(rows), "<= 1.15")
    return compare(f"five folds of a probe, {len(rows)} pictures", ours, [rival], rounds)


def _all_folds(fresh: Probe, made: folds.Folds, folder: Path) -> None:
    fresh.prepare(made.rows, made.rows, ["identity"], Budget())
    for fold in range(len(made)):
        place = folder / str(fold)
        fresh.fit(made.training(fold), made.validation(fold), 0, place, Budget())
        fresh.logits(place, made.validation(fold), ["identity"])


def six_views(data: Path, rounds: int) -> list[Row]:
    """A network's prediction under six views."""
    rows = table(data, 128)
    settings = (f"image_size={SIZE}", "epochs=1", "augment.chain=0", "ema=0.0")
    detector = detectors.create(recipes.load("efficientnet_lite0", settings))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector.fit(rows[:16], rows[:0], 0, folder, Budget())

        def predict(*views: Sequence[str]) -> float:
            return timed(lambda: [detector.logits(folder, rows, chosen) for chosen in views])

        rival = Rival("six predictions", lambda: predict(*([view] for view in SIX)), "<= 0.9")
        return compare("six views of a network", lambda: predict(SIX), [rival], rounds)


def reconstructions(_: Path, rounds: int) -> list[Row]:
    """Counterparts of photos of 384 px, read from JPEGs and written as PNGs."""
    with tempfile.TemporaryDirectory() as folder:
        photos = photographs.write(Path(folder), 384, 384, 16)
        machine = Machine.pick()
        network = machine.place(load_autoencoder("taef2"))
        pixels = memory(photos, 384).split(8)

        @torch.inference_mode()
        def forward() -> None:
            for batch in pixels:
                with machine.autocast():
                    network(machine.pixels(batch))

        def ours() -> float:
            with empty_cache():
                make = counterparts.make_pairs
                return timed(lambda: make(photos, [1.0], "taef2", Budget()), len(photos))

        rival = Rival("bare bf16 forward in memory", lambda: timed(forward, len(photos)), ">= 0.85")
        return compare("counterparts at 384 px", ours, [rival], rounds)


def table(data: Path, count: int) -> pd.DataFrame:
    """About `count` train rows of a data folder, their pictures looked at."""
    rows = inventory.attach(manifest.load([data], limit=count))
    return rows[rows["split"] == "train"].reset_index(drop=True)


def probe(name: str) -> Probe:
    """A probe whose backbone is loaded and whose store is empty."""
    fresh = cast(Probe, detectors.create(recipes.load(name, [f"image_size={SIZE}", "crop=native"])))
    _ = fresh.store
    return fresh


def extraction(name: str, rows: pd.DataFrame, views: Sequence[str]) -> float:
    """Seconds a picture of computing features that are not there yet."""
    fresh = probe(name)
    with empty_cache():
        return timed(lambda: fresh.store.compute(rows, views), len(rows))


def memory(rows: pd.DataFrame, size: int) -> torch.Tensor:
    """Pictures (n, 3, size, size) uint8."""
    dataset = ViewDataset(rows, ["identity"], Frame(size))
    return torch.stack([dataset[index][0] for index in range(len(dataset))])
