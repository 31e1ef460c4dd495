import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade.detectors import heads
from humanmade.errors import UserError
from humanmade.schema import LinearHeadRecipe
from humanmade.training.checkpoint import save_weights

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(300, 8)).astype(np.float32)
LABELS = ((FEATURES[:, 0] > 0) ^ (FEATURES[:, 1] > 0.3)).astype(np.int64)


def linear(*shrinkage: float, **more: Any) -> LinearHeadRecipe:
    return LinearHeadRecipe(detector="probe", shrinkage=list(shrinkage), **more)


def fit(features: heads.Matrix, *others: Any) -> tuple[heads.Tensors, list[dict[str, float]]]:
    """`fit_linear` on a copy, as it works in place."""
    return heads.fit_linear(features.copy(), *others)


def test_linear_logits_separate_what_is_linear():
    labels = (FEATURES @ np.arange(8) > 0).astype(np.int64)
    tensors, tried = fit(FEATURES, labels, np.arange(300), linear(1e-6, 1.0), 0)
    assert tried[1]["logloss"] < tried[0]["logloss"]
    others = RNG.normal(size=(500, 8))
    assert ((heads.linear_logits(tensors, others) > 0) == (others @ np.arange(8) > 0)).mean() > 0.95


def test_a_constant_feature_does_no_harm():
    more = np.column_stack([FEATURES, np.ones(300, np.float32)])
    plain, _ = fit(FEATURES, LABELS, np.arange(300), linear(1.0), 0)
    tensors, _ = fit(more, LABELS, np.arange(300), linear(1.0), 0)
    expected = heads.linear_logits(plain, FEATURES)
    assert np.allclose(heads.linear_logits(tensors, more), expected, atol=1e-3)
    moved = np.column_stack([FEATURES, np.full(300, 2.0)])
    assert np.allclose(heads.linear_logits(tensors, moved), expected, atol=1e-3)


def test_the_difference_of_means_is_the_limit_of_shrinkage():
    labels = (FEATURES @ np.arange(8) + RNG.normal(size=300) > 0).astype(np.int64)
    strong, _ = fit(FEATURES, labels, np.arange(300), linear(1e-7), 0)
    difference, _ = fit(FEATURES, labels, np.arange(300), linear(1.0, head="difference"), 0)
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
        weighed, _ = fit(FEATURES, labels, np.arange(300), recipe, 0, copies.astype(float))
        copied, _ = fit(FEATURES[index], labels[index], index, recipe, 0)
        first, second = (heads.linear_logits(each, FEATURES) for each in (weighed, copied))
        assert np.allclose(first, second, atol=1e-3), head


def test_too_few_groups_to_choose_by_are_refused():
    labels, groups = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    with pytest.raises(UserError, match=r"shrinkage = \[0.1, 1.0\]; expected one value: .* only 2 groups"):
        fit(FEATURES[:4], labels, groups, linear(0.1, 1.0), 0)


def test_it_is_the_fit_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = FEATURES * np.arange(1, 9) + 100
    weights = RNG.uniform(0.5, 1.5, 300)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    double = features.astype(np.float64)
    model.fit(
        double, LABELS, standardscaler__sample_weight=weights, logisticregression__sample_weight=weights
    )
    tensors, _ = fit(features.astype(np.float32), LABELS, np.arange(300), linear(0.01), 0, weights)
    assert np.allclose(
        heads.linear_logits(tensors, features), model.decision_function(double), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("recipe", [linear(0.01), linear(0.01, 0.1), linear(1.0, head="difference")])
def test_a_fit_holds_little_beside_the_features(monkeypatch: pytest.MonkeyPatch, recipe: LinearHeadRecipe):
    monkeypatch.setattr(heads, "BLOCK", 2**16)
    monkeypatch.setattr(heads, "CHOOSING", 1000)
    features = RNG.normal(size=(20_000, 128)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    fit(FEATURES, LABELS, np.arange(300), recipe, 0)  # imports
    tracemalloc.start()
    heads.fit_linear(features, labels, np.arange(20_000), recipe, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3 * features.nbytes


@pytest.mark.parametrize("change", [{"weight": None}, {"weight": torch.zeros(7)}, {"more": torch.zeros(8)}])
def test_a_file_that_is_no_head_is_refused(tmp_path: Path, change: dict[str, torch.Tensor | None]):
    whole = {name: torch.ones(8) for name in heads.COLUMNS} | {"bias": torch.zeros(())}
    save_weights(tmp_path / heads.HEAD, whole, {})
    assert set(heads.load_head(tmp_path, {})) == set(whole)
    other = {name: tensor for name, tensor in (whole | change).items() if tensor is not None}
    save_weights(tmp_path / heads.HEAD, other, {})
    with pytest.raises(UserError, match=r"head\.safetensors: is not a linear head; remove"):
        heads.load_head(tmp_path, {})


def test_groups_that_choose_the_shrinkage_are_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heads, "CHOOSING", 10)
    monkeypatch.setattr(heads, "FEW", 3)
    groups = np.repeat(np.arange(20), 3)
    chosen = heads._some_groups(groups)
    assert len(chosen) == 9 and (np.unique(groups[chosen], return_counts=True)[1] == 3).all()
    assert heads._some_groups(groups[:10]).tolist() == list(range(10))


def test_of_few_large_groups_each_gives_a_part_to_choose_by(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heads, "CHOOSING", 40)
    groups = np.repeat(np.arange(8), [100, 90, 80, 3, 70, 60, 50, 40])
    chosen = heads._some_groups(groups)
    assert len(chosen) == 40 and (np.diff(chosen) > 0).all()
    counts = np.unique(groups[chosen], return_counts=True)[1]
    assert counts[3] == 3 and set(np.delete(counts, 3)) == {5, 6}


def test_groups_are_counted_where_they_choose():
    rows = pd.DataFrame({"label": [0, 0, 0, 1, 1], "group": [0, 1, 2, 3, 4]})
    with pytest.raises(UserError, match="only 2 groups"):
        heads.check_rows(rows, linear(0.1, 1))
    heads.check_rows(rows, linear(0.1))
    heads.check_rows(rows, linear(0.1, 1, head="difference"))
    heads.check_rows(rows, linear(0.1, 1, counterparts={"scales": [1.0]}))
    alone = linear(0.1, 1, counterparts={"scales": [1.0], "real_fakes": False})
    heads.check_rows(rows[rows["label"] == 0], alone)
