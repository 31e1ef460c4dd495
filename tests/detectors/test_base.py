"""The registry, and where counterparts join the rows that are learned from."""

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from humanmade import detectors
from humanmade import recipe as recipes
from humanmade.data import folds, inventory, manifest
from humanmade.detectors.base import Detector, PictureDetector, watched
from humanmade.schema import KINDS
from humanmade.training.budget import Budget
from tests.conftest import MakeFolder


def test_every_recipe_has_its_detector_and_every_detector_its_recipe():
    assert list(detectors.REGISTRY) == list(KINDS)
    for place in detectors.REGISTRY.values():
        module, name = place.split(":")
        assert issubclass(getattr(import_module(module), name), Detector)


def test_counterparts_join_what_is_learned_from_and_nothing_else(
    manifest_folder: MakeFolder, tiny_probe: Path, autoencoder_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    table = inventory.attach(manifest.load([manifest_folder(pairs=4)]))
    rows = folds.make(table, 2, 0, "pairs").rows
    made = detectors.create(recipes.load(str(tiny_probe), ["counterparts.scales=1.0"]))
    assert isinstance(made, PictureDetector)
    calls: list[pd.DataFrame] = []
    monkeypatch.setattr(made, "_prepare", lambda training, predicted, *_: calls.extend([training, predicted]))
    monkeypatch.setattr(made, "_fit", lambda train, valid, *_: calls.extend([train, valid]))
    made.prepare(rows, rows, ["identity"], Budget())
    made.fit(rows, rows[:2], 0, Path(), Budget())
    training, predicted, train, valid = calls
    assert len(training) == len(train) == len(rows) + 4
    assert predicted is rows and valid.equals(rows[:2])


def test_between_epochs_a_fixed_sample_of_many_rows_is_looked_at():
    few = pd.DataFrame({"id": [f"{i}" for i in range(2000)], "label": 0})
    assert watched(few) is few
    many = pd.DataFrame(
        {"id": [f"{i}" for i in range(6000)], "label": [int(i % 3 == 0) for i in range(6000)]}
    )
    seen = watched(many)
    assert seen["label"].value_counts().to_dict() == {0: 1000, 1: 1000}
    assert sorted(watched(many[::-1])["id"]) == sorted(seen["id"])
