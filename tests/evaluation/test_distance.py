import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.evaluation import distance
from tests.conftest import MakeFolder


def rows(count: int, name: str) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"{name}{number}" for number in range(count)]})


def test_how_far_a_set_is(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)

    def embed(both: pd.DataFrame, budget: object) -> np.ndarray:
        far = both["id"].str.startswith("far").to_numpy(dtype=float)
        return (rng.normal(size=(len(both), 8)) + 5 * far[:, None]).astype(np.float32)

    monkeypatch.setattr(distance, "embed", embed)
    far = distance.measure(rows(200, "train"), rows(100, "far"), None)
    near = distance.measure(rows(200, "train"), rows(100, "near"), None)
    assert far and near and far.shift == 1.0 and near.shift < 0.3
    assert distance.measure(rows(200, "train"), rows(39, "far"), None) is None, "too few to tell"


def test_what_the_run_knows_of_its_test_set(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    def nowhere(*_: object) -> None:
        raise UserError("no weights")

    monkeypatch.setattr(distance, "embed", nowhere)
    monkeypatch.setattr(distance, "FEWEST", 8)
    folder = manifest_folder(pairs=9, test=4, sources=["a", "b"])
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    before = json.loads(Path("r/scores.json").read_text())
    assert before["distance"] is None and before["lacking"] == ["embeddings"]
    Path("r/distance.json").write_text('{"test": {"auc": 0.5, "means": 0.1, "unlike": 0.05}}')
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    after = json.loads(Path("r/scores.json").read_text())
    assert after["lacking"] == [] and after["distance"] == {"auc": 0.5, "unlike": 0.05}, "an older file"
    folds = np.mean([fold["auc"] for fold in after["folds"]])
    assert after["forecast"]["auc"] == pytest.approx(folds)
