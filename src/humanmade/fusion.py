"""Several detectors' logits into one: every rule, and the score by which weights are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from humanmade import metrics

Array = npt.NDArray[np.float64]

CLEAN = "clean"
"""The view of a held-out picture as it is; every other view is a shifted one."""

LEARNED = ("weights", "climb", "stack")
"""Rules whose weights are learned from held-out logits."""

STEPS = 20
"""Most additions of a greedy climb; weights are multiples of a share of their number."""


@dataclass(frozen=True)
class View:
    """Held-out pictures seen one way: what weights may be learned from."""

    labels: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    logits: Array
    """(pictures, members), each member's divided by its scale."""

    def without(self, fold: int) -> View:
        """The pictures of the other folds, for weights that are honest on this one."""
        others = self.folds != fold
        return View(self.labels[others], self.folds[others], self.logits[others])


Views = Mapping[str, View]


def combine(logits: Array, weights: Array) -> Array:
    """Weighted mean (pictures,) of logits (pictures, members)."""
    return np.asarray(logits @ (weights / weights.sum()))


def rank(logits: Array) -> Array:
    """Mean rank over members, scaled to -1 to 1: the middle of the set is 0."""
    from scipy.stats import rankdata

    ranks = (rankdata(logits, axis=0) - 0.5) / len(logits)
    return np.asarray(2 * ranks.mean(axis=1) - 1)


def score(views: Views, weights: Array) -> float:
    """Selection score of a weighted mean: AUC on clean and on shifted views, weighed as everywhere.

    AUC is computed inside each fold, and the folds' mean counts: folds have zeros of their own.
    """
    aucs = {name: _mean_auc(view, weights) for name, view in views.items()}
    shifted = [value for name, value in aucs.items() if name != CLEAN]
    return metrics.selection(aucs[CLEAN], float(np.mean(shifted)) if shifted else None)


def weigh(method: str, views: Views) -> Array:
    """Weights (members,) that add up to 1, by any rule.

    `weights` takes each by its score above chance, `climb` adds the member that helps most, again and again
    (Caruana et al. 2004), `stack` fits non-negative least squares (Breiman 1996).
    """
    count = views[CLEAN].logits.shape[1]
    if method == "weights":
        weights = np.array([max(0.0, score(views, single) - metrics.CHANCE) for single in np.eye(count)])
    elif method == "climb":
        weights = _climb(views, count)
    elif method == "stack":
        weights = _stack(views)
    else:
        weights = np.ones(count)
    return weights / weights.sum() if weights.sum() > 0 else np.full(count, 1 / count)


def _mean_auc(view: View, weights: Array) -> float:
    """Over the folds that show both classes: by source, a fold's first-held-out rows may be of one."""
    fused = combine(view.logits, weights)
    parts = [view.folds == fold for fold in np.unique(view.folds)]
    mixed = [part for part in parts if len(np.unique(view.labels[part])) == 2]
    return float(np.mean([metrics.auc(view.labels[part], fused[part]) for part in mixed or parts]))


def _climb(views: Views, count: int) -> Array:
    chosen, best = np.zeros(count), -np.inf
    for _ in range(STEPS):
        tries = [score(views, chosen + single) for single in np.eye(count)]
        if max(tries) <= best:
            break
        best = max(tries)
        chosen[int(np.argmax(tries))] += 1
    return chosen


def _stack(views: Views) -> Array:
    from sklearn.linear_model import LinearRegression

    share = metrics.SHIFTED_SHARE / max(1, len(views) - 1)
    weight = {name: (1 - metrics.SHIFTED_SHARE if name == CLEAN else share) for name in views}
    sizes = [np.full(len(view.labels), weight[name] / len(view.labels)) for name, view in views.items()]
    logits = np.concatenate([view.logits for view in views.values()])
    labels = np.concatenate([view.labels for view in views.values()])
    model = LinearRegression(positive=True)
    model.fit(logits, 2.0 * labels - 1, sample_weight=np.concatenate(sizes))
    return np.asarray(model.coef_, dtype=np.float64)
