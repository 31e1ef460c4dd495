from pathlib import Path

import pytest

from humanmade.data import defaults, demo
from tests.conftest import MakeFolder


def test_what_is_named_counts_before_the_competition_and_that_before_the_demo(
    competition_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(demo, "make", lambda folder: folder)
    chosen = defaults.data_or_demo([])
    (folder,) = chosen.folders
    assert capsys.readouterr().out.startswith("no --data and no competition in data/: this is the embedded")
    assert chosen.hidden == folder / "hidden" and folder.name == demo.VERSION
    assert defaults.default_recipe([]) == "demo"
    competition_folder(pairs=1).rename(Path("data"))
    for named, folders in (([], [Path("data")]), ([Path("mine")], [Path("mine")])):
        chosen = defaults.data_or_demo(named)
        assert chosen.folders == folders and chosen.hidden is None
        assert defaults.default_recipe(named) == "probe_lite0"
    assert capsys.readouterr().out == ""
