"""What stands on top of fixed features: a linear classifier, saved as plain tensors.

At full size the features fill most of the memory there is (240,000 rows of 2,048 values are 2 GB), so
there is one matrix of them, float32, worked on in place and by blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from humanmade.data.folds import stratified_groups
from humanmade.detectors.base import Logits, saved_tensors
from humanmade.detectors.counterparts import row_weights
from humanmade.errors import UserError
from humanmade.machine import one_blas_thread
from humanmade.run import retrain
from humanmade.schema import LinearHeadRecipe
from humanmade.training.checkpoint import save_weights

Tensors: TypeAlias = dict[str, npt.NDArray[np.float64]]
Matrix: TypeAlias = npt.NDArray[np.float32]
Vector: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

HEAD = "head.safetensors"

COLUMNS = ("mean", "scale", "weight")
"""Tensors of a head with a number for each feature."""

INNER_FOLDS = 3
"""Folds of the training rows by which the shrinkage is chosen."""

CHOOSING = 10_000
"""Rows that the shrinkage is chosen by, at most: more of them choose the same, and take longer."""

FEW = 20
"""So many groups fit into the rows that the shrinkage is chosen by, or parts of groups are taken."""

BLOCK = 2**20
"""Values that are held in float64 at once (8 MB)."""


def fit_and_save(
    folder: Path,
    features: Matrix,
    rows: pd.DataFrame,
    recipe: LinearHeadRecipe,
    seed: int,
    facts: dict[str, Any],
) -> list[dict[str, float]]:
    """Fit a head to rows under one history or several, and write it; what each shrinkage scored.

    Args:
        features: (histories x rows, dimensions), history after history; standardised in place.
        facts: what the features depend on.
    """
    # The histories of a picture are one group, so inner folds keep them together.
    rows = pd.concat([rows] * (len(features) // len(rows)))
    labels, groups = rows["label"].to_numpy(), rows["group"].to_numpy()
    head, log = fit_linear(features, labels, groups, recipe, seed, row_weights(rows))
    save_weights(folder / HEAD, {name: torch.from_numpy(value) for name, value in head.items()}, facts)
    return log


def load_head(folder: Path, facts: dict[str, Any]) -> Tensors:
    """Read a head.

    Raises:
        UserError: it is damaged, or was fitted to features of other facts.
    """
    head = {name: tensor.numpy() for name, tensor in saved_tensors(folder / HEAD, facts).items()}
    if {*head} != {*COLUMNS, "bias"} or len({head[name].shape for name in COLUMNS}) > 1:
        raise UserError(f"{folder / HEAD}: is not a linear head; {retrain(folder / HEAD)}")
    return head


@one_blas_thread()
def fit_linear(
    features: Matrix,
    labels: Integers,
    groups: Integers,
    recipe: LinearHeadRecipe,
    seed: int,
    weights: Vector | None = None,
) -> tuple[Tensors, list[dict[str, float]]]:
    """Fit a linear head on standardised features.

    Args:
        features: (n, dimensions), rows side by side in memory; standardised here, in place.
        labels: (n,) of 0 and 1.
        groups: (n,), what must not be split.
        recipe: which head; its shrinkage is chosen by inner folds if there are several.
        weights: (n,) of the rows, their mean 1; None weighs all alike.

    Returns:
        Tensors for `linear_logits`, and what each shrinkage scored.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    log: list[dict[str, float]] = []
    if recipe.head == "logistic" and len(recipe.shrinkage) > 1:
        log = _try_shrinkages(features, labels, groups, weights, recipe, seed)
    # Equal scores go to the stronger shrinkage.
    c = min(log, key=lambda line: line["logloss"])["shrinkage"] if log else recipe.shrinkage[0]
    mean, scale = standardise(features, weights)
    if recipe.head == "difference":
        direction = _contrast(features, labels, weights)
        along = _logistic((features @ direction)[:, None], labels, weights, 1.0)
        weight, bias = direction * along.coef_[0, 0], along.intercept_[0]
    else:
        model = _logistic(features, labels, weights, c)
        weight, bias = model.coef_[0], model.intercept_[0]
    head = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
    return {name: np.asarray(value, np.float64) for name, value in head.items()}, log


def standardise(features: Matrix, weights: Vector) -> tuple[Vector, Vector]:
    """Bring columns to weighted mean 0 and deviation 1 in place; the mean and deviation that they had."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for rows in _blocks(features):
        scaler.partial_fit(features[rows], sample_weight=weights[rows])
    for rows in _blocks(features):
        features[rows] = scaler.transform(features[rows])
    return scaler.mean_, scaler.scale_


def _contrast(features: Matrix, labels: Integers, weights: Vector) -> Matrix:
    """Unit vector (dimensions,) from the weighted mean of class 0 to that of class 1."""
    sides = [np.where(labels == label, weights, 0.0) for label in (0, 1)]
    signed = sides[1] / sides[1].sum() - sides[0] / sides[0].sum()
    contrast = signed.astype(np.float32) @ features
    return np.asarray(contrast / max(float(np.linalg.norm(contrast)), 1e-12), np.float32)


def _logistic(features: Matrix, labels: Integers, weights: Vector, c: float) -> Any:
    """scikit-learn's model; its default solver, lbfgs, takes a float32 matrix as it is, without a copy."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=1000).fit(features, labels, weights)


def _try_shrinkages(
    features: Matrix,
    labels: Integers,
    groups: Integers,
    weights: Vector,
    recipe: LinearHeadRecipe,
    seed: int,
) -> list[dict[str, float]]:
    """What each C, the smallest first, scores on inner folds of at most `CHOOSING` rows."""
    some = _some_groups(groups)
    check_groups(labels[some], groups[some], recipe)
    grid = sorted(recipe.shrinkage)
    losses = []
    for inner, outer in stratified_groups(labels[some], groups[some], INNER_FOLDS, seed):
        train, held_out = some[inner], some[outer]
        part, shown, signs = features[train], features[held_out], 1 - 2 * labels[held_out]
        mean, scale = standardise(part, weights[train])
        shown = ((shown - mean) / scale).astype(np.float32)
        models = [_logistic(part, labels[train], weights[train], c) for c in grid]
        losses.append([np.logaddexp(0, signs * model.decision_function(shown)).mean() for model in models])
    means = np.mean(losses, axis=0)
    return [{"shrinkage": c, "logloss": float(loss)} for c, loss in zip(grid, means, strict=True)]


def _some_groups(groups: Integers) -> Integers:
    """Numbers of the rows of a fixed sample, of `CHOOSING` rows at most.

    They are of whole groups, but of groups so large that few of them fit, which give a part each.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(groups))
    if sizes.max() * FEW > CHOOSING:
        # The n-th row of each group comes before the (n+1)-th of any.
        turn = pd.Series(codes[order]).groupby(codes[order]).cumcount().to_numpy()
        return np.sort(order[np.argsort(turn, kind="stable")[:CHOOSING]])
    room, taken = CHOOSING, np.zeros(len(sizes), dtype=np.bool_)
    for group in np.random.default_rng(0).permutation(len(sizes)):
        if sizes[group] <= room:
            taken[group] = True
            room -= sizes[group]
    return np.flatnonzero(taken[codes])


def check_rows(train: pd.DataFrame, recipe: LinearHeadRecipe) -> None:
    """What `check_groups` would refuse of a fold, before its rows have their counterparts."""
    sides = [train.loc[train["label"] == label, "group"].to_numpy() for label in (0, 1)]
    if recipe.counterparts.scales:
        # Counterparts are in their photos' groups.
        sides[1] = np.concatenate([sides[0], sides[1] if recipe.counterparts.real_fakes else sides[1][:0]])
    check_groups(np.repeat([0, 1], [len(side) for side in sides]), np.concatenate(sides), recipe)


def check_groups(labels: Integers, groups: Integers, recipe: LinearHeadRecipe) -> None:
    """Refuse rows whose groups are too few for the inner folds that choose the shrinkage."""
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if recipe.head == "logistic" and len(recipe.shrinkage) > 1 and fewest < INNER_FOLDS:
        raise UserError(
            f"recipe: shrinkage = {recipe.shrinkage}; expected one value: a class has only {fewest} groups "
            f"to train on, and choosing takes {INNER_FOLDS}"
        )


def linear_logits(tensors: Tensors, features: Matrix) -> Logits:
    """Logits (n,) of features (n, dimensions)."""
    logits = np.empty(len(features))
    for rows in _blocks(features):
        logits[rows] = (features[rows] - tensors["mean"]) / tensors["scale"] @ tensors["weight"]
    return logits + tensors["bias"]


def _blocks(features: Matrix) -> Iterator[slice]:
    """Slices of rows that hold `BLOCK` values or fewer, one row at least."""
    rows = max(1, BLOCK // features.shape[1])
    for start in range(0, len(features), rows):
        yield slice(start, start + rows)
