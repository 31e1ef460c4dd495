"""What detectors keep of their AUC on another world: tiny linear models over facts known without labels.

A world is data from other photo sources, generators and repositories. The models are fitted and judged
over many pairs of a training world and a judged one by `humanmade.bench.calibration`; the one that is
shipped stands in `humanmade.evaluation.forecast`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from humanmade import metrics
from humanmade.metrics import CHANCE
from humanmade.scores import MEAN, Scores, Shift

COVERED = 0.8
"""Chance with which an interval is meant to hold the AUC."""

DEVIATIONS = NormalDist().inv_cdf((1 + COVERED) / 2)
"""Standard deviations on either side that hold it."""

SENSITIVITY_MOST = 10.0
"""Sensitivity from which more of it says no more."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run before any label of the test set is."""

    folds: float
    """Mean AUC of the folds."""
    corrupted: float
    """Mean AUC of held-out pictures over the corruptions."""
    counterparts: float | None
    """AUC of held-out photos against their counterparts; None where no autoencoder made any."""
    sensitivity: float
    """Of `humanmade.sensitivity`; infinite where the classes do not lie apart."""
    flips: float
    """Share of verdicts that re-encoding changes."""
    canary: float | None
    """Fold AUC of the best canary, a detector that sees nothing but shortcuts; None where none was run."""
    sources: float
    """Named generators, or named photo sources, that were trained on: the fewer of them, at least 1."""
    shift: float
    """How far the test set is, 0 (like the training set) to 1 (nothing shared), of `Distance`."""


TERMS: Mapping[str, Callable[[Facts], float]] = {
    "one": lambda facts: 1.0,
    "folds": lambda facts: facts.folds - CHANCE,
    "corrupted": lambda facts: facts.corrupted - CHANCE,
    "steady": lambda facts: (facts.corrupted - CHANCE) / (1 + facts.sensitivity),
    "counterparts": lambda facts: _above_chance(facts.counterparts),
    "sensitivity": lambda facts: math.log1p(min(facts.sensitivity, SENSITIVITY_MOST)),
    "flips": lambda facts: facts.flips,
    "canary": lambda facts: _above_chance(facts.canary),
    "sources": lambda facts: math.log(facts.sources),
}
"""What a model weighs."""

CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "constant": ("one",),
    "shrink": ("folds",),
    "corrupted": ("corrupted",),
    "steady": ("steady",),
    "traces": ("steady", "counterparts"),
    "facts": ("one", "folds", "corrupted", "counterparts", "sensitivity", "flips", "canary", "sources"),
}
"""Terms of each candidate: its AUC on another world is chance plus a coefficient times each."""

RULES: Mapping[str, Callable[[Facts], float]] = {
    "folds AUC": lambda facts: facts.folds,
    "corrupted AUC": lambda facts: facts.corrupted,
    "0.3 folds + 0.7 corrupted": lambda facts: metrics.selection(facts.folds, facts.corrupted),
}
"""Scores that rank runs without foretelling an AUC."""


@dataclass(frozen=True)
class Model:
    """A candidate with its coefficients."""

    name: str
    """Of `CANDIDATES`."""
    coefficients: tuple[float, ...]
    """In the order of its terms."""
    half_width: float
    """Half of the interval, of AUC, that held the share `COVERED` of worlds the model had not seen."""

    def elsewhere(self, facts: Facts) -> float:
        """AUC on a world that shares nothing with the training set, not clipped."""
        terms = zip(self.coefficients, CANDIDATES[self.name], strict=True)
        return CHANCE + sum(coefficient * TERMS[term](facts) for coefficient, term in terms)


def _above_chance(auc: float | None) -> float:
    return 0.0 if auc is None else auc - CHANCE


def foretold(model: Model, facts: Facts) -> float:
    """AUC on the test set: of the folds as far as it is like the training set, of the model for the rest."""
    auc = (1 - facts.shift) * facts.folds + facts.shift * model.elsewhere(facts)
    return float(np.clip(auc, 0, 1))


def half_width(
    model: Model, facts: Facts, auc: float, zeros: float, ones: float, spread: float = 0.0
) -> float:
    """Half of the interval around a foretold AUC.

    The doubt about other worlds and about the folds, each as far as it counts, and the sampling error of a
    test set, in quadrature.

    Args:
        zeros, ones: test pictures of each class.
        spread: standard deviation of AUC over the folds.
    """
    sampling = metrics.auc_error(auc, ones, zeros)
    folds = (1 - facts.shift) * spread
    return float(np.hypot(facts.shift * model.half_width, DEVIATIONS * np.hypot(folds, sampling)))


def facts_of(scores: Scores) -> Facts | None:
    """What a run's scores know; None where no fold is scored."""
    if not scores.folds or not scores.corrupted or not scores.steadiness:
        return None
    shift = scores.shifted or Shift()
    return Facts(
        folds=float(np.mean([fold.auc for fold in scores.folds])),
        corrupted=scores.corrupted[MEAN].auc,
        counterparts=shift.counterparts,
        sensitivity=scores.steadiness.sensitivity,
        flips=scores.steadiness.flips,
        canary=max((auc for auc in scores.canaries.values() if not math.isnan(auc)), default=None),
        sources=float(shift.sources),
        shift=shift.shift,
    )
