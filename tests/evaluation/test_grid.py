import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade.commands import main
from humanmade.evaluation import grid
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.scores import CorruptedScores
from tests.conftest import MakeFolder


@given(st.integers(2, 60), st.integers(2, 40))
def test_samples_are_balanced_and_keep_pairs_whole(pairs: int, count: int):
    names = [f"p{number}" for number in range(pairs)]
    table = pd.DataFrame({"id": [f"{n}-{k}" for n in names for k in (0, 1)], "label": [0, 1] * pairs})
    table["pair"] = np.repeat(names, 2)
    table["digest"] = table["id"]
    part = grid.sample(table, count)
    assert len(part) == 2 * min(pairs, count // 2) and part["label"].mean() == 0.5
    assert (part.groupby("pair").size() == 2).all()
    mixed = table.sample(frac=1, random_state=1)
    assert set(grid.sample(mixed, count)["id"]) == set(part["id"]), "whatever the order of the rows"


def test_mean_and_worst_of_the_grid():
    labels = np.tile([0, 1], 20)
    table = pd.DataFrame(dict.fromkeys(CORRUPTIONS, labels * 2.0 - 1) | {"label": labels, "fold": 0})
    table["noise8"] = 1 - 2.0 * labels
    found = grid.score(table, by_fold=False)
    assert found["jpeg50"] == CorruptedScores(1.0, 1.0) and found["worst"] == CorruptedScores(0.0, 0.0)
    assert found["mean"].auc == pytest.approx(1 - 1 / len(CORRUPTIONS))
    shifted_folds = table.assign(fold=np.repeat([0, 1], 20))
    shifted_folds.loc[20:, "jpeg50"] += 10  # as another model's logits may be
    assert grid.score(shifted_folds, by_fold=False)["jpeg50"].auc < 0.8
    assert grid.score(shifted_folds, by_fold=True)["jpeg50"].auc == 1.0


def test_a_run_is_scored_under_every_corruption(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=12)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    scores = json.loads(Path("r/scores.json").read_text())
    assert set(scores["corrupted"]) == {*CORRUPTIONS, "mean", "worst"}
    assert set(scores["forecast"]) == {"auc", "f1", "low", "high"}
    table = pd.read_csv("r/fold0/corrupted.csv").set_index("id")
    oof = pd.read_csv("r/oof.csv").set_index("id")["logit"]
    assert np.allclose(table["clean"], oof[table.index], atol=1e-6)
    assert not np.allclose(table["jpeg30"], table["clean"])
    shown = capsys.readouterr().out
    assert (
        "corrupted: mean AUC" in shown and "on a wholly shifted test set: what such detectors kept" in shown
    )
