import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from humanmade import cli, ledger
from humanmade.cli import main
from humanmade.evaluation import compare as comparing
from humanmade.evaluation import forecast
from humanmade.evaluation.kept import Model
from tests.conftest import MakeFolder

VERBS = [
    "explain",
    "report",
    "bench",
    "reconstruct",
    "cv",
    "evaluate",
    "predict",
    "blend",
    "check",
    "compare",
    "audit",
    "demo",
]
VERBS += ["compare", "audit", "demo", "data", "push", "status", "pull", "submit", "scores", "weights"]


def test_help_is_free_of_heavy_imports():
    heavy = ["PIL", "albumentations", "cv2", "kaggle", "matplotlib", "numpy", "pandas", "pydantic"]
    heavy += ["scipy", "sklearn", "timm", "torch"]
    code = f"""if True:
        import sys
        from humanmade.cli import main
        try:
            main(["cv", "--help"])
        except SystemExit:
            print([name for name in {heavy} if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0 and f"example: humanmade {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cv", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        ([], "the following arguments are required: VERB"),
        (["cv", "--prevalence", "1.5"], "--prevalence: "),
        (["cv", "--limit", "0"], "--limit: "),
        (["cv", "--hours", "-1"], "--hours: "),
        (["cv", "--split", "random"], "--split: invalid choice: 'random'"),
        (["blend", "a"], "required: --out"),
    ],
)
def test_bad_arguments_exit_2(arguments: list[str], says: str, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cv", "nonsense", "--data", "."], "recipe 'nonsense': not found"),
        (["cv", "probe_lite0", "--data", "absent"], "absent: no such folder"),
        (["evaluate", "absent", "--data", "."], "run 'absent': not found"),
        (["check", "absent.csv", "--data", "."], "neither manifest.csv"),
        (["compare"], "no runs in runs/"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], says: str, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and error.startswith("humanmade: ") and error.count("\n") == 1


@pytest.fixture
def run(tiny_probe: Path, manifest_folder: MakeFolder) -> Path:
    folder = manifest_folder(pairs=8, test=4, sources=["a", "b"])
    assert main(["cv", str(tiny_probe), "--data", str(folder)]) == 0
    return folder


def test_evaluate_scores_test_rows_and_writes_logits(run: Path, capsys):
    capsys.readouterr()
    assert main(["evaluate", "tinyprobe", "--data", str(run), "--json", "--out", "e.csv"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["rows"] == 8 and set(scores["sources"]) == {"gen-a", "gen-b", "photo-a", "photo-b", "worst"}
    written = pd.read_csv("e.csv")
    assert list(written.columns) == ["id", "label", "source", "logit"]
    own = pd.read_csv("runs/tinyprobe/test.csv").set_index("id")["logit"]
    assert (written.set_index("id")["logit"] == own).all()
    assert "look 1 at this set" in scores["look"] and scores["looks"] == 1
    assert main(["evaluate", "tinyprobe", "--data", str(run)]) == 0
    assert "\nseen before as look 1 of 1 at this set (" in capsys.readouterr().out
    counted = pd.read_csv("runs/looks.csv")
    assert len(counted) == 1 and counted["auc"][0] == scores["auc"] and counted["verb"][0] == "evaluate"
    assert main(["evaluate", "tinyprobe", "--data", str(run), "--split", "train"]) == 0
    assert "trained on 16 of these 16 pictures" in capsys.readouterr().err


def test_a_named_repo_is_the_last_column(tiny_probe: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=6, repo=["forum", "shop"] * 6)
    assert main(["cv", str(tiny_probe), "--data", str(folder)]) == 0
    assert main(["evaluate", "tinyprobe", "--data", str(folder), "--out", "e.csv"]) == 0
    written = pd.read_csv("e.csv")
    assert list(written.columns) == ["id", "label", "source", "logit", "repo"]
    assert written["repo"].tolist() == ["forum", "shop"] * 6


def test_outputs_are_not_overwritten_silently(run: Path, capsys):
    Path("e.csv").write_text("mine")
    for verb in (["evaluate", "tinyprobe"], ["predict", "tinyprobe"], ["blend", "tinyprobe"]):
        arguments = [*verb, "--data", str(run), "--out", "e.csv"]
        assert main(arguments) == 2
        assert "e.csv: exists" in capsys.readouterr().err and Path("e.csv").read_text() == "mine"
    assert main([*arguments, "--force"]) == 0


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


def test_compare_shows_the_leaderboard_and_its_rank_correlation(run: Path, capsys):
    for number in (1, 2, 3):
        shutil.copytree("runs/tinyprobe", f"runs/r{number}")
        scores = json.loads(Path(f"runs/r{number}/scores.json").read_text())
        for fold in scores["folds"]:
            fold["f1"] = number / 4
        Path(f"runs/r{number}/scores.json").write_text(json.dumps(scores))
        assert main(["compare"]) == 0
        assert "rank correlation" not in capsys.readouterr().out
        ledger.record([{"ref": str(number), "runs": f"r{number}", "public": str(0.9 - number / 10)}])
    assert main(["compare"]) == 0
    shown = capsys.readouterr().out
    assert "rank correlation of fold F1 and public score: -1.00" in shown
    assert "3 looks at the public leaderboard: best F1 0.800 (look 1, )" in shown
    assert "up to 0.085 better" in shown, "0.846 standard deviations of 0.1"
    saved = pd.read_csv("runs/compare.csv").set_index("run")
    assert saved["public"]["r1"] == 0.8 and pd.isna(saved["public"]["tinyprobe"])


def test_compare_prints_and_saves(run: Path, tiny_probe: Path, capsys):
    assert main(["cv", str(tiny_probe), "--data", str(run), "--out", "runs/other", "--fold", "0"]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    shown = capsys.readouterr().out
    assert "tinyprobe" in shown and "1 (unfinished)" in shown
    saved = pd.read_csv("runs/compare.csv")
    assert set(saved["run"]) == {"tinyprobe", "other"} and {"f1", "spread", "fold0", "seconds"} <= set(
        saved.columns
    )


def test_compare_ranks_by_what_ranked_best_elsewhere(run: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    shutil.copytree("runs/tinyprobe", "runs/other")
    for name, folds, corrupted in (("tinyprobe", 0.9, 0.8), ("other", 0.8, 0.85)):
        scores = json.loads(Path(f"runs/{name}/scores.json").read_text())
        for fold in scores["folds"]:
            fold["auc"] = folds
        scores["corrupted"]["mean"]["auc"] = corrupted
        Path(f"runs/{name}/scores.json").write_text(json.dumps(scores))
    for ranking, first, score, said in (
        ("folds AUC", "tinyprobe", 0.9, "they are ranked by folds AUC\n"),
        ("0.3 folds + 0.7 corrupted", "other", 0.835, "ranked by 0.3 folds + 0.7 corrupted\n"),
        (Model("corrupted", (0.5,), 0.1), "other", 0.675, "the AUC that 'corrupted' foretells\n"),
    ):
        for module in (forecast, comparing):
            monkeypatch.setattr(module, "RANKING", ranking)
        assert main(["compare"]) == 0
        saved = pd.read_csv("runs/compare.csv")
        assert saved["run"][0] == first and saved["selection"][0] == pytest.approx(score)
        assert said in capsys.readouterr().out


def test_a_plain_folder_can_be_predicted(run: Path, tmp_path: Path):
    assert main(["predict", "tinyprobe", "--data", str(run / "images"), "--out", "p.csv"]) == 0
    assert len(pd.read_csv("p.csv")) == 24


def test_without_data_the_demo_says_so_first(tiny_probe: Path, capsys):
    assert main(["cv", str(tiny_probe), "--limit", "12", "--set", "folds=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("no --data and no competition in data/: this is the embedded demo")
    assert "hidden test labels" in out
    assert main(["demo", "mine"]) == 0 and Path("mine/train.csv").is_file()
    assert main(["demo", "mine"]) == 2 and "mine: exists" in capsys.readouterr().err


def test_data_holds_the_competition(tiny_probe: Path, competition_folder: MakeFolder, capsys):
    competition_folder(pairs=8, test=2).rename(Path("data"))
    assert main(["cv", str(tiny_probe)]) == 0
    assert "demo" not in capsys.readouterr().out
    assert Path("data") == cli.DATA


def test_labels_are_cut_by_rank_or_by_a_threshold(capsys: pytest.CaptureFixture[str]):
    blend = ["blend", "one.csv", "--out", "out.csv", "--prevalence", "0.4", "--threshold", "0"]
    with pytest.raises(SystemExit, match="2"):
        main(blend)
    assert "--threshold: not allowed with argument --prevalence" in capsys.readouterr().err


def test_a_look_that_cannot_be_counted_costs_no_scores(
    tiny_probe: Path, manifest_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    folder = manifest_folder(pairs=9)
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "runs/r"]) == 0
    Path("runs/looks.csv").write_text("this,is,no,ledger\n")
    assert main(["evaluate", "runs/r", "--data", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "\nAUC  " in said
    assert "not counted as a look: " in said and "looks.csv" in said
