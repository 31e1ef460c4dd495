"""What stands on top of fixed features: a linear classifier, saved as plain tensors."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from humanmade.data.folds import stratified_groups
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.schema import LinearHeadRecipe

Tensors: TypeAlias = dict[str, npt.NDArray[np.float64]]
Matrix: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

C = "logisticregression__C"

INNER_FOLDS = 3
"""Folds of the training rows by which the shrinkage is chosen."""


def fit_linear(
    features: Matrix,
    labels: Integers,
    groups: Integers,
    recipe: LinearHeadRecipe,
    seed: int,
    weights: Matrix | None = None,
) -> tuple[Tensors, list[dict[str, float]]]:
    """Fit a linear head on standardised features.

    Args:
        features: (n, dimensions).
        labels: (n,) of 0 and 1.
        groups: (n,), what must not be split.
        recipe: which head; its shrinkage is chosen by inner folds if there are several.
        weights: (n,) of the rows, their mean 1; None weighs all alike.

    Returns:
        Tensors for `linear_logits`, and what each shrinkage scored.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    weights = np.ones(len(labels)) if weights is None else weights
    scaler = StandardScaler().fit(features, sample_weight=weights)
    standard = scaler.transform(features)
    log: list[dict[str, float]] = []
    if recipe.head == "difference":
        one, zero = (np.average(standard[labels == k], axis=0, weights=weights[labels == k]) for k in (1, 0))
        direction = (one - zero) / max(float(np.linalg.norm(one - zero)), 1e-12)
        along = LogisticRegression(C=1.0).fit((standard @ direction)[:, None], labels, weights)
        weight, bias = direction * along.coef_[0, 0], along.intercept_[0]
    else:
        c = recipe.shrinkage[0]
        if len(recipe.shrinkage) > 1:
            c, log = _choose_shrinkage(features, labels, groups, weights, recipe, seed)
        model = LogisticRegression(C=c, max_iter=1000).fit(standard, labels, weights)
        weight, bias = model.coef_[0], model.intercept_[0]
    tensors = {"mean": scaler.mean_, "scale": scaler.scale_, "weight": weight, "bias": np.asarray(bias)}
    return {name: np.asarray(value, np.float64) for name, value in tensors.items()}, log


def _choose_shrinkage(
    features: Matrix,
    labels: Integers,
    groups: Integers,
    weights: Matrix,
    recipe: LinearHeadRecipe,
    seed: int,
) -> tuple[float, list[dict[str, float]]]:
    """The C that scores best on inner folds; equal scores go to the stronger shrinkage."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    check_groups(labels, groups, recipe)
    splits = stratified_groups(labels, groups, INNER_FOLDS, seed)
    grid = {C: sorted(recipe.shrinkage)}
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=splits, refit=False)
    search.fit(features, labels, logisticregression__sample_weight=weights)
    scores = [float(score) for score in search.cv_results_["mean_test_score"]]
    log = [{"shrinkage": c, "logloss": -score} for c, score in zip(grid[C], scores, strict=True)]
    return float(search.best_params_[C]), log


def check_groups(labels: Integers, groups: Integers, recipe: LinearHeadRecipe) -> None:
    """Refuse rows whose groups are too few for the inner folds that choose the shrinkage."""
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if len(recipe.shrinkage) > 1 and fewest < INNER_FOLDS:
        raise UserError(
            f"recipe: shrinkage = {recipe.shrinkage}; expected one value: a class has only {fewest} groups "
            f"to train on, and choosing takes {INNER_FOLDS}"
        )


def linear_logits(tensors: Tensors, features: Matrix) -> Logits:
    """Logits (n,) of features (n, dimensions)."""
    standard = (features - tensors["mean"]) / tensors["scale"]
    return np.asarray(standard @ tensors["weight"] + tensors["bias"])
