"""Rankings of made-up runs: only what is known decides, and what is noise is called so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade import files, ledger, metrics
from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.evaluation import compare as comparing
from humanmade.evaluation import significance, worth
from humanmade.evaluation.blend import Blend, read_member
from humanmade.run import Run
from humanmade.scores import CorruptedScores, FoldScores, Forecast, Scores, Steadiness

PICTURES, TEST = 240, 400
NOISE = np.random.default_rng(0).normal(size=(4, PICTURES + TEST))


def run_of(name: str, apart: float, noise: int = 0, fold: int = 0, **values: object) -> Run:
    """A run whose logits of the classes lie apart by so much, under one of four noises."""
    folder, ids = Path("runs") / name, [f"t{number:03}" for number in range(PICTURES)]
    labels = np.arange(PICTURES) % 2
    groups = np.arange(PICTURES) // 2
    logits = apart * labels + NOISE[noise, :PICTURES]
    table = pd.DataFrame({"id": ids, "label": labels, "fold": (groups + fold) % 3, "logit": logits})
    recipes.save(recipes.load("probe_lite0"), folder / "recipe.toml")
    files.write_csv(folder / "folds.csv", table[["id", "fold"]].assign(group=groups))
    files.write_csv(folder / "oof.csv", table)
    test = apart * (np.arange(TEST) % 2) + NOISE[noise, PICTURES:]
    files.write_csv(folder / "test.csv", pd.DataFrame({"id": range(TEST), "logit": test}))
    corrupted = {"mean": CorruptedScores(0.5 + apart / 10, 0.5), "jpeg50": CorruptedScores(0.5, 0.5)}
    scores = Scores(
        data="one",
        folds=[FoldScores(fold, 1.0, 1.0, f1=0.5, auc=0.5 + apart / 10, logloss=0.5) for fold in range(3)],
        corrupted=corrupted,
        steadiness=Steadiness(0.5, 0.1),
        scale=1.0,
        forecast=Forecast(0.5 + apart / 10, 0.5, 0.4 + apart / 10, 0.6 + apart / 10),
    )
    replace(scores, **values).write(folder / "scores.json")
    return Run(folder)


def with_corruptions(run: Run) -> None:
    """Its held-out logits again, as if a corruption had changed nothing."""
    oof = pd.read_csv(run.folder / "oof.csv", dtype={"id": str})
    for fold, rows in oof.groupby("fold"):
        table = rows[["id"]].assign(clean=rows["logit"], jpeg50=rows["logit"])
        files.write_csv(run.folder / f"fold{fold}" / "corrupted.csv", table)
        files.write_text(run.folder / f"fold{fold}" / "scores.json", "{}")


def sent(name: str, public: float, **values: str) -> ledger.Row:
    return {"ref": f"{name}{public}", "runs": name, "public": str(public), "forecast": "0.6", **values}


def test_what_was_submitted_comes_first_by_its_score_and_the_rest_by_the_ranking():
    runs = [run_of(name, apart) for name, apart in (("a", 0.5), ("b", 2.0), ("c", 1.0), ("d", 1.5))]
    table = comparing.compare(runs, [sent("a", 0.55), sent("c", 0.75)])
    assert table["run"].tolist() == ["c", "a", "b", "d"]
    assert table["tied"][1] == "", "leaderboard scores are far apart, whatever the intervals are"
    assert "leaderboard" in comparing.compare(runs, [sent("a", 0.74), sent("c", 0.75)])["tied"].tolist()


def test_runs_of_other_data_and_unfinished_ones_stand_apart():
    run_of("a", 1.0, data="two", data_folders=["data/wild"])
    run_of("b", 2.0, unfinished=True), run_of("c", 0.5), run_of("d", 1.0)
    table, text = comparing.report([Run.find(name) for name in "abcd"])
    assert table["run"].tolist() == ["a", "d", "c", "b"]
    assert table["data"].tolist() == ["wild two", "data one", "data one", "data one"]
    places = [text.index(f"{said}:\n") for said in ("wild two, forecasts not corrected",
              "data one, forecasts not corrected", "data one, unfinished and not ranked")]  # fmt: skip
    assert places == sorted(places)
    assert table["tied"].tolist()[0::3] == ["", ""]


def test_the_forecast_is_corrected_by_other_submissions_on_the_same_data():
    runs = [run_of("a", 1.0), run_of("b", 1.0), run_of("c", 1.0, data="two")]
    table, text = comparing.report(runs, [sent("a", 0.9), sent("c", 0.9)])
    corrected = table.set_index("run")
    assert corrected["corrected_by"].to_dict() == {"a": 0, "b": 1, "c": 0}
    assert corrected["forecast"]["b"] > 0.65 and corrected["forecast"]["a"] == 0.6
    assert "data one, forecasts corrected by 0 to 1 submissions:" in text
    assert "two, forecasts not corrected:" in text


def test_neighbours_are_tied_by_the_folds_or_by_their_forecasts():
    runs = [run_of("a", 2.0, noise=0), run_of("b", 1.9, noise=1), run_of("c", 0.3), run_of("d", 0.2, fold=1)]
    far = replace(runs[3].scores, forecast=Forecast(0.2, 0.2, 0.1, 0.25))
    table, text = comparing.report(runs)
    assert table["run"].tolist() == ["a", "b", "c", "d"]
    assert table["tied"].tolist() == ["", "folds", "", "forecast"], "the folds tell b and c apart"
    assert "= tied with the one above (by folds: a paired difference within noise; by forecast:" in text
    assert "against a, on the same folds:\n  b: F1 " in text and "d: no folds of the same rows" in text
    far.write(runs[3].folder / "scores.json")
    assert comparing.compare(runs)["tied"][3] == ""


def test_a_run_whose_scores_cannot_be_read_is_left_out(capsys: pytest.CaptureFixture[str]):
    run_of("a", 2.0)
    damaged = run_of("b", 1.0).folder / "scores.json"
    damaged.write_text("{")
    assert main(["compare"]) == 0
    said = capsys.readouterr()
    assert "warning: left out: runs/b/scores.json: " in said.err and "runs are ranked by" in said.out
    assert main(["compare", "a", "b"]) == 2, "one that is named is not"
    assert "runs/b/scores.json: " in capsys.readouterr().err
    (Path("runs/a") / "scores.json").unlink()
    assert main(["compare"]) == 2
    assert "no runs in runs/ that have scores" in capsys.readouterr().err


def test_two_runs_are_compared_in_words():
    one, two = run_of("a", 2.0), run_of("b", 0.3)
    text = comparing.report([two, one])[1]
    assert "against a, on the same folds:\n  b: F1 -" in text and text.count(": worse") == 2
    assert "no folds of the same rows" in comparing.report([one, run_of("c", 1.0, fold=1)])[1]
    assert "against" not in comparing.report([one, run_of("d", 1.0, data="two")])[1], "of other data"


def test_runs_of_one_name_keep_their_own_folds(tmp_path: Path):
    one, other = run_of("same", 2.0, 0), run_of("../elsewhere/same", 0.2, 1)
    ranking = comparing.rank([one, other])
    assert ranking.differences(0, 1)["auc"].verdict == "better"


def test_a_forecast_that_lacks_something_is_marked():
    table, text = comparing.report([run_of("a", 1.0, lacking=["embeddings"])])
    assert table["lacks"][0] == "embeddings" and "0.600?" in text
    assert "\n? a forecast made without embeddings\n" in text
    assert "0.600?" not in comparing.report([run_of("a", 1.0)])[1]


def test_a_leaderboards_noise_shrinks_with_its_pictures():
    assert significance.leaderboard_noise(0.75, 5540) == pytest.approx(0.0228, abs=1e-3)
    assert significance.leaderboard_noise(0.75, 50) > 0.2


def test_a_blend_is_a_row_and_says_what_it_is_worth(capsys: pytest.CaptureFixture[str]):
    for name, noise in (("a", 0), ("b", 1), ("c", 2)):
        run_of(name, 1.5, noise, corrupted={}, forecast=None)
    assert main(["blend", "a", "b", "c", "--out", "submissions/three.csv"]) == 0
    text = capsys.readouterr().out
    assert "better than the best member on the folds, " in text and ": yes\n  F1 +" in text
    assert "rank correlation of out-of-fold logits:\n" in text and "\nthe blend " in text
    assert "not compared with the best member's submission: runs/" in text
    assert f"{worth.ADDS}:\n  a: F1 +" in text
    ledger.record([ledger.describe(Path("submissions/three.csv")) | {"ref": "1", "public": "0.8"}])
    assert main(["compare"]) == 0
    table = pd.read_csv("runs/compare.csv").set_index("run")
    assert set(table.index) == {"a", "b", "c", "submissions/three.csv"}
    blend = table.loc["submissions/three.csv"]
    assert blend["auc"] > 0.85 and blend["fold0"] > 0.7
    assert blend["public"] == 0.8 and table["public"].isna().sum() == 3 and table.index[0] == blend.name
    assert "  a: F1 -" in capsys.readouterr().out, "its held-out logits are those of its members"
    assert main(["compare", "a", "submissions/three.csv"]) == 0
    assert "against submissions/three.csv, on the same folds:" in capsys.readouterr().out
    run_of("b", 0.5, 3, corrupted={}, forecast=None)
    assert main(["compare", "a", "submissions/three.csv"]) == 0
    assert "a: no folds of the same rows" in capsys.readouterr().out, "a member was trained anew since"
    files.write_text(Path("mine.csv"), "id,label\n")
    assert main(["compare", "a", "mine.csv"]) == 2 and "mine.csv: not a blend" in capsys.readouterr().err


def test_a_blend_that_cannot_be_scored_says_so():
    run_of("a", 1.0), run_of("b", 1.0, data="two")
    members = [read_member("a"), read_member("b")]
    assert worth.lines(Blend(members[:1], "mean"), {}) == []
    blend = Blend(members, "mean")
    assert worth.lines(blend, {})[0].startswith("worth: not known; that needs runs of the")
    assert worth.additions(blend) == []


def test_a_blend_is_foretold_at_the_share_by_which_it_is_cut():
    for name, noise in (("a", 0), ("b", 1)):
        with_corruptions(run_of(name, 1.0, noise))
    members = [read_member("a"), read_member("b")]
    even, more = (Blend(members, "mean", share).scores for share in (None, 0.7))
    assert even and more and even.forecast and more.forecast
    assert (even.prevalence, more.prevalence) == (0.5, 0.7)
    assert even.forecast.auc == more.forecast.auc and more.forecast.f1 > even.forecast.f1 + 0.05


def test_a_fold_that_holds_nothing_out_first_is_blended_too():
    for name in ("a", "b"):
        run = run_of(name, 1.0)
        with_corruptions(run)
        for table in ("oof.csv", "folds.csv"):
            rows = pd.read_csv(run.folder / table, dtype={"id": str})
            files.write_csv(run.folder / table, rows.assign(fold=rows["fold"].replace(1, 0)))
    oof = pd.read_csv("runs/a/oof.csv")
    blend = Blend([read_member("a"), read_member("b")], "climb")
    corrupted = blend.members[0].corrupted
    assert corrupted is not None and set(corrupted["fold"]) == {0, 1, 2}
    assert set(blend.held_out["fold"]) == {0, 2}
    assert blend.scores.corrupted["jpeg50"].auc == pytest.approx(metrics.auc(oof["label"], oof["logit"]))


def test_what_each_member_adds_is_the_blend_less_the_blend_of_the_others():
    for name, apart, noise in (("good", 2.5, 0), ("like", 2.4, 0), ("noise", 0.0, 1)):
        with_corruptions(run_of(name, apart, noise))
    members = [read_member(name) for name in ("good", "like", "noise")]
    added = {addition.name: addition for addition in worth.additions(Blend(members, "mean"))}
    assert list(added) == ["good", "like", "noise"]
    whole, rest = (Blend(some, "mean") for some in (members, members[:2]))
    found = significance.differences(*(significance.sample(made.held_out, 0.5) for made in (whole, rest)))
    assert added["noise"].folds == significance.decisive(found)
    assert added["good"].folds.mean > added["noise"].folds.mean, "the noise is what it would be left with"
    foretold = whole.scores.forecast.auc - rest.scores.forecast.auc
    assert added["noise"].forecast == pytest.approx(foretold) and foretold < 0
    assert str(added["noise"]).endswith(f"; forecast AUC {foretold:+.4f}")
    of_two = worth.additions(Blend(members[::2], "mean"))
    alone = significance.sample(Blend(members[2:], "mean").held_out, 0.5)
    against = significance.differences(significance.sample(Blend(members[::2], "mean").held_out, 0.5), alone)
    assert of_two[0].folds == significance.decisive(against), "of two, against the other alone"
