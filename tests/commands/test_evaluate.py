import json
from pathlib import Path

import pandas as pd
import pytest

from humanmade.commands import main
from tests.conftest import MakeFolder


def test_evaluate_scores_test_rows_and_writes_logits(run: Path, capsys):
    capsys.readouterr()
    assert main(["evaluate", "tinyprobe", "--data", str(run), "--json", "--out", "e.csv"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["rows"] == 8 and set(scores["sources"]) == {"gen-a", "gen-b", "photo-a", "photo-b", "worst"}
    written = pd.read_csv("e.csv")
    assert list(written.columns) == ["id", "label", "source", "logit"]
    own = pd.read_csv("runs/tinyprobe/test.csv").set_index("id")["logit"]
    assert (written.set_index("id")["logit"] == own).all()
    assert "look 1 at this set" in scores["look"] and scores["looks"] == 1
    assert main(["evaluate", "tinyprobe", "--data", str(run)]) == 0
    assert "\nseen before as look 1 of 1 at this set (" in capsys.readouterr().out
    counted = pd.read_csv("runs/looks.csv")
    assert len(counted) == 1 and counted["auc"][0] == scores["auc"] and counted["verb"][0] == "evaluate"
    assert main(["evaluate", "tinyprobe", "--data", str(run), "--split", "train"]) == 0
    assert "trained on 16 of these 16 pictures" in capsys.readouterr().err


def test_a_named_repo_is_the_last_column(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=6, repo=["forum", "shop"] * 6)
    assert main(["cv", str(tiny_probe), "--data", str(folder)]) == 0
    assert main(["evaluate", "tinyprobe", "--data", str(folder), "--out", "e.csv"]) == 0
    written = pd.read_csv("e.csv")
    assert list(written.columns) == ["id", "label", "source", "logit", "repo"]
    assert written["repo"].tolist() == ["forum", "shop"] * 6


def test_a_look_that_cannot_be_counted_costs_no_scores(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    folder = manifest_folder(pairs=9)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "runs/r"]) == 0
    Path("runs/looks.csv").write_text("this,is,no,ledger\n")
    assert main(["evaluate", "runs/r", "--data", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "AUC of each source" in said or "AUC  " in said
    assert "not counted as a look: " in said and "looks.csv" in said
