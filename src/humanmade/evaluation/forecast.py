"""What a run will score on a shifted test set, said before any submission and without its labels.

As far as the test set is like the training set, the fold score stands. For the rest the forecast is what
such detectors kept of their score on other worlds, which may be less than chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from humanmade import competition, metrics
from humanmade.detectors.embedding import Embedding, standardised
from humanmade.evaluation.kept import DEVIATIONS, RULES, Facts, Model, foretold, half_width
from humanmade.metrics import CHANCE

MODEL = Model("shrink", (0.445,), 0.1563)
"""Chosen and fitted by `humanmade bench --calibrate`."""

RANKING: Model | str = "0.3 folds + 0.7 corrupted"
"""What `compare` ranks runs by: a model, or one of `RULES`; chosen by the same command."""

APART = 0.9
"""AUC of telling test from train from which on the sets share nothing; at 0.5 they are one set."""

FEWEST = 40
"""Train and test pictures without which nothing is said."""

SAMPLE = 1500
"""Pictures a side that are compared at most."""

PRIOR = 3.0
"""Past submissions that the forecast's own word weighs as much as."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Distance:
    """How far a test set is from a training set, by their embeddings."""

    auc: float
    """Of a linear classifier telling test from train, in folds: 0.5 is one set."""
    unlike: float
    """Share of test pictures farther from train than all but a twentieth of train is from itself."""

    @property
    def shift(self) -> float:
        """0 (one set) to 1 (nothing shared)."""
        return float(np.clip((self.auc - CHANCE) / (APART - CHANCE), 0, 1))


@dataclass(frozen=True)
class Forecast:
    """AUC on the test set with its interval, and F1 when the share `prevalence` is labelled 1."""

    auc: float
    f1: float
    low: float
    high: float


def distance(train: Embedding, test: Embedding) -> Distance:
    """Compare embeddings (train, dimensions) and (test, dimensions)."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import NearestNeighbors

    one, other = standardised(train, train), standardised(test, train)
    both = np.concatenate([one, other])
    side = np.repeat([0, 1], [len(one), len(other)])
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    model = LogisticRegression(C=1e-3, max_iter=500, class_weight="balanced")
    score = cross_val_predict(model, both, side, cv=folds, method="decision_function")
    reduced = PCA(min(32, *one.shape), random_state=0).fit(one)
    near = NearestNeighbors(n_neighbors=6).fit(reduced.transform(one))
    own = near.kneighbors(reduced.transform(one))[0][:, 1:].mean(axis=1)
    across = near.kneighbors(reduced.transform(other), n_neighbors=5)[0].mean(axis=1)
    return Distance(
        auc=metrics.auc(side, score),
        unlike=float(np.mean(across > np.quantile(own, 0.95))),
    )


def forecast(facts: Facts, spread: float, test_size: int, prevalence: float) -> Forecast:
    """Forecast the AUC on a test set of `test_size` pictures.

    Args:
        spread: standard deviation of AUC over the folds.
    """
    auc = foretold(MODEL, facts)
    ones = prevalence * test_size
    return _around(auc, half_width(MODEL, facts, auc, test_size - ones, ones, spread), prevalence)


def selection(facts: Facts) -> float:
    """The score by which runs are ranked: whichever of `RANKING` ranked them best on other worlds."""
    return foretold(RANKING, facts) if isinstance(RANKING, Model) else RULES[RANKING](facts)


def sharpened(said: Forecast, past: Sequence[tuple[float, float]], prevalence: float) -> Forecast:
    """Correct a forecast by what those of other submissions missed.

    Args:
        past: of other submissions the score that was forecast, uncorrected, and the leaderboard's.
        prevalence: at which labels were cut.
    """
    if not past:
        return said
    aucs = np.array(past)
    if competition.CURRENT.metric == "f1":
        aucs = np.array([[auc_of_f1(score, prevalence) for score in pair] for pair in past])
    missed = aucs[:, 1] - aucs[:, 0]
    share = len(missed) / (len(missed) + PRIOR)
    auc = float(np.clip(said.auc + share * missed.mean(), 0, 1))
    spread = max(said.high - said.auc, said.auc - said.low) / DEVIATIONS
    # What is left of the misses replaces, bit by bit, the doubt about other worlds.
    left = float(np.mean((missed - share * missed.mean()) ** 2))
    return _around(auc, DEVIATIONS * float(np.sqrt((1 - share) * spread**2 + share * left)), prevalence)


def _around(auc: float, half: float, prevalence: float) -> Forecast:
    return Forecast(auc, f1_at_prevalence(auc, prevalence), max(0.0, auc - half), min(1.0, auc + half))


def f1_at_prevalence(auc: float, prevalence: float) -> float:
    """F1 where the share `prevalence` of highest logits is labelled 1 and as many are 1 in truth.

    Both classes' logits are taken as Gaussian with one spread; precision, recall and F1 coincide.
    """
    from scipy.optimize import brentq

    apart = math.sqrt(2) * _NORMAL.inv_cdf(float(np.clip(auc, 1e-6, 1 - 1e-6)))

    def too_many(cut: float) -> float:
        caught, false = 1 - _NORMAL.cdf(cut - apart), 1 - _NORMAL.cdf(cut)
        return prevalence * caught + (1 - prevalence) * false - prevalence

    cut = brentq(too_many, min(-12.0, apart - 12), max(12.0, apart + 12))
    return float(1 - _NORMAL.cdf(cut - apart))


def auc_of_f1(f1: float, prevalence: float) -> float:
    """The AUC at which `f1_at_prevalence` gives that F1; 0 where none gives so little.

    The F1 is the share of label 1 that is caught, so its misses are as many false alarms: two quantiles,
    whose difference is how far the classes' means lie apart.
    """
    caught = float(np.clip(f1, 1e-9, 1 - 1e-9))
    false = prevalence * (1 - caught) / (1 - prevalence)
    if false >= 1:
        return 0.0
    apart = _NORMAL.inv_cdf(1 - false) - _NORMAL.inv_cdf(1 - caught)
    return _NORMAL.cdf(apart / math.sqrt(2))


def chosen(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Which of `count` pictures are compared, sorted: all, or a sample."""
    order = np.random.default_rng(seed).permutation(count)[:SAMPLE]
    return np.sort(order)
