"""The grid may grow: runs that were scored on an older one are read by what their files hold."""

from pathlib import Path

import pytest

from humanmade.commands import main
from humanmade.images.corruptions import CORRUPTIONS, Corruption
from humanmade.run import Run
from tests.conftest import MakeFolder


@pytest.mark.parametrize("added_before_the_last_fold", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_new_corruption_leaves_older_runs_readable(
    added_before_the_last_fold: bool,
    tiny_probe: Path,
    manifest_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    folder = str(manifest_folder(pairs=9, test=4))
    cv = ["cv", str(tiny_probe), "--data", folder]
    older = ["--fold", "0"] if added_before_the_last_fold else []
    assert main([*cv, "--out", "runs/old", *older]) == 0
    monkeypatch.setitem(CORRUPTIONS, "mirror", Corruption(lambda picture, _: picture[:, ::-1]))
    assert main([*cv, "--set", "head=difference", "--out", "runs/new"]) == 0
    capsys.readouterr()
    assert main([*cv, "--out", "runs/old"]) == 0, "continued"
    assert "corrupted pictures lack mirror" in capsys.readouterr().err
    assert "mirror" in Run(Path("runs/new")).scores.corrupted
    assert set(Run(Path("runs/old")).scores.corrupted) == {*CORRUPTIONS, "mean", "worst"} - {"mirror"}
    assert main(["blend", "old", "new", "--method", "climb", "--out", "s.csv", "--data", folder]) == 0
    assert main(["report", "--out", "page.html"]) == 0
    assert main(["compare"]) == 0
    said = capsys.readouterr().out
    assert "old was scored under fewer corruptions (without mirror)" in said
    assert "new was scored" not in said
