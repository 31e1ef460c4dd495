"""Gradient-boosted trees on fixed features, saved as plain tensors."""

from __future__ import annotations

import numpy as np

from humanmade.detectors.base import Logits
from humanmade.detectors.heads import Integers, Matrix, Tensors

NODE_FIELDS = ("value", "feature_idx", "num_threshold", "left", "right", "is_leaf")


def fit(features: Matrix, labels: Integers, seed: int, weights: Matrix | None = None) -> Tensors:
    """Fit gradient-boosted trees (scikit-learn's HistGradientBoosting).

    Its trees are kept as arrays of nodes, (trees, nodes), because pickles may carry code. `weights` (n,) are
    of the rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, l2_regularization=1.0,
        max_features=0.2, early_stopping=False, random_state=seed,
    )  # fmt: skip
    model.fit(features, labels, sample_weight=weights)
    trees = [predictor.nodes for (predictor,) in model._predictors]
    size = max(map(len, trees))
    tensors: Tensors = {"baseline": np.asarray(model._baseline_prediction, dtype=np.float64).reshape(())}
    for field in NODE_FIELDS:
        padded = [np.pad(nodes[field].astype(np.float64), (0, size - len(nodes))) for nodes in trees]
        tensors[field] = np.stack(padded)
    return tensors


def logits(tensors: Tensors, features: Matrix) -> Logits:
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
