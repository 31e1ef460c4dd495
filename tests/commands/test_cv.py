from pathlib import Path

from humanmade.commands import main
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
