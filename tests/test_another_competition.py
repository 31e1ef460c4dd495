"""Another competition is one `Competition`: other names everywhere, no pairs, probabilities, AUC."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from humanmade import competition, ledger, metrics, submission
from humanmade.commands import main
from humanmade.competition import Competition
from humanmade.data import demo, manifest
from humanmade.kaggle import bundle, download
from humanmade.kaggle.inputs import Inputs
from tests.conftest import scene, softened

ANOTHER = Competition(
    slug="real-or-rendered",
    dataset="someone/real-or-rendered-pictures",
    pictures=("learn", "exam"),
    train_table="learn.csv",
    test_table="exam.csv",
    train_columns=("image", "target"),
    test_column="image",
    pairs=None,
    header=("image", "target"),
    form="probabilities",
    metric="auc",
)
EXAM = 6


@pytest.fixture(autouse=True)
def another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(competition, "CURRENT", ANOTHER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its data: unlike in the shipped competition, as many photos as one likes, in any order."""
    place = tmp_path / "another"
    rows: dict[str, list[dict]] = {"learn": [], "exam": []}
    for number in range(14 + EXAM):
        part = "learn" if number < 14 else "exam"
        photo, label = scene(number), number % 3 % 2
        name = f"{part}/{number:03}.png"
        (place / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(softened(photo) if label else photo).save(place / name)
        rows[part].append({"image": name, "target": label})
    pd.DataFrame(rows["learn"]).to_csv(place / "learn.csv", index=False)
    pd.DataFrame(rows["exam"])[["image"]].to_csv(place / "exam.csv", index=False)
    return place


def test_from_folds_to_a_push(folder: Path, tiny_probe: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "runs/tinyprobe"]) == 0
    run = Path("runs/tinyprobe")
    out = capsys.readouterr().out
    assert "answering 1 everywhere scores AUC 0.500" in out and f"{EXAM} rows, mean probability" in out
    submitted, logits = pd.read_csv(run / "submission.csv"), pd.read_csv(run / "test.csv")
    assert submitted.columns.tolist() == ["image", "target"]
    assert submitted["image"].tolist() == pd.read_csv(folder / "exam.csv")["image"].tolist()
    assert np.allclose(submitted["target"], expit(logits["logit"])) and submitted["target"].nunique() > 2
    scores = json.loads((run / "scores.json").read_text())
    assert float(ledger.describe(run / "submission.csv")["fold_score"]) == round(scores["auc"], 5)

    blended = ["blend", "runs/tinyprobe", "--data", str(folder), "--out", "submissions/one.csv"]
    assert main([*blended, "--threshold", "0"]) == 2
    assert "takes probabilities, not labels" in capsys.readouterr().err
    assert main(blended) == 0
    origin, oof = ledger.origin(Path("submissions/one.csv")), pd.read_csv(run / "oof.csv")
    inside = [metrics.auc(rows["label"], rows["logit"]) for _, rows in oof.groupby("fold")]
    assert origin and origin["fold_score"] == pytest.approx(np.mean(inside))
    assert main(["check", "submissions/one.csv", "--data", str(folder)]) == 0
    assert main(["compare", "runs/tinyprobe"]) == 0
    capsys.readouterr()

    assert main(["push", "train", "--recipe", str(tiny_probe), "--dry-run"]) == 0
    (metadata,) = Path("build/kernels").glob(f"*/{bundle.METADATA}")
    sources = json.loads(metadata.read_text())
    assert sources["competition_sources"] == [ANOTHER.slug]
    assert sources["dataset_sources"][0] == ANOTHER.dataset


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,label\nexam/a,1\n", "found header 'id,label'; expected 'image,target'"),
        ("image,target\nexam/a,1.5\n", "line 2: target '1.5'; expected a probability of 0 to 1"),
        ("image,target\nexam/a,nan\n", "line 2: target 'nan'; expected a probability"),
        ("image,target\na,0.5\n", "id 'a' is not in exam.csv; it is written 'exam/a' there"),
    ],
)
def test_the_gate_is_that_of_the_competition(capsys, tmp_path: Path, text: str, says: str):
    (tmp_path / "learn.csv").write_text("image,target\nlearn/x,0\n")
    (tmp_path / "exam.csv").write_text("image\nexam/a\n")
    Path("s.csv").write_text(text)
    assert main(["check", "s.csv", "--data", str(tmp_path)]) == 2
    # Tables without pictures are enough for the gate.
    assert says in capsys.readouterr().err


def test_what_changed_between_probabilities():
    before, after = (
        {"exam/a": 0.5, "exam/b": 0.25, "exam/c": 0.5},
        {"exam/a": 0.75, "exam/b": 0.25, "exam/c": 0.0},
    )
    assert submission.changes(after, before) == [
        "2 probabilities differ: 1 rose, 1 fell", "  exam/a: 0.5 -> 0.75", "  exam/c: 0.5 -> 0.0"
    ]  # fmt: skip


def test_its_tables_are_read_without_pairs(folder: Path):
    table = manifest.load([folder])
    assert (table["pair"] == "").all() and table["split"].value_counts().to_dict() == {
        "train": 14,
        "test": EXAM,
    }
    (folder / "exam.csv").write_text("image,target\nexam/014.png,1\n")
    assert main(["audit", "--data", str(folder)]) == 2


def test_the_demo_is_written_in_its_layout(tmp_path: Path):
    table = manifest.load([demo.make(tmp_path / "demo")])
    assert table["name"].str.match("^(learn|exam)/").all() and set(table["split"]) == {"train", "test"}


def test_its_data_is_downloaded_and_found_in_a_kernel(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fetched = []

    def fetch(client: object, to: Path, function: object, what: str, *rest: object) -> Path:
        fetched.append(what)
        with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
            for path in folder.rglob("*.*"):
                archive.write(path, f"some/folder/{path.relative_to(folder)}")
        return tmp_path / "made.zip"

    monkeypatch.setattr(download, "_fetch", fetch)
    monkeypatch.setattr(download, "_require_space", lambda *_: None)
    place = tmp_path / "input" / ANOTHER.slug
    said = download.download(type("Client", (), {"api": type("Api", (), dict.fromkeys(
        ("competition_download_files", "dataset_download_files")))}), place)  # fmt: skip
    assert said == f"{place}: complete; 14 train pictures, {EXAM} test pictures"
    assert fetched == [ANOTHER.slug, ANOTHER.dataset]
    assert Inputs(tmp_path / "input", tmp_path).data() == [place]
