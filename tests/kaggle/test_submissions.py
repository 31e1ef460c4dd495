"""Submissions: checked, sent once, followed to a score or a reason, kept in the ledger."""

import json
import shutil
from pathlib import Path

import pytest

from humanmade import files, ledger
from tests.conftest import MakeFolder
from tests.kaggle.conftest import Kit
from tests.kaggle.standin import StandIn


@pytest.fixture
def file(competition_folder: MakeFolder) -> Path:
    """A good submission of the competition in data/."""
    competition_folder(pairs=2, test=6).rename("data")
    ids = Path("data/test.csv").read_text().split()[1:]
    path = Path("submissions/two.csv")
    path.parent.mkdir()
    path.write_text("id,label\n" + "".join(f"{name},{number % 2}\n" for number, name in enumerate(ids)))
    return path


def test_a_submission_is_scored_and_written_into_the_ledger(kit: Kit, standin: StandIn, file: Path):
    ledger.note_origin(file, ["a", "b"], "mean", "the top 50% by rank", 0.97)
    standin.pending_polls = 2
    said = kit("submit", file, "-m", "two probes")
    assert "public 0.75000, private not shown yet; out of fold 0.97000" in said
    (row,) = ledger.read()
    assert row["file"] == "submissions/two.csv" and row["sha256"] == files.sha256(file)
    assert (row["runs"], row["blend"], row["threshold"]) == ("a b", "mean", "the top 50% by rank")
    assert (row["ref"], row["public"], row["note"]) == ("1000", "0.75000", "two probes")
    (sent,) = [asked for name, asked in standin.calls if name == "CreateSubmission"]
    assert sent["submissionDescription"] == f"two probes [{files.sha256(file)[:12]}]"
    assert standin.blobs["blob0"] == ("two.csv", file.read_bytes())


def test_a_file_is_not_sent_twice_unless_told(kit: Kit, standin: StandIn, file: Path):
    kit("submit", file)
    copy = shutil.copy(file, "copy.csv")
    line = kit("submit", copy, code=2)
    assert "was sent on" in line and "as submissions/two.csv, public score 0.75000; --again" in line
    assert standin.count("CreateSubmission") == 1
    kit("submit", copy, "--again")
    assert [row["ref"] for row in ledger.read()] == ["1000", "1001"]


def test_the_gate_comes_first(kit: Kit, standin: StandIn, file: Path):
    file.write_text(file.read_text().replace(",1\n", ",0.5\n", 1))
    assert "line 3: label '0.5'" in kit("submit", file, code=2)
    shutil.rmtree("data")
    assert "humanmade data downloads it" in kit("submit", file, code=2)
    assert standin.calls == []


def test_what_kaggle_could_not_score_says_why(kit: Kit, standin: StandIn, file: Path):
    standin.score = lambda _: ("", "Evaluation Exception: wrong ids")
    assert "could not score it: Evaluation Exception: wrong ids" in kit("submit", file, "-m", "x", code=3)
    assert ledger.read()[0]["note"] == "x; ERROR: Evaluation Exception: wrong ids"
    kit("scores")
    assert ledger.read()[0]["note"] == "x; ERROR: Evaluation Exception: wrong ids"


def test_a_failed_upload_is_never_a_submission(kit: Kit, standin: StandIn, file: Path):
    standin.fail("PUT two.csv", 500, times=99)
    line = kit("submit", file, "--patience", "1", code=3)
    assert "the upload failed; try again later" in line
    assert standin.submissions == [] and ledger.read() == []
    standin.fail("PUT two.csv", 500, times=1)
    kit("submit", file)
    assert len(standin.submissions) == 1 and standin.blobs[f"blob{len(standin.blobs) - 1}"][1]


@pytest.mark.parametrize("status", [0, 503])
def test_an_answer_that_was_lost_does_not_cost_a_second_submission(
    kit: Kit, standin: StandIn, file: Path, status: int
):
    kit("submit", file)
    standin.fail("CreateSubmission", status, after=True)
    kit("submit", file, "--again")
    assert len(standin.submissions) == 2 and ledger.read()[1]["ref"] == "1001"


def test_an_answer_without_a_reference_is_looked_up(kit: Kit, standin: StandIn, file: Path):
    standin.tells_refs = False
    assert "ref 1000" in kit("submit", file)
    standin.loses_submissions = True
    line = kit("submit", file, "--again", code=3)
    assert "gave no reference (Could not submit)" in line and len(ledger.read()) == 1


def test_refused_by_kaggle(kit: Kit, standin: StandIn, file: Path):
    standin.fail("CreateSubmission", 400, message="You have used all 5 submissions of today.")
    assert "400 (You have used all 5 submissions of today.)" in kit("submit", file, code=3)
    standin.fail("StartSubmissionUpload", 403, message="You must accept this competition's rules")
    assert "/rules, then run this again" in kit("submit", file, code=3)
    assert ledger.read() == []


def test_a_run_s_own_submission_brings_its_scores_and_kernel(kit: Kit, file: Path):
    run = Path("runs/convnext")
    run.mkdir(parents=True)
    (run / "recipe.toml").write_text('detector = "spectrum"\n')
    scores = {
        "data": "",
        "folds": [],
        "f1": 0.99,
        "corrupted": {"mean": {"f1": 0.8, "auc": 0.9}},
        "forecast": {"f1": 0.7, "auc": 0.8, "low": 0.7, "high": 0.9},
    }
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "kernel.json").write_text('{"kernel": "tester/humanmade-train-convnext", "version": 3}')
    kit("submit", shutil.copy(file, run / "submission.csv"))
    (row,) = ledger.read()
    assert (row["runs"], row["blend"], row["threshold"]) == ("convnext", "", "by rank")
    assert (row["fold_score"], row["shifted_score"], row["forecast"]) == ("0.99000", "0.80000", "0.70000")
    assert (row["kernel"], row["version"]) == ("tester/humanmade-train-convnext", "3")


def test_scores_fill_in_and_add_what_was_sent_elsewhere(kit: Kit, standin: StandIn, file: Path):
    kit("submit", file, "-m", "mine")
    for number in range(130):
        standin.blobs["web"] = (f"web{number}.csv", b"")
        standin.create_submission({"blobFileTokens": "web", "submissionDescription": f"web {number}"})
    standin.submissions[-1]["scored"]["privateScore"] = "0.71000"
    for submission in standin.submissions:
        submission["waits"] = 0
    said = kit("scores")
    rows = ledger.read()
    assert len(rows) == 131 and "web129.csv" in said
    assert (rows[0]["ref"], rows[0]["private"], rows[0]["note"]) == ("1000", "0.71000", "mine")
    assert (rows[130]["file"], rows[130]["note"], rows[130]["public"]) == ("web129.csv", "web 129", "0.75000")
    kit("scores")
    assert ledger.read() == rows
