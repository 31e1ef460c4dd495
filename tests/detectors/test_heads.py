from typing import Any

import numpy as np
import pytest

from humanmade.detectors import heads
from humanmade.errors import UserError
from humanmade.schema import LinearHeadRecipe

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 8))
LABELS = ((FEATURES[:, 0] > 0) ^ (FEATURES[:, 1] > 0.3)).astype(np.int64)


def linear(*shrinkage: float, **more: Any) -> LinearHeadRecipe:
    return LinearHeadRecipe(detector="probe", shrinkage=list(shrinkage), **more)


def test_linear_logits_separate_what_is_linear():
    labels = (FEATURES @ np.arange(8) > 0).astype(np.int64)
    tensors, tried = heads.fit_linear(FEATURES, labels, np.arange(300), linear(1e-6, 1.0), 0)
    assert tried[1]["logloss"] < tried[0]["logloss"]
    others = RNG.normal(size=(500, 8))
    assert ((heads.linear_logits(tensors, others) > 0) == (others @ np.arange(8) > 0)).mean() > 0.95


def test_a_constant_feature_does_no_harm():
    more = np.column_stack([FEATURES, np.ones(300)])
    plain, _ = heads.fit_linear(FEATURES, LABELS, np.arange(300), linear(1.0), 0)
    tensors, _ = heads.fit_linear(more, LABELS, np.arange(300), linear(1.0), 0)
    expected = heads.linear_logits(plain, FEATURES)
    assert np.allclose(heads.linear_logits(tensors, more), expected, atol=1e-3)
    moved = np.column_stack([FEATURES, np.full(300, 2.0)])
    assert np.allclose(heads.linear_logits(tensors, moved), expected, atol=1e-3)


def test_the_difference_of_means_is_the_limit_of_shrinkage():
    labels = (FEATURES @ np.arange(8) + RNG.normal(size=300) > 0).astype(np.int64)
    strong, _ = heads.fit_linear(FEATURES, labels, np.arange(300), linear(1e-7), 0)
    difference, _ = heads.fit_linear(FEATURES, labels, np.arange(300), linear(1.0, head="difference"), 0)
    cosine = strong["weight"] @ difference["weight"] / np.linalg.norm(strong["weight"])
    assert cosine / np.linalg.norm(difference["weight"]) > 0.999
    others = RNG.normal(size=(500, 8))
    truth = others @ np.arange(8) + RNG.normal(size=500) > 0
    logits = heads.linear_logits(difference, others)
    assert ((logits > 0) == truth).mean() > 0.8, "the logits are calibrated, not only ordered"


def test_weights_count_like_copies():
    labels = (FEATURES @ np.arange(8) + RNG.normal(size=300) > 0).astype(np.int64)
    copies = RNG.integers(1, 4, 300)
    index = np.repeat(np.arange(300), copies)
    for head in ("logistic", "difference"):
        recipe = linear(0.01, head=head)
        weighed, _ = heads.fit_linear(FEATURES, labels, np.arange(300), recipe, 0, copies.astype(float))
        copied, _ = heads.fit_linear(FEATURES[index], labels[index], index, recipe, 0)
        first, second = (heads.linear_logits(each, FEATURES) for each in (weighed, copied))
        assert np.allclose(first, second, atol=1e-3), head


def test_too_few_groups_to_choose_by_are_refused():
    labels, groups = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    with pytest.raises(UserError, match=r"shrinkage = \[0.1, 1.0\]; expected one value: .* only 2 groups"):
        heads.fit_linear(FEATURES[:4], labels, groups, linear(0.1, 1.0), 0)
