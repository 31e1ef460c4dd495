from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from humanmade.data import canaries, inventory, manifest
from humanmade.errors import UserError
from humanmade.images.canaries import CANARIES, PARTS, describe
from tests.conftest import MakeFolder


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    return inventory.attach(manifest.load([manifest_folder(pairs=5)]))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the pictures that are described from here on."""
    calls: list[int] = []

    def count(picture: np.ndarray, size: int) -> np.ndarray:
        calls.append(size)
        return describe(picture, size)

    monkeypatch.setattr(canaries, "describe", count)
    return calls


def test_numbers_are_of_each_rows_own_picture(rows: pd.DataFrame):
    found = canaries.numbers(rows[::-1])
    assert {name: values.shape for name, values in found.items()} == {
        name: (10, count) for name, count in CANARIES.items()
    }
    for place, path in enumerate(rows["path"][::-1]):
        own = describe(np.asarray(Image.open(path)), Path(path).stat().st_size)
        assert all((found[name][place] == own[part]).all() for name, part in PARTS.items())
    assert canaries.numbers(rows[:0])["colour"].shape[0] == 0


def test_a_picture_is_described_once(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    calls = counted(monkeypatch)
    twice = pd.concat([rows[:4], rows[:4]], ignore_index=True)
    first = canaries.numbers(twice)["colour"]
    assert len(calls) == 4 and (first[:4] == first[4:]).all()
    assert (canaries.numbers(rows)["colour"][:4] == first[:4]).all() and len(calls) == 10
    canaries.numbers(rows[2:7])
    assert len(calls) == 10


def test_what_is_finished_survives_a_stop(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canaries, "SHARD", 2)
    asked = 0

    def stop_at_five() -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        canaries.numbers(rows, stop_at_five)
    calls = counted(monkeypatch)
    canaries.numbers(rows)
    assert len(calls) == 5, "five of ten were left"


def test_a_picture_that_went_away_is_named(rows: pd.DataFrame):
    Path(rows["path"][3]).unlink()
    with pytest.raises(UserError, match=r"001_1\.png: cannot be read"):
        canaries.numbers(rows)
