import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade import metrics
from humanmade.bench import calibration
from humanmade.evaluation import forecast as forecasting
from humanmade.evaluation.distance import compare
from humanmade.evaluation.forecast import (
    Facts,
    Model,
    auc_of_f1,
    f1_at_prevalence,
    facts_of,
    forecast,
    sharpened,
    shown,
)
from humanmade.scores import CorruptedScores, Distance, FoldScores, Scores, Steadiness

KNOWN = Facts(folds=0.98, corrupted=0.9, sensitivity=1.0, flips=0.2, canary=0.7, shift=1.0)
RNG = np.random.default_rng(0)
TABLE = Path(__file__).parents[2] / "docs" / "tables" / "forecast.csv"


def at(shift: float) -> Facts:
    return Facts(**KNOWN | {"shift": shift})


def embedding(count: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(count).normal(size=(count, 20)) + offset).astype(np.float32)


def test_a_test_set_like_train_gets_the_fold_score():
    near = compare(embedding(400), embedding(300))
    assert near.shift < 0.15 and near.unlike < 0.12
    said = forecast(at(0.0), 0.01, 10_000, 0.5)
    assert said.auc == pytest.approx(0.98) and said.low < said.auc < said.high
    assert said.high - said.low < 0.03
    loose = forecast(at(0.0) | {"folds": 0.8}, 0.1, 10**8, 0.5)
    assert loose.high - loose.auc == pytest.approx(1.2816 * 0.1, abs=1e-4), "as folds do, so may the test set"


def test_a_test_set_unlike_train_gets_what_was_kept_elsewhere(monkeypatch: pytest.MonkeyPatch):
    far = compare(embedding(400), embedding(300, offset=3.0))
    assert far.shift == 1.0 and far.unlike > 0.9
    monkeypatch.setattr(forecasting, "MODEL", Model({"steady": 0.3}, 0.1))
    said = forecast(at(1.0), 0.01, 100_000, 0.5)
    assert said.auc == pytest.approx(0.5 + 0.3 * 0.4 / 2)
    assert said.high - said.auc == pytest.approx(0.1, abs=0.001), "the folds' spread says nothing there"
    half = forecast(at(0.5), 0.01, 100_000, 0.5)
    assert half.auc == pytest.approx((0.98 + said.auc) / 2) and half.high - half.low < said.high - said.low


def test_a_forecast_may_be_worse_than_chance(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecasting, "MODEL", Model({"steady": -0.2, "canary": 0.05}, 0.02))
    said = forecast(KNOWN, 0.01, 10_000, 0.5)
    assert said.auc == pytest.approx(0.5 - 0.2 * 0.2 + 0.05 * 0.2) and said.high < 0.5
    assert said.f1 < 0.5
    monkeypatch.setattr(forecasting, "MODEL", Model({"folds": -9.0}, 0.02))
    assert forecast(KNOWN, 0.01, 10_000, 0.5).auc == 0.0, "no AUC is below 0"


def test_models_weigh_what_is_known():
    terms = ("folds", "corrupted", "sensitivity", "flips", "canary")
    every = Model({"one": 0.1} | dict.fromkeys(terms, 1.0))
    assert every.elsewhere(KNOWN) == pytest.approx(0.5 + 0.1 + 0.48 + 0.4 + math.log(2) + 0.2 + 0.2)
    blind = KNOWN | {"canary": math.nan, "sensitivity": math.inf}
    assert every.elsewhere(blind) == pytest.approx(0.5 + 0.1 + 0.48 + 0.4 + math.log(11) + 0.2)
    assert Model({"steady": 1.0}).elsewhere(blind) == 0.5, "classes that do not lie apart are chance"
    table = pd.DataFrame([KNOWN, blind])
    assert every.elsewhere(table).tolist() == [every.elsewhere(KNOWN), every.elsewhere(blind)]


def test_facts_are_read_from_the_scores():
    folds = [FoldScores(fold, 1.0, 9.0, f1=0.5, auc=auc, logloss=0.1) for fold, auc in enumerate((0.9, 1.0))]
    scores = Scores(
        "",
        folds,
        corrupted={"mean": CorruptedScores(0.8, 0.7)},
        steadiness=Steadiness(math.inf, 0.1),
        canaries={"size": 0.6, "codec": 0.9, "lost": math.nan},
        distance=Distance(0.7, 0.1),
    )
    expected = {"folds": 0.95, "corrupted": 0.8, "sensitivity": math.inf, "flips": 0.1, "canary": 0.9}
    assert facts_of(scores) == pytest.approx(expected | {"shift": 0.5})
    bare = facts_of(dataclasses.replace(scores, canaries={}, distance=None))
    assert bare and math.isnan(bare["canary"]) and bare["shift"] == 1.0
    assert facts_of(dataclasses.replace(scores, folds=[])) is None


def test_what_is_shipped_is_what_the_table_gives():
    rows = calibration.usable(calibration.read(TABLE))
    assert calibration.chosen(rows, calibration.judge(rows)) == (forecasting.MODEL, forecasting.RANKING)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.3, 1))
def test_intervals_lie_around_the_forecast(shift: float, folds: float, corrupted: float):
    said = forecast(at(shift) | {"folds": folds, "corrupted": corrupted}, 0.02, 500, 0.5)
    assert 0 <= said.low <= said.auc <= said.high <= 1


def test_a_small_test_set_widens_the_interval():
    small, large = (forecast(at(0.5), 0.01, size, 0.5) for size in (40, 40_000))
    assert small.auc == large.auc and small.high - small.low > 1.3 * (large.high - large.low)


def test_past_submissions_correct_it():
    plain = forecast(KNOWN, 0.01, 5000, 0.5)
    past = [(0.60, 0.70)] * 12
    said = sharpened(plain, past, 0.5)
    assert sharpened(plain, [], 0.5) == plain
    assert plain.f1 + 0.07 < said.f1 < plain.f1 + 0.10, "most of what was missed twelve times alike"
    assert said.high - said.low < 0.6 * (plain.high - plain.low)
    assert sharpened(plain, past[:1], 0.5).f1 - plain.f1 < 0.03


def test_what_is_shown_is_corrected_by_other_submissions_on_the_same_data():
    made = Scores("one", forecast=forecast(KNOWN, 0.01, 5000, 0.5))
    rows = [
        {"ref": str(number), "runs": run, "data": data, "forecast": "0.6", "public": "0.7"}
        for number, (run, data) in enumerate([("a", "one"), ("own", "one"), ("b", "two"), ("c", "")])
    ]
    said = shown(made, "own", rows).forecast
    assert said == dataclasses.replace(sharpened(made.forecast, [(0.6, 0.7)], 0.5), submissions=1)
    assert said.f1 > made.forecast.f1 and said.correction == "corrected by 1 submission"
    assert shown(made, "a", rows[:1]) == made and made.forecast.correction == "not corrected"
    assert shown(Scores("one"), "own", rows).forecast is None


def test_one_bad_miss_makes_no_forecast_surer():
    plain = forecast(KNOWN, 0.01, 5000, 0.5)
    said = sharpened(plain, [(plain.f1, plain.f1 - 0.4)], 0.5)
    assert said.auc < plain.auc and said.high - said.low > plain.high - plain.low
    rare = forecast(KNOWN, 0.01, 5000, 0.2)
    assert sharpened(rare, [(0.31, 0.31)], 0.2).auc == pytest.approx(rare.auc, abs=1e-3)


@given(st.floats(0.05, 0.999), st.floats(0.1, 0.9))
def test_f1_and_auc_are_one_anothers_inverse(auc: float, prevalence: float):
    assert auc_of_f1(f1_at_prevalence(auc, prevalence), prevalence) == pytest.approx(auc, abs=1e-3)


def test_an_f1_that_no_auc_gives_is_the_nearest_one():
    assert auc_of_f1(0.5, 0.9) == 0.0 and auc_of_f1(0.0, 0.5) < 1e-3 and auc_of_f1(1.0, 0.5) > 0.999
    assert f1_at_prevalence(0.0, 0.5) < 1e-3 and f1_at_prevalence(1.0, 0.5) > 0.999
    assert f1_at_prevalence(0.5, 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("prevalence", [0.3, 0.5, 0.7])
def test_f1_at_the_prevalence_is_what_gaussian_logits_score(prevalence: float):
    labels = (RNG.random(40_000) < prevalence).astype(int)
    logits = RNG.normal(size=40_000) + 1.2 * labels
    cut = metrics.labels_at_prevalence([str(i) for i in range(40_000)], logits, float(labels.mean()))
    expected = f1_at_prevalence(metrics.auc(labels, logits), prevalence)
    assert metrics.f1(labels, cut) == pytest.approx(expected, abs=0.01)
