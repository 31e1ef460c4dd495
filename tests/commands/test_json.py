"""With --json, standard output is JSON and nothing else, whichever verb prints it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from humanmade.commands import main
from tests.conftest import MakeFolder


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[Any, str]:
    """What a verb prints, read as JSON, and what it says beside it."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_every_table_is_told_in_json(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows, beside = told(capsys, "compare")
    assert [row["run"] for row in rows] == ["tinyprobe"] and rows[0]["public"] is None
    assert rows[0]["f1"] == pd.read_csv("runs/compare.csv")["f1"][0] and "saved as runs/compare.csv" in beside
    blend, _ = told(capsys, "blend", "tinyprobe", "--out", "s.csv", "--data", str(run))
    assert [row["id"] for row in blend["table"]] == pd.read_csv("s.csv")["id"].tolist() and blend["lines"]
    answers, _ = told(capsys, "predict", "tinyprobe", f"{run}/images/000_1.png")
    assert answers[0]["seen"] == "out of fold"
    scores, _ = told(capsys, "evaluate", "tinyprobe", "--data", str(run))
    assert scores["rows"] == 8 and scores["looks"] == 1
    audit, _ = told(capsys, "audit", "--data", str(run))
    assert audit["train"] == 16 and audit["verdict"] and audit["by_label"][0].keys() >= {"fact", "auc"}


def test_a_bench_tells_its_rows(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    own, other = manifest_folder(pairs=6), manifest_folder("other", pairs=4, first_seed=50)
    line = f"{tiny_probe} folds=2"
    rows, beside = told(capsys, "bench", line, "--data", str(own), "--shifted", str(other))
    assert [row["recipe"] for row in rows] == [line] and rows[0]["zeros"] == 4 and "[1/1]" in beside


def test_errors_are_words_all_the_same(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "--json"]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("humanmade: no runs in runs/")
