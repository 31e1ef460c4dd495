from pathlib import Path

import pytest

from humanmade.commands import main
from humanmade.files import write_text
from tests.conftest import MakeFolder


def test_without_data_the_demo_says_so_first(tiny_probe: Path, capsys):
    assert main(["cv", str(tiny_probe), "--limit", "12", "--set", "folds=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("no --data and no competition in data/: this is the embedded demo")
    assert "hidden test labels" in out
    assert main(["demo", "mine"]) == 0 and Path("mine/train.csv").is_file()
    assert main(["demo", "mine"]) == 2


def test_data_holds_the_competition(tiny_probe: Path, competition_folder: MakeFolder, capsys):
    competition_folder(pairs=8, test=2).rename(Path("data"))
    assert main(["cv", str(tiny_probe)]) == 0
    assert "demo" not in capsys.readouterr().out


def test_what_is_wrong_is_said_before_the_demo_is_made(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    own = [Path("mine/.env.template"), Path("mine/.conf.original/sub/.bashrc.20240101"), Path("mine/notes")]
    for path in own:
        write_text(path, "mine")
    for words, says in (
        (["probe_lit0"], "recipe 'probe_lit0': not found; did you mean 'probe_lite0'?"),
        (["probe_lite0", "--set", "foldz=3"], "no key 'foldz'; did you mean 'folds'?"),
        (["robust_cpu"], "no weights for taef2 in "),
        (["probe_lite0", "--set", "views=hflipp"], "hflipp"),
        (["probe_lite0", "--fold", "9"], "--fold 9: expected 0 to 4, or all"),
        (["probe_lite0", "--out", "mine"], "mine: exists and is not a run; give another --out"),
        (
            ["probe_lite0", "--skip-broken", "--most-broken", "0.1"],
            "--most-broken: bounds what",
        ),
    ):
        assert main(["cv", *words]) == 2
        told = capsys.readouterr()
        assert says in told.err and not told.out
    assert not (tmp_path / "cache" / "demo").exists() and all(path.is_file() for path in own)


def test_it_says_what_comes_where_time_went_and_what_is_next(
    tiny_probe: Path, competition_folder: MakeFolder, manifest_folder: MakeFolder, capsys
):
    contest, own = competition_folder(pairs=8, test=2), manifest_folder(pairs=6)
    assert main(["cv", str(tiny_probe), "--data", str(contest), "--fold", "0"]) == 0
    out = capsys.readouterr().out
    block = "tinyprobe: 16 pictures to train on (8 human-made, 8 generated), 2 test pictures\nprobe: 3 folds"
    assert out.index(block) < out.index("fold 0: F1") and "folds left" not in out
    assert "over 1 of the folds, the others are not trained yet (" in out and "spread" not in out
    assert "time of the folds: training " in out and "next: humanmade compare, or humanmade report" in out
    assert main(["cv", str(tiny_probe), "--data", str(contest)]) == 0
    out = capsys.readouterr().out
    assert "folds left: 1, 2; about " in out and "over all folds (" in out and "\nspread " in out
    assert out.endswith("next: humanmade compare, or humanmade submit runs/tinyprobe/submission.csv\n")
    assert main(["cv", str(tiny_probe), "--data", str(own), "--out", "runs/own"]) == 0
    assert "submit" not in capsys.readouterr().out.splitlines()[-1], "it is no competition"
