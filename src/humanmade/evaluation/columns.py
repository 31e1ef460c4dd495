"""One table of metrics: what every view shows of a run, and of a labelled set, and how.

The end of `cv`, `compare` (CSV and terminal), the report page, the table of `bench` and the text of
`evaluate` go through `METRICS`, so one more metric is one more entry here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humanmade.evaluation import forecast
from humanmade.evaluation.forecast_model import facts_of
from humanmade.scores import MEAN, WORST, Scores
from humanmade.sensitivity import MOST

if TYPE_CHECKING:
    from humanmade.evaluation.evaluate import SetScores

Value = float | None


@dataclass(frozen=True)
class Metric:
    """A number of a run, of a labelled set, or of both."""

    key: str
    """Its column in CSVs."""
    heading: str = ""
    """Over its column among runs side by side; without one it is in the CSV alone."""
    title: str = ""
    """Its line in a list; without one it has none."""
    of_run: Callable[[Scores], Value] | None = None
    of_set: Callable[[SetScores], Value] | None = None
    note: Callable[[Any], str] = lambda scores: ""
    """What follows the number in a list."""
    form: str = ".3f"

    def text(self, value: Value) -> str:
        """The number for people."""
        return "-" if value is None or math.isnan(value) else format(value, self.form)


def values(scores: Scores | SetScores) -> dict[str, Value]:
    """Every metric of a run, or of a labelled set, by its key."""
    return {metric.key: value for metric, value in _measured(scores)}


def lines(scores: Scores | SetScores) -> list[str]:
    """The known metrics of a run, or of a labelled set, one a line."""
    return [
        f"{metric.title:35}{metric.text(value)}{metric.note(scores)}"
        for metric, value in _measured(scores)
        if metric.title and value is not None
    ]


def keys() -> list[str]:
    """All columns: those of a run alone, then those of a labelled set."""
    runs = [metric.key for metric in METRICS if metric.of_run and not metric.of_set]
    return [*runs, *(metric.key for metric in METRICS if metric.of_set)]


def _measured(scores: Scores | SetScores) -> list[tuple[Metric, Value]]:
    if isinstance(scores, Scores):
        return [(metric, metric.of_run(scores)) for metric in METRICS if metric.of_run]
    return [(metric, metric.of_set(scores)) for metric in METRICS if metric.of_set]


def _selection(scores: Scores) -> Value:
    facts = facts_of(scores)
    return forecast.selection(facts) if facts else None


def _over_folds(reduce: Callable[[list[float]], np.floating[Any]]) -> Callable[[Scores], Value]:
    return lambda scores: float(reduce([fold.f1 for fold in scores.folds])) if scores.folds else None


def _corrupted(name: str) -> Callable[[Scores], Value]:
    return lambda scores: scores.corrupted[name].auc if name in scores.corrupted else None


def _forecast(name: str) -> Callable[[Scores], Value]:
    return lambda scores: getattr(scores.forecast, name) if scores.forecast else None


def _of_set(name: str) -> Callable[[SetScores], Value]:
    return lambda scores: getattr(scores, name)


def _least(scores: dict[str, float]) -> str:
    return f" ({min(scores, key=lambda name: scores[name])})" if scores else ""


def _around_forecast(scores: Scores) -> str:
    assert scores.forecast
    test = scores.shifted and scores.shifted.test
    told = f"this test set, told from train with AUC {test.auc:.2f}" if test else "a wholly shifted test set"
    return (
        f" (80 %: {scores.forecast.low:.2f} to {scores.forecast.high:.2f}) on {told}: "
        "what such detectors kept on other worlds"
    )


def _of_class(scores: Scores) -> str:
    assert scores.steadiness
    history = "; it reads a file's history" if scores.steadiness.sensitivity > MOST else ""
    return f" times as far as its class does{history}"


METRICS = [
    Metric("selection", "ranked by", of_run=_selection),
    Metric("f1", "F1", of_run=_over_folds(np.mean)),
    Metric("spread", of_run=_over_folds(np.std)),
    Metric("auc", "AUC", "AUC", lambda scores: scores.auc, _of_set("auc")),
    Metric("oof_f1", "", "F1 at logit 0", lambda scores: scores.f1),
    Metric("logloss", "", "log loss", lambda scores: scores.logloss),
    Metric("corrupted", "corrupted", "corrupted: mean AUC", _corrupted(MEAN)),
    Metric(
        "worst_corrupted",
        "worst",
        "corrupted: worst AUC",
        _corrupted(WORST),
        note=lambda scores: _least(scores.corruptions),
    ),
    Metric(
        "sensitivity",
        "moved",
        "re-encoding moves a picture",
        lambda scores: scores.steadiness.sensitivity if scores.steadiness else None,
        note=_of_class,
    ),
    Metric(
        "flips",
        "flips",
        "verdicts that re-encoding flips",
        lambda scores: scores.steadiness.flips if scores.steadiness else None,
    ),
    Metric(
        "counterparts",
        "counterparts",
        "AUC of photos against counterparts",
        lambda scores: scores.shifted.counterparts if scores.shifted else None,
    ),
    Metric("forecast", "forecast", "forecast AUC", _forecast("auc"), note=_around_forecast),
    Metric("low", "low", of_run=_forecast("low")),
    Metric("high", "high", of_run=_forecast("high")),
    Metric("forecast_f1", "its F1", "forecast F1 at the prevalence", _forecast("f1")),
    Metric("worse", "", "the worse of it and inside repos", None, _of_set("worse"),
           lambda scores: f" +- {scores.worse_error:.3f}"),
    Metric("inside", "", "mean AUC inside repos", None, _of_set("inside_mean")),
    Metric("inside_worst", "", "worst AUC inside a repo", None, _of_set("inside_worst")),
    Metric("cross", "", "AUC of photo source and generator", None, lambda scores: scores.cross.get("mean")),
    Metric("cross_worst", "", "worst of these pairs", None, lambda scores: scores.cross.get("worst"),
           lambda scores: " ({photos} against {generator})".format(**scores.cross)),
    Metric("tpr_at_1_fpr", "", "true positives at 1 % false ones", None, _of_set("tpr_at_1_fpr")),
    Metric("offset", "", "sources of a class lie apart by", None, _of_set("offset"),
           lambda scores: " of a source's spread"),
    Metric("f1_at_0", "", "F1 at logit 0", None, _of_set("f1")),
    Metric("accuracy", "", "accuracy at logit 0", None, _of_set("accuracy")),
    Metric("f1_at_prevalence", "", "F1 at the prevalence", None, _of_set("f1_at_prevalence"),
           lambda scores: f" (prevalence {scores.prevalence:.2f})"),
    Metric("balanced_accuracy", "", "balanced accuracy there", None, _of_set("balanced_accuracy")),
    Metric("f1_oracle", "", "F1 at the set's own share (oracle)", None, _of_set("f1_oracle")),
    Metric("f1_all_ones", "", "F1 of answering 1 everywhere", None, _of_set("f1_all_ones")),
    Metric("worst_generator", of_set=_of_set("worst_generator")),
    Metric("worst_source", "worst source", "AUC of the worst source",
           lambda scores: scores.sources.get(WORST), lambda scores: scores.sources.get(WORST),
           lambda scores: _least(scores.named_sources)),
]  # fmt: skip
"""In the order of every view."""
