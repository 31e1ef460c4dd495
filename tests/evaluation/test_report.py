import base64
import contextlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanmade import ledger
from humanmade.commands import main
from humanmade.evaluation import compare
from tests.conftest import TINY_NETWORK, TINY_PROBE, scene, softened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ACTS = """<script>
const headings = [...document.querySelectorAll(".sortable thead button")];
const heading = headings.find(button => button.textContent === "AUC");
const rows = document.querySelector(".sortable").tBodies[0].rows;
const names = () => [...rows].map(row => row.cells[0].textContent);
const orders = [];
for (let click = 0; click < 2; click++) {
  heading.click();
  orders.push(names().join("/") + "=" + heading.closest("th").ariaSort);
}
const ground = () => getComputedStyle(document.body).backgroundColor, grounds = [ground()];
document.querySelector(".theme").click();
grounds.push(ground());
for (const details of document.querySelectorAll("details")) details.open = true;
const frame = document.createElement("iframe"), wide = [];
document.body.append(frame);
for (const width of [400, 1280]) {
  frame.style.width = `${width}px`;
  frame.contentDocument.documentElement.replaceChildren(
    document.head.cloneNode(true), document.body.cloneNode(true));
  frame.contentDocument.querySelector("iframe").remove();
  wide.push(frame.contentDocument.documentElement.scrollWidth > width);
}
document.title = JSON.stringify({orders, themes: new Set(grounds).size, wide});
</script>"""


class Outline(HTMLParser):
    """What a screen reader goes by."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@contextlib.contextmanager
def at(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HUMANMADE_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a data folder and two trained runs."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "pictures").mkdir()
    rows = ["path,label,split,pair,source"]
    for number in range(11):
        source, split = "a<b>" if number % 2 else "c", "train" if number < 9 else "test"
        for label, picture in enumerate((scene(number), softened(scene(number)))):
            Image.fromarray(picture).save(folder / "pictures" / f"{number}_{label}.png")
            rows.append(
                f"{number}_{label}.png,{label},{split},p{number},{'gen' if label else 'photo'}-{source}"
            )
    (folder / "pictures" / "manifest.csv").write_text("\n".join(rows) + "\n")
    with at(folder):
        for name, text in (("tinyprobe", TINY_PROBE), ("tiny", TINY_NETWORK)):
            Path(f"{name}.toml").write_text(text)
            assert main(["cv", f"{name}.toml", "--data", "pictures"]) == 0
    return folder


@pytest.fixture(scope="module")
def plain(made: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of those runs, without data."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copytree(made / "runs", folder / "runs")
    with at(folder):
        return written()


@pytest.fixture
def runs(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those runs in this test's own working folder; the data folder."""
    monkeypatch.setenv("HUMANMADE_CACHE", str(made / "cache"))
    shutil.copytree(made / "runs", "runs")
    return made / "pictures"


def written(*words: str) -> str:
    assert main(["report", "--out", "page.html", *words]) == 0
    return Path("page.html").read_text()


def test_one_page_holds_everything(runs: Path):
    row = dict.fromkeys(ledger.COLUMNS, "") | {
        "ref": "1",
        "runs": "tiny",
        "public": "0.61",
        "forecast": "0.6",
    }
    ledger.record([row])
    assert main(["explain", "tiny", "--data", str(runs)]) == 0
    page = written("--data", str(runs))
    for said in (
        "Runs on pictures ",
        "18 train and 4 test pictures",
        f"Runs are ranked by {compare.ranked_by()}",
        "leaderboard 0.610",
        "AUC of each source: ",
        "rank correlations: ",
        "change of AUC from",
        "over the epochs; loss at the end",
        "gen-a&lt;b&gt; ",
        "&#34;test_efficientnet&#34;",
        "the kit&#39;s commit",
        f"CPU cores {os.cpu_count()}, memory ",
        "No near-duplicates outside of pairs",
    ):
        assert said in page, said
    assert page.count("over the epochs; loss at the end") == 1, "a probe is not trained in epochs"
    pictures = re.findall(r'<img [^>]*src="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) >= 2, "thumbnails of mistakes and the sheet of maps"
    for data in pictures:
        assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).std() > 5
    assert not re.search(r'(src|href)="(?!data:|#)', page), "nothing is fetched from elsewhere"
    assert len(page) < 2_000_000 / 10 * 2 + 50_000, "ten runs stay below two megabytes"


def test_what_each_run_adds_is_what_blend_and_compare_say(
    runs: Path, plain: str, capsys: pytest.CaptureFixture[str]
):
    table = plain[plain.index("What each run adds to the mean of all") :].partition("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in table.split("<tr>")[2:]]
    assert [row[0] for row in cells] == ["tiny", "tinyprobe"]
    capsys.readouterr()
    assert main(["blend", "tiny", "tinyprobe", "--out", "submissions/two.csv", "--data", str(runs)]) == 0
    assert main(["compare", "submissions/two.csv"]) == 0
    said = capsys.readouterr().out
    for name, mean, ends, verdict, forecast in cells:
        lines = re.findall(rf"^  {name}: F1 (.*)", said, re.MULTILINE)
        assert len(lines) == 2 and lines[0] == lines[1], "of blend, and of compare"
        assert lines[0].startswith(f"{mean} (95 %: {ends}; 3 folds")
        assert lines[0].endswith(f": {verdict}; forecast AUC {forecast}")
    shutil.rmtree("runs/tiny")
    assert "What each run adds" not in written()


def test_the_page_can_be_read_aloud_and_by_keys(runs: Path, plain: str):
    assert written() == plain, "the same bytes each time"
    outline = Outline(plain)
    for landmark in ("header", "nav", "main"):
        assert len(outline.all(landmark)) == 1
    ids = [attributes["id"] for _, attributes in outline.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in outline.all("a")} <= {f"#{name}" for name in ids}
    assert len(outline.all("caption")) == len(outline.all("table")) > 0
    assert all(head.get("scope") in ("col", "row") for head in outline.all("th"))
    assert all(image.get("alt") for image in outline.all("img"))
    drawings = outline.all("svg")
    assert drawings and all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)


def test_runs_of_other_data_stand_apart(runs: Path):
    shutil.copytree("runs/tinyprobe", "runs/elsewhere")
    scores = Path("runs/elsewhere/scores.json")
    scores.write_text(re.sub('"data": "[^"]+"', '"data": "0123456789"', scores.read_text()))
    tables = re.findall(r'<table class="sortable">.*?</table>', written(), re.DOTALL)
    assert ["elsewhere" in table for table in tables] == [True, False]
    assert ["tinyprobe" in table for table in tables] == [False, True]


def test_names_cannot_write_html(runs: Path):
    run = Path("runs/<script>alert(1)<")
    Path("runs/tiny").rename(run)
    evil = dict.fromkeys(ledger.COLUMNS, "<img src=x onerror=alert(2)><script>")
    ledger.record([evil | {"runs": "tinyprobe", "public": "0.7", "note": "</table><script>alert(3)"}])
    (Path("submissions") / "<script>.csv").write_text("id,label\n")
    page = written(str(run), "runs/tinyprobe")
    assert page.count("<script>") == 1, "the page's own"
    assert "&lt;script&gt;alert" in page and "<img src=x" not in page


def test_without_runs_it_says_so(capsys):
    assert main(["report"]) == 2
    assert "no runs in runs/ that have scores; make one with humanmade cv" in capsys.readouterr().err


def test_a_run_that_only_started_has_its_place(runs: Path):
    scores = Path("runs/tiny/scores.json")
    scores.write_text('{"data": "", "folds": [], "unfinished": true}')
    Path("runs/tiny/oof.csv").unlink()
    page = written()
    assert "no fold is scored yet" in page and "tiny: not scored yet" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")
def test_a_browser_sorts_and_changes_the_theme(plain: str):
    Path("acted.html").write_text(plain.replace("</body>", f"{ACTS}</body>"))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--window-size=1400,900", "--dump-dom", f"file://{Path('acted.html').resolve()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title and '"themes":2,"wide":[false,false]' in title[1], done.stdout[:500]
    first, second = re.findall(r'"([^"]+)=(\w+)"', title[1])
    assert first[1] == "descending" and second[1] == "ascending"
    assert first[0].split("/") == second[0].split("/")[::-1]
    assert "CONSOLE" not in done.stderr, done.stderr
