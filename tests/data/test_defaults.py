import os
import subprocess
import sys
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


def test_two_that_begin_at_once_make_one_demo(tmp_path: Path):
    code = "from humanmade.data import defaults; print(*defaults.data_or_demo(()).folders)"
    package = Path(defaults.__file__).parents[2]
    environment = os.environ | {"HUMANMADE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(package)}
    run = [sys.executable, "-c", code]
    both = [subprocess.Popen(run, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert [path.name for path in (tmp_path / "cache/demo").iterdir()] == [demo.VERSION]
