"""The exploration: at home on the demo, and pushed, run and pulled as a kernel."""

import json
import os
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from humanmade import places
from humanmade.data import demo
from humanmade.kaggle import bundle
from humanmade.kaggle.bundle import ROOT, build
from humanmade.kaggle.push_request import PushRequest
from tests.conftest import TINY_PROBE
from tests.kaggle.conftest import Kit
from tests.kaggle.day import open_competition
from tests.kaggle.standin import StandIn

EXPLORE = ROOT.parents[1] / "kernels/explore/explore.ipynb"


def test_in_git_it_has_no_outputs():
    book = nbformat.read(EXPLORE, 4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert len(code) > 10 and len(book.cells) > 1.5 * len(code), "most cells say what one should see"
    assert not [cell for cell in code if cell.outputs or cell.execution_count]


def test_at_home_it_explores_the_demo(tiny_probe: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo, "TRAIN_CROPS", 2)
    monkeypatch.setattr(demo, "TEST_CROPS", 2)
    demo.make(places.cache("demo") / demo.VERSION)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.read(EXPLORE, 4)
    line = 'RECIPE = "probe_lite0"'
    (first,) = [cell for cell in book.cells if line in cell.source]
    first.source = first.source.replace(line, f"RECIPE = {str(tiny_probe)!r}")
    nbclient.NotebookClient(book, timeout=600).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in shown)
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 9
    assert "this is the embedded demo" in said and "hidden test labels" in said and "near-duplicates" in said
    test = pd.read_csv("submission.csv")
    assert len(test) == 24 and test["label"].sum() == 12 and len(list(Path("maps").glob("*.png"))) == 4


@pytest.mark.slow
def test_pushed_it_runs_and_is_pulled(kit: Kit, standin: StandIn, tmp_path: Path):
    open_competition(standin, tmp_path / "kaggle")
    kit.module = "humanmade"
    Path("tiny.toml").write_text(TINY_PROBE)
    said = kit("push", "explore", "--recipe", "tiny.toml", "--wait")
    assert "modules import\n" in said and "version 1: COMPLETE" in said
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert (asked["kernelType"], asked["enableGpu"], asked["isPrivate"]) == ("notebook", False, True)
    pulled = kit("pull", "explore")
    assert pulled == "runs/explore: 3 folds\nruns/explore/submission.csv: its submission\n"
    assert len(pd.read_csv("runs/explore/submission.csv")) == 8


def test_a_kernel_without_its_data_says_so_in_its_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from humanmade.kaggle.runtime import begin_notebook

    monkeypatch.setenv("HUMANMADE_KAGGLE", str(tmp_path))
    with pytest.raises(SystemExit):
        begin_notebook("1234")
    assert "no folder with train.csv and test.csv among the inputs" in capsys.readouterr().err
    assert json.loads((tmp_path / "working/outputs.json").read_text())["unfinished"]


def test_the_request_stands_in_the_notebooks_own_cells(tmp_path: Path):
    request = PushRequest("explore", "spectrum", "tester", "feed", ("image_size=64",))
    folder = build(request, tmp_path)
    book = nbformat.read(folder / "humanmade-explore-spectrum.ipynb", 4)
    nbformat.validate(book)
    assert book.cells[0].source.startswith('"""The head of a kernel') and book.cells[0].metadata.jupyter
    code = bundle._code(folder / "humanmade-explore-spectrum.ipynb")
    for line in ("RECIPE = 'spectrum'", "SETTINGS = ('image_size=64',)", "RUN_ID = 'feed'"):
        assert code.count(f"\n{line}\n") == 1
    assert json.loads((folder / "kernel-metadata.json").read_text())["code_file"] == f"{folder.name}.ipynb"
