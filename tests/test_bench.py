import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade import bench
from humanmade.cli import main
from humanmade.errors import UserError
from tests.conftest import MakeFolder


def test_a_table_of_recipes(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    train, wild = manifest_folder("train", pairs=9), manifest_folder("wild", pairs=5, first_seed=100)
    lines = [str(tiny_probe), f"{tiny_probe} head=difference"]
    command = ["bench", *lines, "--data", str(train), "--shifted", str(wild)]
    command += ["--markdown", "t.md", "--title", "# T"]
    assert main(command) == 0
    table = pd.read_csv("runs/bench/table.csv")
    assert table["recipe"].tolist() == lines
    shown = capsys.readouterr().out
    assert Path("t.md").read_text().startswith("# T\n\n| recipe | folds |") and "| recipe | folds |" in shown
    folders = [path for path in Path("runs/bench").iterdir() if path.is_dir()]
    run = next(path for path in folders if "difference" not in path.name)
    assert main(["evaluate", str(run), "--data", str(wild), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["auc"] == pytest.approx(table["auc"][0])
    before = Path("runs/bench/table.csv").read_text()
    assert main(command) == 0
    assert Path("runs/bench/table.csv").read_text() == before, "runs are kept"


def test_test_rows_of_the_folder_itself(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=9, test=5)
    assert main(["bench", str(tiny_probe), "--data", str(folder), "--fold", "all", "--seeds", "2"]) == 0
    table = pd.read_csv("runs/bench/table.csv")
    assert np.isfinite(table.loc[0, ["auc", "accuracy", "minutes"]].astype(float)).all()
    assert len([path for path in Path("runs/bench").iterdir() if path.is_dir()]) == 2, "one run a seed"


def test_lines_come_from_files_too(tmp_path: Path):
    path = tmp_path / "table.txt"
    path.write_text("# a comment\nprobe_lite0\n\nprobe_lite0 pool=mean_std\n")
    assert bench.read_lines([str(path), "spectrum"]) == [
        "probe_lite0",
        "probe_lite0 pool=mean_std",
        "spectrum",
    ]
    with pytest.raises(UserError, match="'spectrum' stands there twice"):
        bench.read_lines(["spectrum", "spectrum"])
    with pytest.raises(UserError, match=r"none\.txt: not readable"):
        bench.read_lines([str(tmp_path / "none.txt")])


def test_errors_of_forecasts_are_summed_up():
    table = pd.DataFrame({"folds": [0.99, 0.98, 0.97], "forecast": [0.5, 0.6, 0.7], "auc": [0.6, 0.6, 0.8]})
    table["low"], table["high"] = table["forecast"] - 0.05, table["forecast"] + 0.05
    first, second, third = bench.forecast_errors(table)
    assert "forecast 0.067" in first and "fold score 0.313" in first and "best constant 0.067" in first
    assert second == "intervals of mean width 0.100 hold 33%" and "forecast 0.87" in third
    assert bench.forecast_errors(table[:2]) == []


def test_what_cannot_be_measured_is_refused_first(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    train, bare = manifest_folder("train", pairs=6), manifest_folder("bare", pairs=3, test=3)
    table = pd.read_csv(bare / "manifest.csv", dtype=str)
    table.loc[table["split"] == "test", "label"] = ""
    table.to_csv(bare / "manifest.csv", index=False)
    for more, said in (
        (["--columns", "auk"], "--columns auk: known are recipe, folds"),
        (["--shifted", str(bare)], "have no label"),
    ):
        assert main(["bench", str(tiny_probe), "--data", str(train), *more]) == 2
        assert said in capsys.readouterr().err
    assert main(["bench", f"{tiny_probe} seeds=[1,2]", "--data", str(train), "--seeds", "2"]) == 2
    assert not Path("runs/bench").exists()
