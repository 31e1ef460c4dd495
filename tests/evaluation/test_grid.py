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


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50),
    st.integers(1, 30),
    st.randoms(),
)
def test_the_sample_is_balanced_and_keeps_pairs_whole(units: list[tuple[bool, bool]], most: int, random):
    rows = [
        (f"{number}-{label}", label, f"p{number}")
        for number, members in enumerate(units)
        for label in (0, 1)
        if members[label]
    ]
    frame = pd.DataFrame(rows, columns=["id", "label", "pair"])
    frame = frame.astype({"label": int}).assign(digest=frame["id"])
    part = grid.sample(frame, 2 * most, "corrupted")
    mixed = frame.iloc[random.sample(range(len(frame)), len(frame))]
    assert set(grid.sample(mixed, 2 * most, "corrupted")["id"]) == set(part["id"])
    for label in (0, 1):
        assert (part["label"] == label).sum() == min(most, (frame["label"] == label).sum())
    full = frame.groupby("pair").size()
    taken = part.groupby("pair").size()
    assert (taken == full[taken.index]).all(), "no pair is torn"


def test_the_sample_is_not_what_comes_first():
    names = [f"{number:03}" for number in range(200)]
    rows = pd.DataFrame({"id": names, "label": np.tile([0, 1], 100), "pair": np.repeat(names[:100], 2)})
    assert grid.sample(rows.assign(digest=names), 20, "corrupted").index.max() > 100


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
