import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade import metrics
from humanmade.bench import calibration, measure
from humanmade.commands import main
from humanmade.crossval import cross_validate
from humanmade.errors import UserError
from humanmade.evaluation import distance
from humanmade.evaluation.forecast import MODEL
from humanmade.scores import Distance
from tests.conftest import MakeFolder


def test_a_table_of_recipes(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    train, wild = manifest_folder("train", pairs=9), manifest_folder("wild", pairs=5, first_seed=100)
    lines = [str(tiny_probe), f"{tiny_probe} head=difference"]
    command = ["bench", *lines, "--data", str(train), "--shifted", str(wild)]
    assert main(command) == 0
    table = pd.read_csv("runs/bench/table.csv")
    assert table["recipe"].tolist() == lines
    shown = capsys.readouterr().out
    assert "| recipe | trained_on | set | folds |" in shown and "\nlooks behind each set: wild 2\n" in shown
    folders = [path for path in Path("runs/bench").iterdir() if path.is_dir()]
    run = next(path for path in folders if "difference" not in path.name)
    assert main(["evaluate", str(run), "--data", str(wild), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["auc"] == pytest.approx(table["auc"][0])
    before = Path("runs/bench/table.csv").read_text()
    assert main(command) == 0
    assert Path("runs/bench/table.csv").read_text() == before, "runs are kept"
    assert "seen before as look 1 of 2 at this set (" in capsys.readouterr().out
    counted = pd.read_csv("runs/looks.csv")
    assert counted["recipe"].tolist() == lines and (counted["worse"] == table["worse"]).all()


def test_several_sets_are_judged_alone_and_together_in_one_run(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    train = manifest_folder("train", pairs=9)
    wild = manifest_folder(
        "wild", 5, first_seed=100, sources=["a", "b"], repo=["x", "x", "y", "y", *"zzzzzz"]
    )
    new = manifest_folder("new", pairs=4, first_seed=200)
    started = []

    def watched(recipe, table, run, options):
        started.append(table)
        return cross_validate(recipe, table, run, options)

    monkeypatch.setattr(measure, "cross_validate", watched)
    command = ["bench", str(tiny_probe), "--data", str(train), "--shifted", str(wild), "--shifted", str(new)]
    assert main([*command, "--columns", "set,worse"]) == 0
    (seen,) = started
    test = seen[seen["split"] == "test"]
    assert set(test["label"]) == {-1} and set(test["repo"]) == set(test["source"]) == set(test["pair"]) == {
        ""
    }
    assert test["id"].str.rpartition("/images/")[0].unique().tolist() == ["shifted/wild", "shifted/new"]
    table = pd.read_csv("runs/bench/table.csv").set_index("set")
    assert table.index.tolist() == ["wild", "new", "together"] and set(table["trained_on"]) == {"train"}
    logits = pd.read_csv("runs/bench/" + run_name(tiny_probe) + "/test.csv").set_index("id")["logit"]
    labels = logits.index.str.endswith("_1.png").astype(int)
    assert table["auc"]["together"] == pytest.approx(metrics.auc(labels, logits))
    own = logits.index.str.startswith("shifted/new")
    assert table["auc"]["new"] == pytest.approx(metrics.auc(labels[own], logits[own]))
    assert table["worse"]["wild"] == pytest.approx(min(table["auc"]["wild"], table["inside"]["wild"]))
    assert np.isnan(table["inside"]["new"]) and table["worse"]["new"] == table["auc"]["new"]
    assert table["forecast"].nunique() <= 1 and table["looks"].tolist()[:2] == [1, 1]
    assert len(pd.read_csv("runs/looks.csv")) == 2, "together is no further look"


def test_each_folder_is_trained_on_and_the_others_judge_it(tiny_probe: Path, manifest_folder: MakeFolder):
    folders = [manifest_folder(name, 6, first_seed=100 * k) for k, name in enumerate(("one", "two", "far"))]
    command = [
        "bench",
        str(tiny_probe),
        "--data",
        str(folders[0]),
        "--data",
        str(folders[1]),
        "--fold",
        "all",
    ]
    assert main([*command, "--each", "--shifted", str(folders[2])]) == 0
    table = pd.read_csv("runs/bench/table.csv")
    assert list(zip(table["trained_on"], table["set"], strict=True)) == [
        *(("one", "two"), ("one", "far"), ("one", "together")),
        *(("two", "one"), ("two", "far"), ("two", "together")),
    ]
    assert table["looks"].tolist()[:5:3] == [1, 1] and table.loc[table["set"] == "far", "looks"].tolist() == [
        2,
        2,
    ]
    for trained, judge in (("one", "two"), ("two", "one")):
        run = f"{run_name(tiny_probe)}_on_{trained}-foldall"
        trained_on = pd.read_csv(f"runs/bench/{run}/pictures.csv")["id"]
        assert len(trained_on) == 12 and trained_on.str.startswith("images/").all()
        predicted = pd.read_csv(f"runs/bench/{run}/test.csv")["id"]
        assert set(predicted.str.split("/").str[1]) == {judge, "far"}
    assert main([*command, "--out", "runs/joined"]) == 2, "joined they have no test rows to be judged by"


def test_joined_worlds_are_judged_by_those_outside(tiny_probe: Path, manifest_folder: MakeFolder):
    folders = [manifest_folder(name, 4, first_seed=100 * k) for k, name in enumerate(("one", "two", "far"))]
    data = [word for folder in folders for word in ("--data", str(folder))]
    assert main(["bench", str(tiny_probe), *data, "--each", "--joined", "--fold", "all"]) == 0
    table = pd.read_csv("runs/bench/table.csv")
    joined = table[table["trained_on"].str.contains(" + ", regex=False)]
    assert list(zip(joined["trained_on"], joined["set"], strict=True)) == [
        ("one + two", "far"),
        ("one + far", "two"),
        ("two + far", "one"),
    ], "and no set together with itself"
    assert len(table) == 3 * 3 + 3
    place = next(path for path in Path("runs/bench").iterdir() if path.name.endswith("on_one___two-foldall"))
    trained = pd.read_csv(place / "pictures.csv")["id"]
    assert trained.is_unique and set(trained.str.split("/").str[0]) == {"one", "two"}
    assert set(pd.read_csv(place / "test.csv")["id"].str.split("/").str[1]) == {"far"}


def test_each_set_has_a_forecast_of_its_own(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    train = manifest_folder("train", pairs=9, sources=["a", "b", "c"])
    near, far = manifest_folder("near", 5, first_seed=100), manifest_folder("far", 4, first_seed=200)
    asked = []

    def how_far(train_rows, rows, budget=None):
        if budget is None:  # else a run asks for its own test rows
            asked.append((len(train_rows), len(rows)))
        return Distance(auc=0.7 if len(rows) == 10 else 0.95, unlike=0.0)

    monkeypatch.setattr(distance, "measure", how_far)
    shifted = ["--shifted", str(near), "--shifted", str(far)]
    lines = [str(tiny_probe), f"{tiny_probe} head=difference"]
    assert main(["bench", *lines, "--data", str(train), *shifted]) == 0
    assert asked == [(18, 10), (18, 8), (18, 18)], "once for all recipes"
    table = pd.read_csv("runs/bench/table.csv")
    assert table["shift"].tolist() == pytest.approx([0.5, 1.0, 1.0] * 2)
    table = table[table["set"] != "together"].reset_index(drop=True)
    assert table["forecast"].tolist() == pytest.approx(MODEL.foretold(calibration.usable(table)).tolist())
    assert (table["low"] <= table["forecast"]).all() and (table["forecast"] <= table["high"]).all()
    assert table["zeros"].tolist()[:2] == [5, 4] == table["ones"].tolist()[:2]
    scores = json.loads(Path(f"runs/bench/{run_name(tiny_probe)}/scores.json").read_text())
    assert table["sensitivity"][0] == pytest.approx(scores["steadiness"]["sensitivity"])
    assert table["folds"][0] == pytest.approx(np.mean([fold["auc"] for fold in scores["folds"]]))


def test_worlds_calibrate_the_forecast(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys
):
    def nowhere(*_: object) -> None:
        raise UserError("no weights")

    monkeypatch.setattr(distance, "measure", nowhere)
    folders = [manifest_folder(name, 9, first_seed=100 * k) for k, name in enumerate(("one", "two", "far"))]
    lines = [str(tiny_probe), f"{tiny_probe} head=difference", f"{tiny_probe} pool=mean_std"]
    command = ["bench", *lines, "--data", str(folders[0]), "--data", str(folders[1]), "--each"]
    command += ["--shifted", str(folders[2]), "--calibrate", "--columns", "set,auc"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "take every set for wholly shifted: no weights" in said.err
    assert "12 rows of 3 recipes, each world left out in turn (two, far, one)" in said.out
    assert "\nMODEL = Model(" in said.out
    told = said.out[said.out.index("12 rows of 3") :]
    assert main(["bench", "--calibrate", "--table", "runs/bench/table.csv"]) == 0
    assert capsys.readouterr().out == told, "the table that was kept says the same"


def run_name(recipe: Path) -> str:
    return str(recipe).replace("/", "_")


def test_test_rows_of_the_folder_itself(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=9, test=5)
    Path("runs").mkdir()
    Path("runs/looks.csv").write_text("date\n2026\n")
    assert main(["bench", str(tiny_probe), "--data", str(folder), "--fold", "all", "--seeds", "2"]) == 0
    table = pd.read_csv("runs/bench/table.csv")
    assert np.isfinite(table.loc[0, ["auc", "accuracy", "minutes"]].astype(float)).all()
    assert len([path for path in Path("runs/bench").iterdir() if path.is_dir()]) == 2, "one run a seed"
    assert "not counted as a look: runs/looks.csv: column 'verb' is missing" in capsys.readouterr().out


def test_lines_come_from_files_too(tmp_path: Path):
    path = tmp_path / "table.txt"
    path.write_text("# a comment\nprobe_lite0\n\nprobe_lite0 pool=mean_std\n")
    assert measure.read_lines([str(path), "spectrum"]) == [
        "probe_lite0",
        "probe_lite0 pool=mean_std",
        "spectrum",
    ]
    with pytest.raises(UserError, match="'spectrum' stands there twice"):
        measure.read_lines(["spectrum", "spectrum"])
    with pytest.raises(UserError, match=r"none\.txt: not readable"):
        measure.read_lines([str(tmp_path / "none.txt")])


def test_what_cannot_be_measured_is_refused_first(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    train, bare = manifest_folder("train", pairs=6), manifest_folder("bare", pairs=3, test=3)
    table = pd.read_csv(bare / "manifest.csv", dtype=str)
    table.loc[table["split"] == "test", "label"] = ""
    table.to_csv(bare / "manifest.csv", index=False)
    for more, said in (
        (["--columns", "auk"], "--columns auk: known are recipe, trained_on, set, folds"),
        (["--shifted", str(bare)], "have no label"),
        (["--shifted", str(train)], "the same folder is given twice"),
        (["--each"], "--each: one folder has none to be judged by"),
        (["--shifted", str(manifest_folder("together", 2))], "a folder is named 'together'"),
        (
            ["--shifted", str(manifest_folder("a + b", 2))],
            "the folder name 'a + b' reads as two joined worlds",
        ),
        (["--each", "--joined", "--shifted", "elsewhere"], "--joined: needs two --data folders"),
    ):
        assert main(["bench", str(tiny_probe), "--data", str(train), *more]) == 2
        assert said in capsys.readouterr().err
    words = ["bench", str(tiny_probe), f"{tiny_probe} views=hflipp", "--data", str(train)]
    assert main(words) == 2 and "hflipp" in capsys.readouterr().err
    assert main(["bench", f"{tiny_probe} seeds=[1,2]", "--data", str(train), "--seeds", "2"]) == 2
    assert not Path("runs/bench").exists()


def test_each_way_of_training_a_line_has_a_folder_of_its_own(tiny_probe: Path, manifest_folder: MakeFolder):
    train, wild = manifest_folder("train", pairs=6), manifest_folder("wild", pairs=4, first_seed=100)
    words = ["bench", str(tiny_probe), "--data", str(train), "--shifted", str(wild)]
    assert main([*words, "--fold", "all", "--out", "alone"]) == 0
    alone = pd.read_csv("alone/table.csv")["worse"]
    for more in ([], ["--fold", "0"], ["--fold", "all"]):
        assert main([*words, *more, "--out", "shared"]) == 0
    assert pd.read_csv("shared/table.csv")["worse"].equals(alone), "other folds have no say"
    bench = measure.Bench(data=(train,), shifted=(wild,), out=Path("b"))
    (world,) = measure.worlds(bench)
    long = [measure._folder(f"{'x' * 300} lr={lr}", world, 0, bench).name for lr in (1, 2)]
    assert len(set(long)) == 2 and max(map(len, long)) < 255
