"""Scores of logits, and the thresholds that turn logits into labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition
from humanmade.errors import UserError

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NAMES = ("human-made", "generated")
"""Of labels 0 and 1."""

CHANCE = 0.5
"""AUC of a detector that knows nothing."""


def auc(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Area under the ROC curve; NaN where only one class is there."""
    from sklearn.metrics import roc_auc_score

    labels = np.asarray(labels)
    return float(roc_auc_score(labels, logits)) if len(np.unique(labels)) == 2 else float("nan")


def auc_error(auc: Any, ones: Any, zeros: Any) -> Any:
    """Standard error of an AUC measured on that many pictures of each class (Hanley and McNeil 1982).

    Each may be a number or a column of them.
    """
    ones, zeros = np.maximum(1.0, ones), np.maximum(1.0, zeros)
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (ones - 1) * (first - auc**2) + (zeros - 1) * (second - auc**2)
    return np.sqrt(np.maximum(0.0, variance) / (ones * zeros))


def tpr_at_fpr(labels: npt.ArrayLike, logits: npt.ArrayLike, fpr: float = 0.01) -> float:
    """Share of label 1 that is found while at most the share `fpr` of label 0 is called 1.

    Conservative: rows of one logit are called alike, so ties never let more of label 0 through; with fewer
    than 1 / `fpr` rows of label 0 none is. NaN where only one class is there.
    """
    from sklearn.metrics import roc_curve

    if len(np.unique(np.asarray(labels))) < 2:
        return float("nan")
    false, true, _ = roc_curve(labels, logits, drop_intermediate=False)
    # The tiny number keeps 29 of 100 within 0.29.
    return float(true[false <= fpr + 1e-9].max())


def f1(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Binary F1 of label 1, the competition's metric; 0 where nothing was found."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, zero_division=0.0))


def balanced_accuracy(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean of the recalls of both classes; NaN where only one class is there."""
    from sklearn.metrics import balanced_accuracy_score

    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(balanced_accuracy_score(labels, predicted))


def logloss(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Mean cross-entropy in nats, from logits, finite for any finite logit."""
    truth, scores = np.asarray(labels, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    return float(np.mean(np.logaddexp(0.0, scores) - truth * scores))


def summary(labels: npt.ArrayLike, logits: npt.ArrayLike) -> dict[str, float]:
    """The three numbers of every table: F1 at logit 0, AUC and log loss."""
    scores = np.asarray(logits, dtype=np.float64)
    return {
        "f1": f1(labels, scores > 0),
        "auc": auc(labels, scores),
        "logloss": logloss(labels, scores),
    }


SHIFTED_SHARE = 0.7
"""Weight of the shifted pictures wherever something is chosen by a score; clean ones have the rest."""


def selection(clean: float, shifted: float | None) -> float:
    """The score by which epochs and blend weights are chosen; without a shifted score, the clean one."""
    return clean if shifted is None else (1 - SHIFTED_SHARE) * clean + SHIFTED_SHARE * shifted


def all_ones_f1(prevalence: float) -> float:
    """F1 of answering 1 everywhere: the baseline of every table."""
    return 2 * prevalence / (1 + prevalence)


def all_ones_score() -> float:
    """That baseline by the competition's metric, at its assumed prevalence."""
    contest = competition.CURRENT
    return CHANCE if contest.metric == "auc" else all_ones_f1(contest.prevalence)


def all_ones() -> str:
    """The baseline in words."""
    share = competition.CURRENT.prevalence
    where = "a half-and-half set" if share == 0.5 else f"a set with {share:.0%} of 1"
    return (
        f"answering 1 everywhere scores {competition.CURRENT.metric_name} {all_ones_score():.3f} on {where}"
    )


def source_aucs(labels: npt.ArrayLike, logits: npt.ArrayLike, sources: Sequence[str]) -> dict[str, float]:
    """AUC of each source's pictures against all of the opposite class, and the `worst` of them.

    Rows without a source (empty string) serve as opposites only. A source whose pictures carry
    both labels is scored per label, as `name (0)` and `name (1)`.
    """
    table = pd.DataFrame({"label": np.asarray(labels), "logit": np.asarray(logits), "source": sources})
    named = table[table["source"] != ""]
    mixed = named.groupby("source")["label"].nunique() > 1
    scores = {}
    for (source, label), rows in named.groupby(["source", "label"]):
        source = str(source)
        both = pd.concat([rows, table[table["label"] != label]])
        score = auc(both["label"], both["logit"])
        if np.isfinite(score):
            scores[f"{source} ({label})" if mixed[source] else source] = score
    return scores | {"worst": min(scores.values())} if scores else {}


def inside_aucs(labels: npt.ArrayLike, logits: npt.ArrayLike, repos: Sequence[str]) -> dict[str, float]:
    """AUC inside every repo that holds both classes: what is told apart there is not the pipeline.

    Rows without a repo (empty string) are left out.
    """
    return {
        str(repo): auc(rows["label"], rows["logit"])
        for repo, rows in _named(labels, logits, repos).groupby("source")
        if rows["label"].nunique() > 1
    }


def cross_aucs(
    labels: npt.ArrayLike, logits: npt.ArrayLike, sources: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Cross-AUC: the AUC of every pair (photo source, generator), each class from one source alone.

    It is the plain AUC of each pair, without the polarisation term with which Nguyen et al. 2026
    (arXiv 2606.19184) weigh theirs. Rows without a source (empty string) are left out.
    """
    named = _named(labels, logits, sources)
    photos, fakes = (
        [(str(name), rows) for name, rows in named[named["label"] == label].groupby("source")["logit"]]
        for label in (0, 1)
    )
    return {
        (photo, generator): auc(np.repeat([0, 1], [len(zeros), len(ones)]), np.concatenate([zeros, ones]))
        for photo, zeros in photos
        for generator, ones in fakes
    }


def offset(labels: npt.ArrayLike, logits: npt.ArrayLike, sources: Sequence[str]) -> float:
    """How far sources of one class lie apart, in units of the spread inside a source.

    sqrt(mean over sources of (m - M)^2) / sqrt(mean over sources of v), with m a source's mean logit, v the
    variance of its logits (divided by their number) and M the mean of m over the sources of its class. A
    source of both labels is one source per label. A class of a single source says nothing and is left out,
    as are rows without a source (empty string). Sampling alone gives about 1 / sqrt(pictures of a source).

    Returns:
        0 where no class has two sources, infinity where sources differ and no logit does inside one.
    """
    grouped = _named(labels, logits, sources).groupby(["label", "source"])["logit"]
    means, variances = grouped.mean(), grouped.var(ddof=0)
    several = (means.groupby(level="label").transform("size") > 1).to_numpy(dtype=bool)
    if not several.any():
        return 0.0
    apart = (means - means.groupby(level="label").transform("mean"))[several]
    between, within = float(np.mean(apart**2)), float(np.mean(variances[several]))
    if within == 0:
        return float("inf") if between else 0.0
    return float(np.sqrt(between / within))


def _named(labels: npt.ArrayLike, logits: npt.ArrayLike, sources: Sequence[str]) -> pd.DataFrame:
    """`label, logit, source` of the rows with a source."""
    table = pd.DataFrame({"label": np.asarray(labels), "logit": np.asarray(logits), "source": sources})
    return table[table["source"] != ""]


def require_share(prevalence: float) -> None:
    """Refuse what is not a share of pictures.

    Raises:
        UserError: it is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise UserError(f"prevalence: found {prevalence}; expected a share between 0 and 1, such as 0.5")


def labels_at_prevalence(ids: Sequence[str], logits: npt.ArrayLike, prevalence: float) -> Labels:
    """Label the top share of rows 1, ranked by logit, ties broken by id."""
    scores = np.asarray(logits, dtype=np.float64)
    assert np.isfinite(scores).all(), "a logit is not finite"
    order = np.lexsort((np.asarray(ids, dtype=str), -scores))
    labels = np.zeros(len(scores), dtype=np.int64)
    labels[order[: round(prevalence * len(scores))]] = 1
    return labels


def best_threshold(labels: npt.ArrayLike, logits: npt.ArrayLike, balanced: bool = False) -> float:
    """The logit above which label 1 gives the best F1, midway between two scores.

    Args:
        balanced: weigh rows so that both classes are equally frequent; both must be there.
    """
    truth, scores = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    false_alarms = np.arange(1, len(truth) + 1) - hits
    weight = truth.sum() / (len(truth) - truth.sum()) if balanced else 1.0
    curve = 2 * hits / (hits + weight * false_alarms + truth.sum())
    # A cut between two equal scores cannot be made.
    curve[:-1][ranked[:-1] == ranked[1:]] = -1.0
    best = int(np.argmax(curve))
    following = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 2.0
    return float((ranked[best] + following) / 2)


def nested_f1(labels: npt.ArrayLike, logits: npt.ArrayLike, folds: npt.ArrayLike) -> float:
    """F1 when each fold is cut at the threshold that was best on the others; NaN for one fold."""
    truth, scores, fold = np.asarray(labels), np.asarray(logits), np.asarray(folds)
    if len(np.unique(fold)) < 2:
        return float("nan")
    predicted = np.zeros(len(truth), dtype=np.int64)
    for held_out in np.unique(fold):
        inside = fold == held_out
        threshold = best_threshold(truth[~inside], scores[~inside])
        predicted[inside] = scores[inside] > threshold
    return f1(truth, predicted)
