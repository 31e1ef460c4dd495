import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanmade import ledger
from humanmade.commands import main
from humanmade.evaluation import compare
from tests.conftest import MakeFolder


@pytest.fixture
def runs(tiny_probe: Path, tiny_network: Path, manifest_folder: MakeFolder) -> Path:
    folder = manifest_folder("pictures", pairs=9, test=2, sources=["a<b>", "c"])
    for recipe in (tiny_probe, tiny_network):
        assert main(["cv", str(recipe), "--data", str(folder)]) == 0
    return folder


def test_one_page_holds_everything(runs: Path):
    row = dict.fromkeys(ledger.COLUMNS, "") | {
        "ref": "1",
        "runs": "tiny",
        "public": "0.61",
        "forecast": "0.6",
    }
    ledger.record([row])
    assert main(["explain", "tiny", "--data", str(runs)]) == 0
    assert main(["report", "--data", str(runs), "--out", "page.html"]) == 0
    page = Path("page.html").read_text()
    for said in (
        "Audit of the data",
        "tinyprobe",
        f"Runs are ranked by {compare.ranked_by()}",
        "forecast",
        "corrupted: mean AUC",
        "0.610",
        "No near-dup",
    ):
        assert said in page, said
    pictures = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    names = [name for name, _ in pictures]
    assert names[0].startswith("folds, forecast and leaderboard") and "where tiny looks" in names
    assert names.count("loss and scores over the epochs") == 1, "a probe is not trained in epochs"
    for name, data in pictures:
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        assert picture.std() > 5, f"{name} is blank"
    assert "http" not in page.split("</style>")[1], "nothing is fetched from elsewhere"
    assert main(["report", "--data", str(runs), "--out", "again.html"]) == 0
    assert Path("again.html").read_text() == page


def test_names_cannot_write_html(runs: Path):
    run = Path("runs/<script>alert(1)<")
    Path("runs/tiny").rename(run)
    assert main(["report", str(run), "--out", "page.html"]) == 0
    page = Path("page.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_without_runs_it_says_so(capsys):
    assert main(["report"]) == 2
    assert "no runs in runs/; make one with humanmade cv" in capsys.readouterr().err


def test_a_run_that_only_started_has_its_place(runs: Path):
    scores = Path("runs/tiny/scores.json")
    scores.write_text('{"data": "", "folds": [], "unfinished": true}')
    assert main(["report", "--out", "page.html"]) == 0
    assert "no fold is scored yet" in Path("page.html").read_text()
