"""One more metric is one more entry of the table: every view shows it."""

from pathlib import Path

import pandas as pd
import pytest

from humanmade.commands import main
from humanmade.evaluation import columns
from humanmade.evaluation.columns import Metric
from tests.conftest import MakeFolder


def test_every_view_shows_a_new_metric(
    tiny_probe: Path,
    manifest_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    glow = Metric(
        "glow",
        "glowing",
        "how pictures glow",
        of_run=lambda scores: 0.25 * len(scores.folds),
        note=lambda scores: " lumen",
        form=".1%",
    )
    shine = Metric("shine", title="how a set shines", of_set=lambda scores: scores.rows / 100)
    monkeypatch.setattr(columns, "METRICS", [*columns.METRICS, glow, shine])
    folder, wild = manifest_folder(pairs=9), manifest_folder("wild", pairs=4, first_seed=100)

    def said(*words: object) -> str:
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    assert "how pictures glow                  75.0% lumen\n" in said("cv", tiny_probe, "--data", folder)
    compared = said("compare")
    assert "glowing" in compared and "75.0%" in compared
    assert pd.read_csv("runs/compare.csv")["glow"][0] == 0.75
    said("report", "--out", "page.html")
    page = Path("page.html").read_text()
    assert ">glowing</button></th>" in page and "<td>75.0%</td>" in page and "how pictures glow" in page
    evaluated = said("evaluate", "tinyprobe", "--data", wild)
    assert "how a set shines                   0.080\n" in evaluated
    measured = said("bench", tiny_probe, "--data", folder, "--shifted", wild, "--columns", "glow,shine,auc")
    assert "| glow | shine | auc |\n" in measured and "| 75.0% | 0.080 | " in measured
    assert {"glow", "shine"} < set(pd.read_csv("runs/bench/table.csv").columns)


def test_titles_leave_a_blank_before_the_number():
    assert max(len(metric.title) for metric in columns.METRICS) < 35
    keys = [metric.key for metric in columns.METRICS]
    assert len(set(keys)) == len(keys)
