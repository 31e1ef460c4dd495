from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade.data import inventory, manifest
from humanmade.detectors import features
from humanmade.detectors.features import FeatureStore
from humanmade.images.views import Frame
from tests.conftest import MakeFolder


def brightness(pixels: torch.Tensor) -> features.Features:
    return pixels.float().mean(dim=(2, 3)).numpy().astype(np.float16)


def store(extract: features.Extract = brightness, key: str = "brightness") -> FeatureStore:
    return FeatureStore(key, Frame(16), 4, 0, extract)


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    return inventory.attach(manifest.load([manifest_folder(pairs=7)]))


def test_an_interrupted_extraction_keeps_finished_shards(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "SHARD", 4)
    calls = 0

    def stop_at_third(pixels: torch.Tensor) -> features.Features:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return brightness(pixels)

    with pytest.raises(KeyboardInterrupt):
        store(stop_at_third).compute(rows, ["identity"])
    calls = 10
    later = store(stop_at_third)
    later.compute(rows, ["identity"])
    assert calls == 12, "two of four batches were left"
    fresh = store(key="another key")
    fresh.compute(rows, ["identity"])
    assert (later.get(rows, "identity") == fresh.get(rows, "identity")).all()
    assert (store().get(rows[::-1], "identity") == fresh.get(rows, "identity")[::-1]).all()


def test_damaged_shards_are_made_anew(rows: pd.DataFrame, tmp_path: Path):
    first = store()
    first.compute(rows, ["identity"])
    (shard,) = (tmp_path / "cache/features").rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:100])
    again = store()
    again.compute(rows, ["identity"])
    assert (again.get(rows, "identity") == first.get(rows, "identity")).all()
    assert len(np.unique(again.get(rows, "identity"), axis=0)) > 1, "pictures differ in brightness"


def test_copies_of_a_picture_are_computed_once(rows: pd.DataFrame):
    twice = pd.concat([rows, rows.assign(id=rows["id"] + "-copy")], ignore_index=True)
    seen = 0

    def count(pixels: torch.Tensor) -> features.Features:
        nonlocal seen
        seen += len(pixels)
        return brightness(pixels)

    made = store(count)
    made.compute(twice, ["identity"])
    assert seen == 16, "14 pictures in batches of 4"
    assert (made.get(twice, "identity")[:14] == made.get(twice, "identity")[14:]).all()
