import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade import crossval
from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.evaluation import distance
from humanmade.evaluation.collect import count_sources
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


@pytest.mark.parametrize(
    ("photos", "fakes", "count"),
    [(["a", "b", "c"], ["x", "y"], 2), (["a", "b"], ["", ""], 1), ([""], [""], 1)],
)
def test_named_sources_are_counted(photos: list[str], fakes: list[str], count: int):
    labels = [0] * len(photos) + [1] * len(fakes)
    table = pd.DataFrame({"label": labels, "source": [*photos, *fakes], "split": "train"})
    hidden = pd.DataFrame({"label": [0, 1, 1], "source": ["p", "q", "r"], "split": "test"})
    assert count_sources(pd.concat([table, hidden])) == count


def test_made_up_sources_are_not_counted(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    def named(table: pd.DataFrame) -> pd.DataFrame:
        kind = np.arange(len(table)) // 2 % 2
        return table.assign(source=[f"{k}-{label}" for k, label in zip(kind, table["label"], strict=True)])

    monkeypatch.setattr(crossval, "name_sources", named)
    folder = manifest_folder(pairs=8)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--split", "source", "--out", "r"]) == 0
    scores = json.loads(Path("r/scores.json").read_text())
    assert scores["shifted"]["sources"] == 1 and len(scores["sources"]) == 5


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
    assert before["shifted"] == {"sources": 2, "shift": 1.0}
    assert before["lacking"] == ["embeddings", "counterparts"]
    Path("r/outlook.json").write_text('{"test": {"auc": 0.5, "means": 0.1, "unlike": 0.05}}')
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    after = json.loads(Path("r/scores.json").read_text())
    assert after["lacking"] == ["counterparts"] and after["shifted"]["shift"] == 0.0, (
        "a file of an older version is read as well"
    )
    folds = np.mean([fold["auc"] for fold in after["folds"]])
    assert after["forecast"]["auc"] == pytest.approx(folds)
