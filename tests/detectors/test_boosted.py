import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from humanmade.detectors import boosted

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 8))
LABELS = ((FEATURES[:, 0] > 0) ^ (FEATURES[:, 1] > 0.3)).astype(np.int64)


def test_boosted_logits_are_scikit_learns(monkeypatch: pytest.MonkeyPatch):
    kept = []
    fit = HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        HistGradientBoostingClassifier, "fit", lambda *args, **more: kept.append(fit(*args, **more))
    )
    tensors = boosted.fit(FEATURES, LABELS, 0)
    others = RNG.normal(size=(500, 8))
    assert np.allclose(boosted.logits(tensors, others), kept[0].decision_function(others))
    truth = (others[:, 0] > 0) ^ (others[:, 1] > 0.3)
    assert ((boosted.logits(tensors, others) > 0) == truth).mean() > 0.85
