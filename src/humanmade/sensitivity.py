"""How far logits hang on a file's history rather than on its class: measured by re-encoding pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

REENCODED = ("jpeg90", "jpeg70", "jpeg50", "webp50", "down2up", "messenger")
"""Corruptions (`humanmade.images.corruptions`) that sites and messengers do and people do not see."""

MOST = 1.0
"""Sensitivity from which a re-encoding moves a picture as far as its class does."""


def sensitivity(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """How far re-encoding moves a picture's logit, in units of the distance between the classes' means.

    The root mean square distance of the re-encoded logits from the same picture's own, over the absolute
    difference of the classes' mean logits as the pictures are. Infinite where that is nought, NaN where a
    class is missing.

    Args:
        logits: (pictures, 1 + re-encodings); the first column is of the pictures as they are.
        labels: (pictures,).
    """
    seen, truth = np.asarray(logits, np.float64), np.asarray(labels)
    if len(np.unique(truth)) < 2:
        return float("nan")
    moved = float(np.sqrt(np.mean((seen[:, 1:] - seen[:, :1]) ** 2)))
    apart = abs(float(seen[truth == 1, 0].mean() - seen[truth == 0, 0].mean()))
    return moved / apart if apart > 0 else float("inf")


def flip_rate(logits: npt.ArrayLike) -> float:
    """Share of verdicts that re-encoding changes; no labels are needed.

    The verdict is cut at the median of the pictures as they are, as labels cut by rank are.

    Args:
        logits: as for `sensitivity`.
    """
    seen = np.asarray(logits, np.float64)
    verdict = seen > np.median(seen[:, 0])
    return float(np.mean(verdict[:, 1:] != verdict[:, :1]))
