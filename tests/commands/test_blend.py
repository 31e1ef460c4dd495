from pathlib import Path

import pandas as pd
import pytest

from humanmade import ledger
from humanmade.commands import main


def test_blend_makes_a_submission_that_passes_the_gate(run: Path, capsys):
    test = pd.read_csv("runs/tinyprobe/test.csv")
    test.sample(frac=1, random_state=0).to_csv("shuffled.csv", index=False)
    for extra, ones in (
        ([], 4),
        (["--prevalence", "0.25"], 2),
        (["--threshold", "1e9"], 0),
        (["--method", "rank"], 4),
    ):
        out = f"s{ones}{len(extra)}{''.join(extra)[:5]}.csv"
        assert main(["blend", "tinyprobe", "shuffled.csv", "--out", out, "--data", str(run), *extra]) == 0
        assert main(["check", out, "--data", str(run), "--against", "runs/tinyprobe/submission.csv"]) == 0
        assert pd.read_csv(out)["label"].sum() == ones
    assert "labels differ" in capsys.readouterr().out
    assert main(["blend", "tinyprobe", "--out", "t.csv", "--threshold", "oof"]) == 0
    assert "nested out-of-fold F1" in capsys.readouterr().out


def test_a_blend_notes_its_origin_for_the_ledger(run: Path):
    pd.read_csv("runs/tinyprobe/test.csv").to_csv("other.csv", index=False)
    for members, extra in ((["runs/tinyprobe"], []), (["tinyprobe", "other.csv"], ["--threshold", "0.5"])):
        assert main(["blend", *members, "--out", "s.csv", "--data", str(run), "--force", *extra]) == 0
        noted = ledger.origin(Path("s.csv"))
        assert noted and noted["runs"] == ["tinyprobe", "other.csv"][: len(members)]
        assert noted["blend"] == "mean" and ("0.5" in noted["threshold"]) == bool(extra)
        assert (noted["fold_score"] is not None) == (len(members) == 1)


def test_labels_are_cut_by_rank_or_by_a_threshold(capsys: pytest.CaptureFixture[str]):
    blend = ["blend", "one.csv", "--out", "out.csv", "--prevalence", "0.4", "--threshold", "0"]
    assert main(blend) == 2
    assert "--threshold: cuts at a logit and --prevalence by rank" in capsys.readouterr().err


def test_without_data_nothing_is_checked_and_that_is_said(capsys: pytest.CaptureFixture[str]):
    Path("one.csv").write_text("id,logit\na,1\nb,-1\n")
    assert main(["blend", "one.csv", "--out", "out.csv", "--threshold", "-2"]) == 0
    said = capsys.readouterr().out
    assert "not checked against a test.csv: there is no run that knows its data; give --data" in said
    assert "2 rows, 2 labelled 1 (logit above -2)" in said
