import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from humanmade.detectors import heads

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 8))
LABELS = ((FEATURES[:, 0] > 0) ^ (FEATURES[:, 1] > 0.3)).astype(np.int64)


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
    tensors, tried = heads.fit_linear(FEATURES, labels, np.arange(300), [1e-6, 1.0], 3, 0)
    assert tried[1]["logloss"] < tried[0]["logloss"]
    assert ((heads.linear_logits(tensors, FEATURES) > 0) == labels).mean() > 0.95


def test_a_constant_feature_does_no_harm():
    tensors, _ = heads.fit_linear(
        np.column_stack([FEATURES, np.ones(300)]), LABELS, np.arange(300), [1.0], 3, 0
    )
    assert np.isfinite(heads.linear_logits(tensors, np.column_stack([FEATURES, np.full(300, 2.0)]))).all()
