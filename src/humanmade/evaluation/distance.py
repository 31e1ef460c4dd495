"""How far a test set is from a training set: by frozen embeddings, without a label."""

from __future__ import annotations

import numpy as np
import pandas as pd

from humanmade import metrics
from humanmade.detectors.embedding import Embedding, embed
from humanmade.machine import one_blas_thread
from humanmade.scores import Distance
from humanmade.training.budget import Budget

FEWEST = 40
"""Train and test pictures without which nothing is said."""

SAMPLE = 1500
"""Pictures a side that are compared at most."""


def enough(train: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Whether there are pictures enough to say anything."""
    return min(len(train), len(test)) >= FEWEST


def measure(train: pd.DataFrame, test: pd.DataFrame, budget: Budget | None = None) -> Distance | None:
    """Distance of test rows from train rows, by a sample of each; None where they are too few.

    Raises:
        UserError: the weights of the embedding are nowhere.
    """
    if not enough(train, test):
        return None
    sides = [_sample(train, 0), _sample(test.sort_values("id"), 1)]
    both = embed(pd.concat(sides), budget)
    return compare(both[: len(sides[0])], both[len(sides[0]) :])


def _sample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`SAMPLE` rows at most, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:SAMPLE]
    return rows.iloc[np.sort(chosen)]


@one_blas_thread()
def compare(train: Embedding, test: Embedding) -> Distance:
    """Compare embeddings (train, dimensions) and (test, dimensions)."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    side = np.repeat([0, 1], [len(train), len(test)])
    logits = cross_val_predict(
        LogisticRegression(C=1e-3, max_iter=500, class_weight="balanced"),
        np.concatenate([train, test]),
        side,
        cv=StratifiedKFold(4, shuffle=True, random_state=0),
        method="decision_function",
    )
    pca = PCA(min(32, *train.shape), random_state=0).fit(train)
    neighbours = NearestNeighbors(n_neighbors=6).fit(pca.transform(train))
    # A train picture's nearest neighbour is itself.
    inside = neighbours.kneighbors(pca.transform(train))[0][:, 1:].mean(axis=1)
    across = neighbours.kneighbors(pca.transform(test), n_neighbors=5)[0].mean(axis=1)
    return Distance(auc=metrics.auc(side, logits), unlike=float(np.mean(across > np.quantile(inside, 0.95))))
