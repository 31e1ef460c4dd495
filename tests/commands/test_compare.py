import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from humanmade import ledger
from humanmade.commands import main
from humanmade.evaluation import forecast
from humanmade.evaluation.forecast import Model


def test_compare_shows_the_leaderboard_and_its_rank_correlation(run: Path, capsys):
    for number in (1, 2, 3):
        shutil.copytree("runs/tinyprobe", f"runs/r{number}")
        scores = json.loads(Path(f"runs/r{number}/scores.json").read_text())
        for fold in scores["folds"]:
            fold["f1"] = number / 4
        Path(f"runs/r{number}/scores.json").write_text(json.dumps(scores))
        assert main(["compare"]) == 0
        assert "rank correlation" not in capsys.readouterr().out
        ledger.record([{"ref": str(number), "runs": f"r{number}", "public": str(0.9 - number / 10)}])
    assert main(["compare"]) == 0
    shown = capsys.readouterr().out
    assert "rank correlation of fold F1 and public score: -1.00" in shown
    assert "3 looks at the public leaderboard: best F1 0.800 (look 1, )" in shown
    assert "up to 0.085 better" in shown, "0.846 standard deviations of 0.1"
    saved = pd.read_csv("runs/compare.csv").set_index("run")
    assert saved["public"]["r1"] == 0.8 and pd.isna(saved["public"]["tinyprobe"])


def test_compare_prints_and_saves(run: Path, tiny_probe: Path, capsys):
    assert main(["cv", str(tiny_probe), "--data", str(run), "--out", "runs/other", "--fold", "0"]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    shown = capsys.readouterr().out
    assert "tinyprobe" in shown and "1 (unfinished)" in shown
    saved = pd.read_csv("runs/compare.csv")
    assert set(saved["run"]) == {"tinyprobe", "other"} and {"f1", "spread", "fold0", "seconds"} <= set(
        saved.columns
    )


def test_compare_ranks_by_what_ranked_best_elsewhere(run: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    shutil.copytree("runs/tinyprobe", "runs/other")
    for name, folds, corrupted in (("tinyprobe", 0.9, 0.8), ("other", 0.8, 0.85)):
        scores = json.loads(Path(f"runs/{name}/scores.json").read_text())
        for fold in scores["folds"]:
            fold["auc"] = folds
        scores["corrupted"]["mean"]["auc"] = corrupted
        Path(f"runs/{name}/scores.json").write_text(json.dumps(scores))
    for ranking, first, score, said in (
        (Model({"folds": 1.0}), "tinyprobe", 0.9, "where it is known, else by 1 folds\n"),
        (forecast.RANKING, "other", 0.835, "else by 0.3 folds + 0.7 corrupted\n"),
        (Model({"corrupted": 0.5}), "other", 0.675, "else by 0.5 corrupted\n"),
    ):
        monkeypatch.setattr(forecast, "RANKING", ranking)
        assert main(["compare"]) == 0
        saved = pd.read_csv("runs/compare.csv")
        assert saved["run"][0] == first and saved["selection"][0] == pytest.approx(score)
        assert said in capsys.readouterr().out


def test_only_the_usual_file_is_replaced(run: Path, capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        assert main(["compare", "tinyprobe"]) == 0
    Path("mine.csv").write_text("mine")
    assert main(["compare", "tinyprobe", "--out", "mine.csv"]) == 2
    assert "mine.csv: exists" in capsys.readouterr().err and Path("mine.csv").read_text() == "mine"
