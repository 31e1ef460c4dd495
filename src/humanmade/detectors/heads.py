"""What stands on top of fixed features: linear and boosted classifiers, saved as plain tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from humanmade.detectors.base import Logits
from humanmade.errors import UserError

Tensors: TypeAlias = dict[str, npt.NDArray[np.float64]]
Matrix: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


def fit_linear(
    features: Matrix,
    labels: Integers,
    groups: Integers,
    shrinkage: Sequence[float],
    inner_folds: int,
    seed: int,
) -> tuple[Tensors, list[dict[str, float]]]:
    """Fit a standardised logistic regression, its shrinkage chosen by inner folds that keep groups.

    Args:
        features: (n, dimensions).
        labels: (n,) of 0 and 1.
        groups: (n,), what must not be split.
        shrinkage: values of C; a single one is taken as it is.

    Returns:
        Tensors for `linear_logits`, and what each shrinkage scored.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=shrinkage[0], max_iter=1000))
    tried: list[dict[str, float]] = []
    if len(shrinkage) > 1:
        fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
        if fewest < inner_folds:
            raise UserError(
                f"recipe: inner_folds = {inner_folds}, but a class has only {fewest} groups to train on; "
                "lower it, or give shrinkage one value"
            )
        inner = StratifiedGroupKFold(inner_folds, shuffle=True, random_state=seed)
        grid = {"logisticregression__C": list(shrinkage)}
        search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=inner)
        model = search.fit(features, labels, groups=groups).best_estimator_
        scores = search.cv_results_["mean_test_score"]
        tried = [{"shrinkage": c, "logloss": -float(s)} for c, s in zip(shrinkage, scores, strict=True)]
    else:
        model.fit(features, labels)
    scaler, head = model[0], model[1]
    tensors = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "weight": head.coef_[0],
        "bias": np.asarray(head.intercept_[0]),
    }
    return tensors, tried


def linear_logits(tensors: Tensors, features: Matrix) -> Logits:
    """Logits (n,) of features (n, dimensions)."""
    standard = (features - tensors["mean"]) / tensors["scale"]
    return np.asarray(standard @ tensors["weight"] + tensors["bias"])


NODE_FIELDS = ("value", "feature_idx", "num_threshold", "left", "right", "is_leaf")


def fit_boosted(features: Matrix, labels: Integers, seed: int) -> Tensors:
    """Fit gradient-boosted trees (scikit-learn's HistGradientBoosting).

    Its trees are kept as arrays of nodes, (trees, nodes), because pickles may carry code.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, l2_regularization=1.0,
        max_features=0.2, early_stopping=False, random_state=seed,
    )  # fmt: skip
    model.fit(features, labels)
    trees = [predictor.nodes for (predictor,) in model._predictors]
    size = max(map(len, trees))
    tensors: Tensors = {"baseline": np.asarray(model._baseline_prediction, dtype=np.float64).reshape(())}
    for field in NODE_FIELDS:
        padded = [np.pad(nodes[field].astype(np.float64), (0, size - len(nodes))) for nodes in trees]
        tensors[field] = np.stack(padded)
    return tensors


def boosted_logits(tensors: Tensors, features: Matrix) -> Logits:
    """Logits (n,) of features (n, dimensions): the leaves' values, summed over the trees."""
    rows = np.arange(len(features))
    total = np.full(len(features), float(tensors["baseline"]))
    integers = ("feature_idx", "left", "right")
    for tree in range(len(tensors["value"])):
        node = {name: tensors[name][tree] for name in NODE_FIELDS}
        feature, left, right = (node[name].astype(np.int64) for name in integers)
        place = np.zeros(len(features), dtype=np.int64)
        while not (leaf := node["is_leaf"][place] > 0).all():
            goes_left = features[rows, feature[place]] <= node["num_threshold"][place]
            place = np.where(leaf, place, np.where(goes_left, left[place], right[place]))
        total += node["value"][place]
    return total
