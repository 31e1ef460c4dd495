"""What a run will score on a shifted test set, said before any submission and without its labels.

As far as the test set is like the training set, the fold score stands. For the rest the forecast is what
such detectors kept of their score on other worlds, which may be less than chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from humanmade import competition, ledger
from humanmade.evaluation.forecast_model import (
    CANDIDATES,
    DEVIATIONS,
    RULES,
    Facts,
    Model,
    facts_of,
    foretold,
    half_width,
)
from humanmade.scores import Forecast, Scores

MODEL = Model(name="shrink", coefficients=(0.445,), half_width=0.1563)
"""Chosen and fitted by `humanmade bench --calibrate`."""

RANKING: Model | str = "0.3 folds + 0.7 corrupted"
"""What `compare` ranks runs by: a model, or one of `RULES`; chosen by the same command."""

PRIOR = 3.0
"""Past submissions that the forecast's own word weighs as much as."""

_NORMAL = NormalDist()


def forecast_of(scores: Scores, test_size: int) -> Forecast | None:
    """Forecast the score of a run on a test set of that many pictures; None where no fold is scored."""
    facts = facts_of(scores)
    if facts is None:
        return None
    spread = float(np.std([fold.auc for fold in scores.folds]))
    return forecast(facts, spread, test_size, scores.prevalence)


def forecast(facts: Facts, spread: float, test_size: int, prevalence: float) -> Forecast:
    """Forecast the AUC on that many pictures; the spread is the standard deviation of AUC over the folds."""
    auc = foretold(MODEL, facts)
    ones = prevalence * test_size
    return _around(auc, half_width(MODEL, facts, auc, test_size - ones, ones, spread), prevalence)


def selection(facts: Facts) -> float:
    """The score by which runs are ranked: whichever of `RANKING` ranked them best on other worlds."""
    return foretold(RANKING, facts) if isinstance(RANKING, Model) else RULES[RANKING](facts)


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


def lacking(scores: Scores) -> list[str]:
    """What a forecast was made without although it weighs it (`Scores.lacking`)."""
    weighed = {"embeddings", *CANDIDATES[MODEL.name]}
    return [name for name in scores.lacking if name in weighed] if scores.forecast else []


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
