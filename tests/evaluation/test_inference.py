"""Logits of rows by a finished run."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade import detectors
from humanmade.commands import main
from humanmade.data import inventory, manifest
from humanmade.data.loader import ViewDataset
from humanmade.detectors.base import Detector, Logits
from humanmade.evaluation import inference
from humanmade.run import Run
from humanmade.training.distributed import ProcessGroup
from tests.conftest import MakeFolder


@dataclass
class Half(ProcessGroup):
    """One rank of two, which met the other one before."""

    count: int = 2
    others: dict[str, float] = field(default_factory=dict)

    def meet(self, word: str = "") -> list[str]:
        return [word, pd.Series(self.others, dtype=float).to_json(double_precision=15)]


def test_ranks_share_the_rows(tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    folder = manifest_folder(pairs=6, test=5)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r"]) == 0
    (folder / "images/007_1.png").write_bytes(b"broken")
    rows = inventory.attach(manifest.to_predict([folder]), skip_broken=True)
    whole = inference.run_logits(Run(Path("r")), rows)
    seen: list[int] = []
    logits_by = Detector.logits_by

    def counted(self: Detector, places: list[Path], part: pd.DataFrame, views: list[str]) -> list[Logits]:
        seen.append(len(part))
        return logits_by(self, places, part, views)

    monkeypatch.setattr(Detector, "logits_by", counted)
    known = dict(zip(rows["id"], whole, strict=True))
    for rank in (0, 1):
        half = Half(rank)
        half.others = {name: known[name] for name in Half(1 - rank).share(rows[~rows["broken"]])["id"]}
        monkeypatch.setattr(inference, "process_group", lambda half=half: half)
        assert np.allclose(inference.run_logits(Run(Path("r")), rows), whole, atol=1e-6)
    assert sum(seen) == 9 and max(seen) < 9


def test_pictures_are_decoded_once_for_the_networks_of_all_folds(
    tiny_network: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    folder = manifest_folder(pairs=6, test=3)
    settings = ("--set", "epochs=1", "--set", "seeds=[0, 1]", "--set", "folds=2")
    assert main(["cv", str(tiny_network), "--data", str(folder), "--out", "r", *settings]) == 0
    run = Run(Path("r"))
    rows = inventory.attach(manifest.to_predict([folder]))
    detector = detectors.create(run.recipe)
    by_fold = [
        np.mean([detector.logits(place, rows, ["identity"]).mean(axis=1) for _, place in run.trainings(k)], 0)
        for k in (0, 1)
    ]
    decoded: list[str] = []
    load = ViewDataset.__getitem__
    monkeypatch.setattr(
        ViewDataset, "__getitem__", lambda self, number: decoded.append(number) or load(self, number)
    )
    assert np.array_equal(inference.run_logits(run, rows), np.mean(by_fold, axis=0))
    assert len(decoded) == len(rows) == 6
