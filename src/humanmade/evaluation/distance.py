"""How far a test set is from a training set: by frozen embeddings, without a label."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from humanmade import files, metrics, scores
from humanmade.data.folds import Folds
from humanmade.detectors.embedding import Embedding, embed
from humanmade.errors import UserError
from humanmade.progress import warn_once
from humanmade.run import Run
from humanmade.scores import Distance
from humanmade.training.budget import Budget

DISTANCE = "outlook.json"
"""In the run folder: the test set's distance, measured once."""

FEWEST = 40
"""Train and test pictures without which nothing is said."""

SAMPLE = 1500
"""Pictures a side that are compared at most."""


def measure_once(current: Run, folds: Folds, table: pd.DataFrame, budget: Budget) -> None:
    """Keep in the run folder how far the test rows of a table are, once a fold is scored."""
    path = current.folder / DISTANCE
    scored = any(isinstance(key, int) for key in current.finished())
    if path.is_file() or not scored:
        return
    test = table[(table["split"] == "test") & ~table["broken"]]
    try:
        distance = measure(folds.rows, test, budget)
    except UserError as error:
        warn_once(f"the forecast goes without embeddings: {error}")
        return
    if distance:
        files.write_json(path, {"test": asdict(distance)})


def kept(current: Run) -> Distance | None:
    """What `measure_once` found; None where it did not come to it."""
    path = current.folder / DISTANCE
    if not path.is_file():
        return None
    advice = f"remove {path} and run cv again"
    distance: Distance = scores.parse(
        Distance, files.read_json(path, ("test",), advice)["test"], path, advice
    )
    return distance


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
