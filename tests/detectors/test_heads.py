from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from humanmade.detectors import heads
from humanmade.recipe import LinearHeadRecipe

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 8))
LABELS = ((FEATURES[:, 0] > 0) ^ (FEATURES[:, 1] > 0.3)).astype(np.int64)


def linear(*shrinkage: float, **more: Any) -> LinearHeadRecipe:
    return LinearHeadRecipe("probe", shrinkage=list(shrinkage), **more)


def test_boosted_logits_are_scikit_learns(monkeypatch: pytest.MonkeyPatch):
    kept = []
    fit = HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        HistGradientBoostingClassifier, "fit", lambda self, x, y: kept.append(fit(self, x, y))
    )
    tensors = heads.fit_boosted(FEATURES, LABELS, 0)
    others = RNG.normal(size=(500, 8))
    assert np.allclose(heads.boosted_logits(tensors, others), kept[0].decision_function(others))
    assert ((heads.boosted_logits(tensors, FEATURES) > 0) == LABELS).mean() > 0.95


def test_linear_logits_separate_what_is_linear():
    labels = (FEATURES @ np.arange(8) > 0).astype(np.int64)
    tensors, tried = heads.fit_linear(FEATURES, labels, np.arange(300), linear(1e-6, 1.0), 0)
    assert tried[1]["logloss"] < tried[0]["logloss"]
    assert ((heads.linear_logits(tensors, FEATURES) > 0) == labels).mean() > 0.95


def test_a_constant_feature_does_no_harm():
    tensors, _ = heads.fit_linear(
        np.column_stack([FEATURES, np.ones(300)]), LABELS, np.arange(300), linear(1.0), 0
    )
    assert np.isfinite(heads.linear_logits(tensors, np.column_stack([FEATURES, np.full(300, 2.0)]))).all()


def test_the_difference_of_means_is_the_limit_of_shrinkage():
    labels = (FEATURES @ np.arange(8) + RNG.normal(size=300) > 0).astype(np.int64)
    strong, _ = heads.fit_linear(FEATURES, labels, np.arange(300), linear(1e-7), 0)
    difference, _ = heads.fit_linear(FEATURES, labels, np.arange(300), linear(head="difference"), 0)
    cosine = strong["weight"] @ difference["weight"] / np.linalg.norm(strong["weight"])
    assert cosine / np.linalg.norm(difference["weight"]) > 0.999
    logits = heads.linear_logits(difference, FEATURES)
    assert ((logits > 0) == labels).mean() > 0.8, "the logits are calibrated, not only ordered"


def test_clusters_held_out_choose_stronger_shrinkage_than_groups():
    # Within each cluster a feature of its own gives the label away; one weak feature does everywhere.
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(3), 100)
    labels = rng.integers(0, 2, 300)
    own = np.zeros((300, 3))
    own[np.arange(300), cluster] = (2 * labels - 1) * 3.0
    everywhere = ((2 * labels - 1) + rng.normal(size=300) * 2)[:, None]
    place = np.eye(3)[cluster] * 50
    features = np.column_stack([place, own, everywhere])
    chosen = {}
    for split in ("groups", "clusters"):
        recipe = linear(1e-4, 10.0, inner_split=split)
        _, tried = heads.fit_linear(features, labels, np.arange(300), recipe, 0)
        chosen[split] = tried
    assert chosen["groups"][1]["logloss"] < chosen["groups"][0]["logloss"]
    assert chosen["clusters"][0]["auc"] < 0.9, "held-out look-alikes are harder than held-out groups"
