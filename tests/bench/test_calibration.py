import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade.bench import calibration
from humanmade.bench.calibration import CANDIDATES, RULES, chosen, judge, usable
from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.evaluation.forecast import Model

WORLDS = ("one", "two", "far", "new")


def table(worlds: tuple[str, ...] = WORLDS, recipes: int = 6, seed: int = 0) -> pd.DataFrame:
    """Runs of recipes trained on each world and judged by the others; what they score is yet to be said."""
    rng = np.random.default_rng(seed)
    pairs = [(recipe, *pair) for pair in itertools.permutations(worlds, 2) for recipe in range(recipes)]
    rows = pd.DataFrame(pairs, columns=["recipe", "trained_on", "set"]).astype({"recipe": str})
    rows["folds"] = rng.uniform(0.7, 0.99, len(rows))
    rows["corrupted"] = rows["folds"] - rng.uniform(0, 0.1, len(rows))
    rows["sensitivity"] = rng.uniform(0.2, 0.6, len(rows))
    rows["flips"] = rng.uniform(0, 0.3, len(rows))
    return rows.assign(canary=np.nan, shift=1.0, zeros=2000, ones=2000)


def kept(rows: pd.DataFrame, share: float, seed: int = 1) -> pd.DataFrame:
    """Where a share of the fold score is kept, and nothing else matters."""
    noise = np.random.default_rng(seed).normal(0, 0.01, len(rows))
    return rows.assign(auc=0.5 + share * (rows["folds"] - 0.5) + noise)


def unsteady(seed: int = 1) -> pd.DataFrame:
    """Where the recipe with the best folds and corruptions reads files' histories, and scores worst."""
    rows = table()
    liar = rows["recipe"] == "0"
    rows.loc[liar, ["folds", "corrupted", "sensitivity"]] = [0.995, 0.99, 8.0]
    noise = np.random.default_rng(seed).normal(0, 0.01, len(rows))
    kept = 0.8 * (rows["corrupted"] - 0.5) / (1 + rows["sensitivity"])
    return rows.assign(auc=0.5 + kept + noise)


def test_steadiness_is_found_where_it_decides():
    rows = usable(unsteady())
    judged = judge(rows).set_index("score")
    model, ranking = chosen(rows, judged.reset_index())
    assert model.weights == {"steady": pytest.approx(0.8, abs=0.02)}
    assert ranking == model, "the forecast ranks as well as anything"
    assert judged["error"]["steady"] < 0.015 < 0.05 < judged["error"]["shrink"]
    assert judged["spearman"]["steady"] > 0.9 > 0.6 > judged["spearman"]["shrink"]
    assert judged["first_better"]["steady"] == 1.0 and judged["first_better"]["shrink"] == 0.0
    assert judged["first_better"]["0.3 folds + 0.7 corrupted"] == 0.0
    assert 0.6 < judged["held"]["steady"] <= 1.0 and 0.02 < judged["width"]["steady"] < 0.06
    assert list(judged.index) == [*CANDIDATES, *RULES] and judged["coefficients"]["facts"] == 6


def test_shrink_stays_where_nothing_is_better():
    rows = usable(kept(table(), 0.4))
    judged = judge(rows)
    model, ranking = chosen(rows, judged)
    assert model.weights == {"folds": pytest.approx(0.4, abs=0.02)}
    assert model.half_width == pytest.approx(1.28 * 0.01, rel=0.35)
    assert ranking == model
    better = judged.assign(error=judged["error"].mask(judged["score"] == "facts", judged["error"][1] - 0.004))
    assert [*chosen(rows, better)[0].weights] == ["folds"], "a hair's breadth is no reason"
    better = judged.assign(error=0.001)
    better.loc[better["score"] == "shrink", "error"] = 0.2
    assert [*chosen(rows, better)[0].weights] == ["one"], "of several better ones the simplest"


def test_a_rule_ranks_where_the_forecast_does_not():
    rows = usable(kept(table(), 0.4))
    judged = judge(rows).assign(spearman=0.1)
    judged.loc[judged["score"] == "0.3 folds + 0.7 corrupted", "spearman"] = 0.13
    assert chosen(rows, judged)[1] == Model({"folds": 0.3, "corrupted": 0.7})
    judged.loc[judged["score"] == "shrink", "spearman"] = 0.115
    assert chosen(rows, judged)[1] == chosen(rows, judged)[0], "a tie goes to the forecast"
    judged.loc[judged["score"] == "facts", "spearman"] = 0.5
    ranking = chosen(rows, judged)[1]
    assert tuple(ranking.weights) == CANDIDATES["facts"] and ranking.half_width > 0


def test_a_judged_world_is_never_seen_by_the_fit():
    rows = kept(table(), 0.4)
    joined = rows[rows["set"] == "new"].assign(trained_on="one + far", recipe="joined")
    both = usable(pd.concat([rows, joined], ignore_index=True))
    before = calibration.left_out("shrink", both)
    for changed in (both["set"] == "far", both["trained_on"].str.contains("far")):
        other = both.assign(auc=both["auc"].mask(changed, 0.99))
        after = calibration.left_out("shrink", other)
        same = both["set"] == "far"
        assert (after[same] == before[same]).all() and (after[~same] != before[~same]).any()
    outside = both.assign(set=both["set"].mask(both.index < 3, "together"), auc=0.9)
    assert len(usable(outside)) == len(both) - 3


def test_intervals_are_as_wide_as_worlds_left_out_earlier_missed():
    rows = usable(kept(table(recipes=12), 0.4).assign(zeros=10**8, ones=10**8))
    judged = judge(rows).set_index("score").loc["shrink"]
    assert judged["width"] == pytest.approx(2 * 1.28 * 0.01, rel=0.25) and 0.65 < judged["held"] < 0.95
    said = calibration.left_out("shrink", rows)
    odd = rows["set"] == "far"
    strange = rows.assign(auc=rows["auc"].mask(odd, 0.1))
    wide = calibration.intervals("shrink", strange, calibration.left_out("shrink", strange))
    narrow, own = (
        calibration.intervals("shrink", rows, said),
        (rows["set"].loc[said.index] == "far").to_numpy(),
    )
    assert (wide[own] == narrow[own]).all(), "an interval knows nothing of the world that it is for"
    assert wide[~own].min() > 3 * narrow[~own].max()
    few = calibration.intervals("shrink", rows.assign(zeros=50, ones=50), said)
    assert few.min() > 0.06, "a small set is read off with an error of its own"


def test_coefficients_are_of_raw_facts_and_of_the_shifted_share():
    rows = usable(table(recipes=30).assign(auc=0.5))
    truth = Model(dict(zip(CANDIDATES["facts"], (0.05, 0.3, -0.2, -0.05, 0.1, 0.0), strict=True)))
    exact = usable(rows.assign(shift=np.tile([0.3, 1.0], len(rows) // 2)))
    exact["auc"] = truth.foretold(exact)
    assert (calibration.fit("facts", exact).foretold(exact) - truth.foretold(exact)).abs().max() < 0.003
    exact["auc"] = Model({"folds": 0.4}).foretold(exact)
    fitted = calibration.fit("shrink", exact)
    assert fitted.weights == {"folds": pytest.approx(0.4)}, "near sets do not bias it"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (table(("one", "two")), "at least 3 worlds are needed where each is trained on"),
        (table()[lambda rows: rows["set"] == "far"], "1 judged worlds with fold scores"),
        (table().assign(folds=np.nan), "0 judged worlds"),
        (table().assign(shift=0.0), "0 judged worlds"),
    ],
)
def test_too_few_worlds_are_refused(rows: pd.DataFrame, says: str):
    with pytest.raises(UserError, match=says):
        usable(rows.assign(auc=0.6))
    one = table()[lambda rows: rows["trained_on"] == "one"]
    assert len(usable(one.assign(auc=0.6))) == len(one), "one training world, several sets"


def test_one_training_world_can_be_calibrated():
    rows = usable(kept(table(), 0.4)[lambda rows: rows["trained_on"] == "one"])
    assert judge(rows).set_index("score")["error"]["shrink"] < 0.02


def test_a_table_is_calibrated_from_the_command_line(tmp_path: Path, capsys):
    path = tmp_path / "forecast.csv"
    unsteady().to_csv(path, index=False)
    assert main(["bench", "--calibrate", "--table", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "72 rows of 6 recipes, each world left out in turn (two, far, new, one)" in shown
    assert "| score | coefficients | error | held | width | spearman | first_better |" in shown
    assert "\nMODEL = Model(weights={'steady': 0." in shown and shown.endswith("\nRANKING = MODEL\n")
    infinite = unsteady().astype({"sensitivity": object})
    infinite.loc[0, "sensitivity"] = "inf"
    infinite.to_csv(path, index=False)
    assert np.isinf(calibration.read(path)["sensitivity"][0])
    for column, value in (("auc", "high"), ("flips", "nan")):
        bad = unsteady().astype({column: object})
        bad.loc[1, column] = value
        bad.to_csv(path, index=False)
        assert main(["bench", "--calibrate", "--table", str(path)]) == 2
        assert f"line 3: column '{column}' is '{value}'; expected a number" in capsys.readouterr().err
    unsteady().drop(columns="flips").to_csv(path, index=False)
    assert main(["bench", "--calibrate", "--table", str(path)]) == 2
    assert "column 'flips' is missing" in capsys.readouterr().err


def test_constants_can_be_pasted():
    rows = kept(table(), 0.4)
    model, ranking = calibration.report(rows)[-1].splitlines()
    chosen_model, _ = chosen(usable(rows), judge(usable(rows)))
    assert eval(model.partition(" = ")[2]) == chosen_model and ranking == "RANKING = MODEL"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--table", "t.csv"], "--table: only --calibrate reads it"),
        (["--table", "t.csv", "--calibrate", "--data", "d"], "--data: with --table nothing is measured"),
        (["spectrum", "--table", "t.csv", "--calibrate"], "recipes: with --table nothing is measured"),
        (["--table", "t.csv", "--calibrate", "--fold", "0"], "--fold: with --table nothing is measured"),
        (["--table", "t.csv", "--calibrate", "--seeds", "2"], "--seeds: with --table nothing is measured"),
        ([], "no recipes given"),
        (["spectrum"], "no --data given"),
        (["spectrum", "--data", "d", "--calibrate"], "--calibrate: comes with --each"),
        (["spectrum", "--data", "d", "--joined"], "--joined: comes with --each"),
        (["spectrum", "--data", "d", "--data", "e", "--each", "--calibrate"], "needs three worlds"),
        (
            ["spectrum", "--data", "d", "--each", "--calibrate", "--fold", "all"],
            "--fold all has none",
        ),
    ],
)
def test_combinations_without_a_meaning_are_refused(words: list[str], says: str, capsys):
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_few_worlds_that_miss_differently_widen_the_interval():
    """Rows of a world miss alike, so it is the number of worlds that counts, not of rows."""
    shift = {"one": 0.08, "two": -0.08, "far": 0.08, "new": -0.08}
    rows = kept(table(recipes=40), 0.4).assign(shift=1.0)
    rows["auc"] += rows["set"].map(shift)
    width = calibration.fitted("shrink", usable(rows)).half_width
    fewer = calibration.fitted("shrink", usable(rows[rows["set"].isin(["one", "two", "far"])])).half_width
    missed = (usable(rows)["auc"] - calibration.left_out("shrink", usable(rows))).abs()
    assert 1.4 * missed.quantile(0.8) < width < 2 * missed.quantile(0.8)
    assert fewer > width, "and fewer worlds tell less"
    judged = judge(usable(rows)).set_index("score")
    assert judged["held"]["shrink"] > 0.8
