"""What a run will score on a shifted test set, said before any submission and without its labels.

As far as the test set is like the training set, the fold score stands. For the rest a picture's generator
may be known or not, and its photo source may be known or not: four worlds, each as likely as the others.

- Both known: what the run does best on held-out pictures, corrupted as the world corrupts them, or on
  photos beside their own reconstructions, from which some recipes learn instead.
- A new generator of known content: photos beside their own reconstructions, told by traces alone.
- New photos, whoever made the fakes: chance, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from humanmade import metrics
from humanmade.detectors.embedding import Embedding, standardised
from humanmade.metrics import CHANCE

APART = 0.9
"""AUC of telling test from train from which on the sets share nothing; at 0.5 they are one set."""

COVERED = 0.8
"""Chance with which the interval is meant to hold the score."""

FEWEST = 40
"""Train and test pictures without which nothing is said."""

SAMPLE = 1500
"""Pictures a side that are compared at most."""

PRIOR = 3.0
"""Past submissions that the forecast's own word weighs as much as."""

_NORMAL = NormalDist()
_HALVES = _NORMAL.inv_cdf((1 + COVERED) / 2)
"""Standard deviations on either side of the forecast."""


@dataclass(frozen=True)
class Distance:
    """How far a test set is from a training set, by their embeddings."""

    auc: float
    """Of a linear classifier telling test from train, in folds: 0.5 is one set."""
    means: float
    """Root mean square difference of the means, in standard deviations of train."""
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
        means=float(np.sqrt(np.mean((other.mean(axis=0) - one.mean(axis=0)) ** 2))),
        unlike=float(np.mean(across > np.quantile(own, 0.95))),
    )


def worlds(corrupted: float, counterparts: float | None) -> list[float]:
    """AUC in each of the four worlds of a wholly shifted test set.

    Args:
        corrupted: mean AUC of held-out pictures over the corruptions.
        counterparts: AUC of held-out photos against their reconstructions; chance where it is unknown.
    """
    traces = CHANCE if counterparts is None else counterparts
    return [max(corrupted, traces), traces, CHANCE, CHANCE]


def forecast(
    folds: Sequence[float], away: Sequence[float], shift: float, test_size: int, prevalence: float
) -> Forecast:
    """Forecast the AUC on a test set of `test_size` pictures.

    Args:
        folds: AUC of each fold.
        away: AUC in each of the `worlds`; their disagreement makes the interval.
        shift: 0 to 1, of `Distance`.
    """
    elsewhere = np.asarray(away, dtype=np.float64)
    auc = float((1 - shift) * np.mean(folds) + shift * elsewhere.mean())
    doubt = float(elsewhere.std()) / np.sqrt(len(elsewhere))
    spread = np.hypot((1 - shift) * float(np.std(folds)), shift * doubt)
    sampling = metrics.auc_error(auc, prevalence * test_size, (1 - prevalence) * test_size)
    return _around(auc, float(np.hypot(spread, sampling)), prevalence)


def sharpened(said: Forecast, past: Sequence[tuple[float, float]], prevalence: float) -> Forecast:
    """Correct a forecast by what those of other submissions missed.

    Args:
        past: of other submissions the F1 that was forecast, uncorrected, and that of the leaderboard.
        prevalence: at which labels were cut.
    """
    if not past:
        return said
    missed = np.array([auc_of_f1(seen, prevalence) - auc_of_f1(told, prevalence) for told, seen in past])
    share = len(missed) / (len(missed) + PRIOR)
    auc = float(np.clip(said.auc + share * missed.mean(), 0, 1))
    spread = max(said.high - said.auc, said.auc - said.low) / _HALVES
    # What is left of the misses replaces, bit by bit, what the worlds disagree by.
    left = float(np.mean((missed - share * missed.mean()) ** 2))
    return _around(auc, float(np.sqrt((1 - share) * spread**2 + share * left)), prevalence)


def _around(auc: float, spread: float, prevalence: float) -> Forecast:
    half = _HALVES * spread
    return Forecast(auc, f1_at_prevalence(auc, prevalence), max(0.0, auc - half), min(1.0, auc + half))


def f1_at_prevalence(auc: float, prevalence: float) -> float:
    """F1 where the share `prevalence` of highest logits is labelled 1 and as many are 1 in truth.

    Both classes' logits are taken as Gaussian with one spread; precision, recall and F1 coincide.
    """
    distance = np.sqrt(2) * _NORMAL.inv_cdf(float(np.clip(auc, 1e-6, 1 - 1e-6)))
    low, high = -12.0, 12.0 + distance
    for _ in range(60):
        cut = (low + high) / 2
        caught, false = 1 - _NORMAL.cdf(cut - distance), 1 - _NORMAL.cdf(cut)
        low, high = (cut, high) if prevalence * caught + (1 - prevalence) * false > prevalence else (low, cut)
    return float(1 - _NORMAL.cdf((low + high) / 2 - distance))


def auc_of_f1(f1: float, prevalence: float) -> float:
    """The AUC at which `f1_at_prevalence` gives that F1."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if f1_at_prevalence(middle, prevalence) < f1 else (low, middle)
    return (low + high) / 2


def chosen(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Which of `count` pictures are compared, sorted: all, or a sample."""
    order = np.random.default_rng(seed).permutation(count)[:SAMPLE]
    return np.sort(order)
