"""Whether two runs on the same folds differ beyond noise: a paired bootstrap over groups, and the folds.

Scores are taken inside each fold, as folds' logits come from different models, and averaged over the folds.
A resample draws a fold's groups with replacement: pictures of one group are no independent evidence. AUC is
resampled by its structural components (DeLong et al. 1988), each row's share of pairs that it ranks right,
so a resample is a sum over groups; F1 is that of labels cut once, at the prevalence, in each fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, metrics
from humanmade.metrics import Array

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
"""Share of resamples that an interval holds."""

EVEN = "not told apart"
"""The verdict on a difference that is not beyond noise."""

METRICS = competition.METRICS
"""Keys of the scores that are resampled, with their names."""


@dataclass(frozen=True)
class FoldSample:
    """One fold's score by each metric of `METRICS`, and (`RESAMPLES`,) of it resampled."""

    rows: int
    """Hash of the ids and groups: only samples of the same rows are paired."""
    scores: Mapping[str, float]
    resampled: Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """How much higher the first of two runs scores, with the interval that holds `LEVEL` of resamples."""

    metric: str
    mean: float
    low: float
    high: float
    folds: tuple[float, ...]
    """In each fold."""

    @property
    def error(self) -> float | None:
        """Standard error of the folds' mean; None for one fold."""
        count = len(self.folds)
        return float(np.std(self.folds, ddof=1) / np.sqrt(count)) if count > 1 else None

    @property
    def verdict(self) -> str:
        """What the interval says of the first run."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else EVEN

    def __str__(self) -> str:
        noise = f", standard error over them {self.error:.4f}" if self.error is not None else ""
        count = f"{len(self.folds)} fold{'s' if len(self.folds) > 1 else ''}"
        return (
            f"{METRICS[self.metric]} {self.mean:+.4f} (95 %: {self.low:+.4f} to {self.high:+.4f}; "
            f"{count}{noise}): {self.verdict}"
        )


Sample = Mapping[int, FoldSample]
"""Of each fold that holds both classes."""


def sample(rows: pd.DataFrame, prevalence: float) -> Sample:
    """Score every fold of out-of-fold rows, and resample it; the same groups are drawn for every run.

    Args:
        rows: `id, label, fold, logit, group`.
        prevalence: share of each fold's rows that is labelled 1 for F1.
    """
    return {
        int(str(fold)): _sample_fold(part, prevalence, int(str(fold)))
        for fold, part in rows.sort_values("id").groupby("fold")
        if part["label"].nunique() == 2
    }


def differences(first: Sample, second: Sample) -> dict[str, Difference]:
    """By each metric over the folds that both have; empty where no fold is of the same rows."""
    folds = [fold for fold in first if fold in second and first[fold].rows == second[fold].rows]
    if not folds:
        return {}
    return {
        metric: _difference(metric, [(first[fold], second[fold]) for fold in folds]) for metric in METRICS
    }


def decisive(found: Mapping[str, Difference]) -> Difference:
    """The difference that decides: that of the competition's metric."""
    return found[competition.CURRENT.metric]


def leaderboard_noise(score: float, pictures: int) -> float:
    """How far two leaderboard scores on that many test pictures may lie apart by sampling alone.

    It takes both as measured on pictures of their own; the public score is of a part of the test set, and
    two submissions share its pictures, so this is a rule of thumb.
    """
    contest = competition.CURRENT
    ones = max(1.0, contest.prevalence * pictures)
    if contest.metric == "auc":
        error = metrics.auc_error(score, ones, pictures - ones)
    else:
        # Where as many are labelled 1 as there are, F1 is the share of them that is found.
        error = float(np.sqrt(max(0.0, score * (1 - score)) / ones))
    return NormalDist().inv_cdf((1 + LEVEL) / 2) * float(np.sqrt(2)) * error


def _difference(metric: str, pairs: Sequence[tuple[FoldSample, FoldSample]]) -> Difference:
    folds = tuple(first.scores[metric] - second.scores[metric] for first, second in pairs)
    resampled = [first.resampled[metric] - second.resampled[metric] for first, second in pairs]
    low, high = np.nanquantile(np.mean(resampled, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(metric, float(np.mean(folds)), float(low), float(high), folds)


def _sample_fold(rows: pd.DataFrame, prevalence: float, fold: int) -> FoldSample:
    labels, logits = rows["label"].to_numpy(dtype=np.int64), rows["logit"].to_numpy(dtype=np.float64)
    cut = metrics.labels_at_prevalence(rows["id"].tolist(), logits, prevalence)
    ones, ranked = labels == 1, _ranked_right(labels, logits)
    parts = np.column_stack([ones, ~ones, ranked * ones, ranked * ~ones, cut * ones, cut]).astype(np.float64)
    _, codes = np.unique(rows["group"].to_numpy(), return_inverse=True)
    sums: Array = np.column_stack([np.bincount(codes, part) for part in parts.T]).astype(np.float64)
    whole = sums.sum(axis=0)
    auc = float(whole[2] / whole[0])
    return FoldSample(
        rows=int(pd.util.hash_pandas_object(rows[["id", "group"]], index=False).sum()),
        scores={metric: float(score[0]) for metric, score in _scores(whole[None], auc).items()},
        resampled=_scores(_resampled(sums, fold), auc),
    )


def _scores(sums: Array, auc: float) -> dict[str, Array]:
    """F1 and AUC (n,) of sums (n, 6) over rows; NaN where a class is not drawn.

    Args:
        auc: over all rows, around which each class's rows move it.
    """
    ones, zeros, right_ones, right_zeros, hits, found = sums.T
    with np.errstate(invalid="ignore"):
        return {"f1": 2 * hits / (found + ones), "auc": right_ones / ones + right_zeros / zeros - auc}


def _ranked_right(labels: npt.NDArray[np.int64], logits: Array) -> Array:
    """Share (rows,) of the opposite class that each row is ranked right against, equal logits half."""
    column, ones = pd.Series(logits), labels == 1
    below = (column.rank() - column.groupby(ones).rank()).to_numpy()
    others = np.where(ones, (~ones).sum(), ones.sum())
    return np.where(ones, below, others - below) / others


def _resampled(sums: Array, fold: int) -> Array:
    """Sums (`RESAMPLES`, k) over groups drawn with replacement, of sums (groups, k)."""
    generator, count = np.random.default_rng([SEED, fold]), len(sums)
    drawn = (generator.integers(0, count, count) for _ in range(RESAMPLES))
    return np.stack([np.bincount(groups, minlength=count) @ sums for groups in drawn])
