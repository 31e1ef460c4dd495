import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from humanmade.commands import main
from tests.conftest import MakeFolder


def test_a_plain_folder_can_be_predicted(run: Path, tmp_path: Path, capsys):
    assert main(["predict", "tinyprobe", "--data", str(run / "images"), "--out", "p.csv"]) == 0
    assert len(pd.read_csv("p.csv")) == 24
    assert capsys.readouterr().out.endswith("p.csv: logits of 24 pictures\n")
    assert main(["predict", "tinyprobe", "--data", str(run / "images"), "--out", "-"]) == 0
    assert capsys.readouterr().out == Path("p.csv").read_text()


def test_pictures_are_answered_readably_as_csv_and_as_json(run: Path, capsys):
    known, new = f"{run}/images/000_1.png", f"{run}/images/010_0.png"
    capsys.readouterr()
    assert main(["predict", "tinyprobe", known, new, "gone.jpg"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(known) and "by the fold that held it out" in lines[0]
    assert lines[1].startswith(new) and "training set" not in lines[1]
    assert lines[3].startswith("threshold: logit ") and lines[-1].startswith(
        "on pictures from elsewhere this"
    )
    assert "gone.jpg: skipped (no such file)" in said.err
    assert main(["predict", "tinyprobe", known, new, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["picture"] for answer in answers] == [known, new]
    oof, test = (
        pd.read_csv(f"runs/tinyprobe/{name}.csv").set_index("id")["logit"] for name in ("oof", "test")
    )
    assert answers[0]["logit"] == oof["images/000_1.png"] and answers[0]["seen"] == "out of fold"
    assert answers[1]["logit"] == pytest.approx(test["images/010_0.png"]) and answers[1]["seen"] == ""
    assert main(["predict", "tinyprobe", known, new, "--out", "-"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == ",".join(answers[0])
    assert main(["predict", "tinyprobe", known, new, "--out", "v.csv"]) == 0
    assert Path("v.csv").read_text() == printed
    assert main(["predict", "tinyprobe", "gone.jpg"]) == 2


def test_maps_are_drawn_beside_and_never_over_a_file(run: Path, capsys):
    names = ["one/a.png", "two/a.png", "b.png"]
    for number, name in enumerate(names):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(run / f"images/{number:03}_0.png", name)
    assert main(["predict", "tinyprobe", *names, "--explain", "--out", "maps/v.csv"]) == 0
    assert {path.name for path in Path("maps").glob("*.png")} == {
        "explain-one-a.png.png",
        "explain-two-a.png.png",
        "explain-b.png",
    }
    Path("explain-b.png").write_text("mine")
    assert main(["predict", "tinyprobe", "b.png", "--explain"]) == 2
    assert "explain-b.png: exists" in capsys.readouterr().err
    assert Path("explain-b.png").read_text() == "mine"
    assert main(["predict", "tinyprobe", "b.png", "--explain", "--force"]) == 0
    assert Path("explain-b.png").read_bytes().startswith(b"\x89PNG")


def test_a_detector_without_maps_answers_and_says_so(manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8)
    changes = ["--set", "image_size=32", "--set", "workers=0", "--folds", "2"]
    assert main(["cv", "spectrum", "--data", str(folder), "--out", "r", *changes]) == 0
    assert main(["predict", "r", f"{folder}/images/000_0.png", "--explain"]) == 0
    assert "a 'spectrum' detector has no heat maps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name pictures or folders, or write logits of --data with --out CSV"),
        (["a.jpg", "--data", "d", "--out", "o.csv"], "name either pictures and folders, or --data D"),
        (["--data", "d"], "name pictures or folders, or write logits of --data with --out CSV"),
        (["--data", "d", "--out", "o.csv", "--json"], "name pictures or folders, or write logits"),
        (["--data", "d", "--out", "o.csv", "--explain"], "name pictures or folders, or write logits"),
        (["a.jpg", "--json", "--out", "o.csv"], "--json prints and --out writes a CSV"),
    ],
)
def test_options_that_contradict_are_refused(words: list[str], says: str, tmp_path: Path, capsys):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/recipe.toml").write_text('detector = "probe"\n')
    assert main(["predict", str(tmp_path / "r"), *words]) == 2
    assert says in capsys.readouterr().err
