import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from humanmade.data.balance import MOST, sharpness_weights

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=60)
"""Labels, and sharpness with ties."""


def per_level(labels: np.ndarray, levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of values (levels, 2) by level and class."""
    table = np.zeros((6, 2))
    np.add.at(table, (levels, labels), values)
    return table


@given(ROWS, st.integers(1, 20))
def test_weights_have_a_mean_of_one_and_a_limit(rows: list[tuple[int, int]], bins: int):
    labels, levels = np.array(rows).T
    weights = sharpness_weights(labels, levels, bins)
    assert weights.shape == (len(rows),) and weights.mean() == pytest.approx(1)
    assert weights.min() >= 0 and weights.max() <= MOST


@given(ROWS)
def test_both_classes_have_one_total_at_every_level(rows: list[tuple[int, int]]):
    labels, levels = np.array(rows).T
    # As many bins as rows, so every level has its own.
    weights = sharpness_weights(labels, levels, len(rows))
    counts = per_level(labels, levels, np.ones(len(rows)))
    totals = per_level(labels, levels, weights)
    rare = counts.min(axis=1)
    if not rare.any():
        assert (weights == 1).all(), "nothing can be balanced"
    elif 2 * rare.sum() / len(rows) >= 1 / MOST:
        assert totals[:, 0] == pytest.approx(totals[:, 1], abs=1e-6)
        assert (totals[rare > 0] > 0).all() and (totals[rare == 0] == 0).all()


@given(ROWS, st.integers(1, 20), st.randoms())
def test_neither_order_nor_scale_nor_the_names_of_the_classes_matter(
    rows: list[tuple[int, int]], bins: int, random
):
    labels, levels = np.array(rows).T
    weights = sharpness_weights(labels, levels, bins)
    order = np.array(random.sample(range(len(rows)), len(rows)))
    assert sharpness_weights(labels[order], levels[order], bins) == pytest.approx(weights[order])
    assert sharpness_weights(labels, np.exp(levels / 3), bins) == pytest.approx(weights)
    assert sharpness_weights(1 - labels, levels, bins) == pytest.approx(weights)


def test_sharpness_no_longer_tells_the_classes_apart():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    sharpness = rng.normal(size=3000) + labels
    weights = sharpness_weights(labels, sharpness, 20)
    assert roc_auc_score(labels, sharpness) > 0.7
    assert roc_auc_score(labels, sharpness, sample_weight=weights) == pytest.approx(0.5, abs=0.02)


def test_a_rare_class_lowers_its_bin_and_not_the_balance():
    # Level 0: 1 of 41 is generated, which alone would weigh 20; level 1: half and half.
    labels, levels = np.repeat([0, 1, 0, 1], [40, 1, 50, 50]), np.repeat([0, 1], [41, 100])
    weights = sharpness_weights(labels, levels, 200)
    totals = per_level(labels, levels, weights)
    assert totals[:, 0] == pytest.approx(totals[:, 1])
    assert weights.max() == pytest.approx(MOST) and weights[labels == 0].min() < 0.2
    assert weights[levels == 1] == pytest.approx(weights[-1])


def test_without_rows_there_are_no_weights():
    assert sharpness_weights([], []).shape == (0,)
