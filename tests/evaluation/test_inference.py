"""Logits of rows by a finished run."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade.commands import main
from humanmade.data import inventory, manifest
from humanmade.evaluation import inference
from humanmade.run import Run
from humanmade.training.team import Team
from tests.conftest import MakeFolder


@dataclass
class Half(Team):
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
    mean_logits = inference.mean_logits

    def counted(detector: object, places: object, part: pd.DataFrame, views: object) -> inference.Logits:
        seen.append(len(part))
        return mean_logits(detector, places, part, views)

    monkeypatch.setattr(inference, "mean_logits", counted)
    known = dict(zip(rows["id"], whole, strict=True))
    for rank in (0, 1):
        half = Half(rank)
        half.others = {name: known[name] for name in Half(1 - rank).share(rows[~rows["broken"]])["id"]}
        monkeypatch.setattr(inference, "team", lambda half=half: half)
        assert np.allclose(inference.run_logits(Run(Path("r")), rows), whole, atol=1e-6)
    assert sum(seen) == 3 * 9 and max(seen) < 9
