"""Weights of training rows that close a shortcut: at no value of a nuisance is one class more likely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]

MOST = 5.0
"""Largest weight of a row; the mean is 1. Beyond it a few odd pictures would decide the training."""


def sharpness_weights(labels: npt.ArrayLike, sharpness: npt.ArrayLike, bins: int = 10) -> Weights:
    """Weigh rows so that within each quantile bin of sharpness both classes have one total.

    A bin keeps its share of the rows, but for two things. A bin of one class has weight 0, since nothing
    in it can be told but by sharpness. A bin where one class is rare weighs less, so that no row exceeds
    `MOST`. Where even that is not enough (nearly all bins have one class), equal weights are mixed in
    until no row does; with no bin of both classes, all weights are 1.

    Args:
        labels: (n,) of 0 and 1.
        sharpness: (n,) finite numbers on any scale, such as `humanmade.data.canaries.sharpness`.
        bins: of as many rows each, as far as ties allow.

    Returns:
        (n,), at least 0, at most `MOST`, their mean 1.
    """
    truth, values = np.asarray(labels, dtype=np.int64), np.asarray(sharpness, dtype=np.float64)
    assert truth.shape == values.shape and np.isfinite(values).all()
    if not len(truth):
        return np.ones(0)
    # Edges that are values themselves cut alike whatever the scale of sharpness.
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))
    place = np.searchsorted(edges, values, side="left")
    counts = np.zeros((len(edges) + 1, 2))
    np.add.at(counts, (place, truth), 1)
    per_class = _totals(counts)
    if not per_class.any():
        return np.ones(len(truth))
    raw = per_class[place] / counts[place, truth]
    weights = raw / raw.mean()
    excess = max(0.0, (weights.max() - MOST) / max(weights.max() - 1, 1e-12))
    return np.minimum((1 - excess) * weights + excess, MOST)


def _totals(counts: Weights) -> Weights:
    """Total weight (bins,) of either class in each bin, from how many rows (bins, 2) each class has there.

    The largest cap on a row's weight is taken under which no row exceeds `MOST` times the mean.
    """
    from scipy.optimize import brentq

    rare, wanted = counts.min(axis=1), np.where(counts.min(axis=1) > 0, counts.sum(axis=1) / 2, 0)

    def capped(cap: float) -> Weights:
        return np.minimum(wanted, cap * rare)

    def room(cap: float) -> float:
        return float(MOST * 2 * capped(cap).sum() / counts.sum() - cap)

    highest = float(np.max(wanted / np.maximum(rare, 1)))
    if highest <= 1 or room(highest) >= 0:
        return wanted
    # A cap of 1 gives the rare class of every bin one weight: less is not to be had.
    return capped(float(brentq(room, 1.0, highest)) if room(1.0) > 0 else 1.0)
