"""What a run will score on a shifted test set, said before any submission and without its labels.

As far as the test set is like the training set, the fold score stands. For the rest the forecast is what
such detectors kept of their score on other worlds (data from other photo sources, generators and
repositories), which may be less than chance: a tiny linear model over facts that need no test label. It is
chosen and fitted over many pairs of worlds by `humanmade.bench.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, TypedDict

import numpy as np

from humanmade import competition, ledger, metrics
from humanmade.metrics import CHANCE
from humanmade.scores import MEAN, Forecast, Scores

COVERED = 0.8
"""Chance with which an interval is meant to hold the AUC."""

PRIOR = 3.0
"""Past submissions that the forecast's own word weighs as much as."""

SENSITIVITY_MOST = 10.0
"""Sensitivity from which more of it says no more."""

_NORMAL = NormalDist()

DEVIATIONS = _NORMAL.inv_cdf((1 + COVERED) / 2)
"""Standard deviations on either side that hold it."""


class Facts(TypedDict):
    """What is known of a run before any label of the test set is; a bench's table has them as columns."""

    folds: float
    """Mean AUC of the folds."""
    corrupted: float
    """Mean AUC of held-out pictures over the corruptions."""
    sensitivity: float
    """Of `humanmade.sensitivity`; infinite where the classes do not lie apart."""
    flips: float
    """Share of verdicts that re-encoding changes."""
    canary: float
    """Fold AUC of the best canary, a detector that sees nothing but shortcuts; NaN where none was run."""
    shift: float
    """How far the test set is, 0 (like the training set) to 1 (nothing shared), of `Scores.shift`."""


TERMS: Mapping[str, Callable[[Any], Any]] = {
    "one": lambda facts: np.ones_like(facts["folds"]),
    "folds": lambda facts: facts["folds"] - CHANCE,
    "corrupted": lambda facts: facts["corrupted"] - CHANCE,
    "steady": lambda facts: (facts["corrupted"] - CHANCE) / (1 + facts["sensitivity"]),
    "sensitivity": lambda facts: np.log1p(np.minimum(facts["sensitivity"], SENSITIVITY_MOST)),
    "flips": lambda facts: facts["flips"],
    "canary": lambda facts: np.nan_to_num(facts["canary"] - CHANCE),
}
"""What a model may weigh, of `Facts` or of columns of their names."""


@dataclass(frozen=True)
class Model:
    """AUC on a world that shares nothing with the training set: chance plus a weighted sum of `TERMS`."""

    weights: Mapping[str, float]
    half_width: float = 0.0
    """Half of the interval, of AUC, that held the share `COVERED` of worlds the model had not seen."""

    def __str__(self) -> str:
        return " + ".join(f"{weight:g} {term}" for term, weight in self.weights.items())

    def elsewhere(self, facts: Any) -> Any:
        """That AUC, not clipped, of `Facts` or of each row of a table."""
        return CHANCE + sum(weight * TERMS[term](facts) for term, weight in self.weights.items())

    def foretold(self, facts: Any) -> Any:
        """AUC on the test set: of the folds as far as it is like the training set, of the model beyond."""
        return np.clip((1 - facts["shift"]) * facts["folds"] + facts["shift"] * self.elsewhere(facts), 0, 1)

    def interval(self, facts: Any, auc: Any, zeros: Any, ones: Any, spread: float = 0.0) -> Any:
        """Half of the interval around a foretold AUC.

        The doubt about other worlds and about the folds, each as far as it counts, and the sampling error of
        a test set, in quadrature.

        Args:
            zeros, ones: test pictures of each class.
            spread: standard deviation of AUC over the folds.
        """
        doubt = np.hypot((1 - facts["shift"]) * spread, metrics.auc_error(auc, ones, zeros))
        return np.hypot(facts["shift"] * self.half_width, DEVIATIONS * doubt)


MODEL = Model({"folds": 0.445}, half_width=0.1563)
"""Chosen and fitted by `humanmade bench --calibrate`."""

RANKING = Model({"folds": 0.3, "corrupted": 0.7})
"""What `compare` ranks runs by; chosen by the same command."""


def facts_of(scores: Scores) -> Facts | None:
    """What a run's scores know; None where no fold is scored."""
    if not scores.folds or not scores.corrupted or not scores.steadiness:
        return None
    return Facts(
        folds=float(np.mean([fold.auc for fold in scores.folds])),
        corrupted=scores.corrupted[MEAN].auc,
        sensitivity=scores.steadiness.sensitivity,
        flips=scores.steadiness.flips,
        canary=max((auc for auc in scores.canaries.values() if not math.isnan(auc)), default=math.nan),
        shift=scores.shift,
    )


def forecast_of(scores: Scores, test_size: int) -> Forecast | None:
    """Forecast the score of a run on a test set of that many pictures; None where no fold is scored."""
    facts = facts_of(scores)
    if facts is None:
        return None
    spread = float(np.std([fold.auc for fold in scores.folds]))
    return forecast(facts, spread, test_size, scores.prevalence)


def forecast(facts: Facts, spread: float, test_size: int, prevalence: float) -> Forecast:
    """Forecast the AUC on that many pictures; the spread is the standard deviation of AUC over the folds."""
    auc, ones = float(MODEL.foretold(facts)), prevalence * test_size
    half = float(MODEL.interval(facts, auc, test_size - ones, ones, spread))
    return _around(auc, half, prevalence)


def shown(scores: Scores, key: str, submitted: Sequence[ledger.Row]) -> Scores:
    """Scores with the forecast that every view shows: corrected by the other submissions on the same data.

    Args:
        key: the run's name, or the hash of a blend's file: its own submissions do not count.
    """
    if scores.forecast is None:
        return scores
    others = [row for row in ledger.of_data(submitted, scores.data) if not ledger.is_of(row, key)]
    corrected = sharpened(scores.forecast, ledger.foretold(others), scores.prevalence)
    return replace(scores, forecast=corrected)


def sharpened(plain: Forecast, past: Sequence[tuple[float, float]], prevalence: float) -> Forecast:
    """Correct a forecast by what those of other submissions missed, and say by how many.

    Args:
        past: of other submissions the score that was forecast, uncorrected, and the leaderboard's.
        prevalence: at which labels were cut.
    """
    if not past:
        return plain
    aucs = np.array(past)
    if competition.CURRENT.metric == "f1":
        aucs = np.array([[auc_of_f1(score, prevalence) for score in pair] for pair in past])
    missed = aucs[:, 1] - aucs[:, 0]
    share = len(missed) / (len(missed) + PRIOR)
    auc = float(np.clip(plain.auc + share * missed.mean(), 0, 1))
    spread = max(plain.high - plain.auc, plain.auc - plain.low) / DEVIATIONS
    # What is left of the misses replaces, bit by bit, the doubt about other worlds.
    left = float(np.mean((missed - share * missed.mean()) ** 2))
    half = DEVIATIONS * float(np.sqrt((1 - share) * spread**2 + share * left))
    return replace(_around(auc, half, prevalence), submissions=len(past))


def _around(auc: float, half: float, prevalence: float) -> Forecast:
    return Forecast(
        auc=auc, f1=f1_at_prevalence(auc, prevalence), low=max(0.0, auc - half), high=min(1.0, auc + half)
    )


def f1_at_prevalence(auc: float, prevalence: float) -> float:
    """F1 where the share `prevalence` of highest logits is labelled 1 and as many are 1 in truth.

    Both classes' logits are taken as Gaussian with one spread; precision, recall and F1 coincide.
    """
    from scipy.optimize import brentq

    auc = min(auc, 1 - 1e-6)
    if auc <= auc_of_f1(0.0, prevalence):
        return 0.0
    return float(brentq(lambda f1: auc_of_f1(f1, prevalence) - auc, 0.0, 1.0))


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
