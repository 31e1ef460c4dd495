import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade import metrics
from humanmade.evaluation import forecast as forecasting
from humanmade.evaluation.forecast import auc_of_f1, distance, f1_at_prevalence, forecast, sharpened

FOLDS = [0.97, 0.98, 0.99]
WORLDS = forecasting.worlds(0.9, 0.6)
RNG = np.random.default_rng(0)


def embedding(count: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(count).normal(size=(count, 20)) + offset).astype(np.float32)


def test_a_test_set_like_train_gets_the_fold_score():
    near = distance(embedding(400), embedding(300))
    assert near.shift < 0.15 and near.unlike < 0.12
    said = forecast(FOLDS, WORLDS, 0.0, 10_000, 0.5)
    assert said.auc == pytest.approx(np.mean(FOLDS)) and said.low < said.auc < said.high
    assert said.high - said.low < 0.03


def test_a_test_set_unlike_train_gets_the_worlds():
    far = distance(embedding(400), embedding(300, offset=3.0))
    assert far.shift == 1.0 and far.unlike > 0.9 and far.means == pytest.approx(3.0, abs=0.3)
    said = forecast(FOLDS, WORLDS, 1.0, 10_000, 0.5)
    assert said.auc == pytest.approx((0.9 + 0.6 + 0.5 + 0.5) / 4)
    assert said.low < 0.56 and said.high > 0.69


def test_a_recipe_that_learned_from_reconstructions_is_known_for_them():
    assert forecasting.worlds(0.5, 0.8) == [0.8, 0.8, 0.5, 0.5]
    assert forecasting.worlds(0.9, 0.6) == [0.9, 0.6, 0.5, 0.5]
    assert forecasting.worlds(0.9, None) == [0.9, 0.5, 0.5, 0.5], "without an autoencoder nothing is known"


@given(st.floats(0, 1), st.floats(0.3, 1), st.floats(0.3, 1), st.floats(0.3, 1))
def test_worse_worlds_never_raise_a_forecast(shift: float, corrupted: float, one: float, other: float):
    low, high = sorted((one, other))
    worse, better = (forecast(FOLDS, forecasting.worlds(corrupted, x), shift, 500, 0.5) for x in (low, high))
    assert worse.auc <= better.auc + 1e-12
    for said in (worse, better):
        assert 0 <= said.low <= said.auc <= said.high <= 1


def test_a_small_test_set_widens_the_interval():
    small, large = (forecast(FOLDS, WORLDS, 0.5, size, 0.5) for size in (40, 40_000))
    assert small.auc == large.auc and small.high - small.low > 1.3 * (large.high - large.low)


def test_past_submissions_correct_it():
    plain = forecast(FOLDS, WORLDS, 1.0, 5000, 0.5)
    past = [(0.60, 0.70)] * 12
    said = sharpened(plain, past, 0.5)
    assert sharpened(plain, [], 0.5) == plain
    assert plain.f1 + 0.07 < said.f1 < plain.f1 + 0.10, "most of what was missed twelve times alike"
    assert said.high - said.low < 0.6 * (plain.high - plain.low)
    assert sharpened(plain, past[:1], 0.5).f1 - plain.f1 < 0.03


def test_one_bad_miss_makes_no_forecast_surer():
    plain = forecast(FOLDS, WORLDS, 1.0, 5000, 0.5)
    said = sharpened(plain, [(plain.f1, plain.f1 - 0.2)], 0.5)
    assert said.auc < plain.auc and said.high - said.low > plain.high - plain.low
    rare = forecast(FOLDS, WORLDS, 1.0, 5000, 0.2)
    assert sharpened(rare, [(0.31, 0.31)], 0.2).auc == pytest.approx(rare.auc, abs=1e-3)


@given(st.floats(0.05, 0.999), st.floats(0.1, 0.9))
def test_f1_and_auc_are_one_anothers_inverse(auc: float, prevalence: float):
    assert auc_of_f1(f1_at_prevalence(auc, prevalence), prevalence) == pytest.approx(auc, abs=1e-3)


@pytest.mark.parametrize("prevalence", [0.3, 0.5, 0.7])
def test_f1_at_the_prevalence_is_what_gaussian_logits_score(prevalence: float):
    labels = (RNG.random(40_000) < prevalence).astype(int)
    logits = RNG.normal(size=40_000) + 1.2 * labels
    cut = metrics.labels_at_prevalence([str(i) for i in range(40_000)], logits, float(labels.mean()))
    expected = f1_at_prevalence(metrics.auc(labels, logits), prevalence)
    assert metrics.f1(labels, cut) == pytest.approx(expected, abs=0.01)
