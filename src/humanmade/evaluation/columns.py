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
from humanmade.scores import MEAN, WORST, Scores
from humanmade.sensitivity import MOST

if TYPE_CHECKING:
    from humanmade.evaluation.evaluate import SetScores

Value = float | None
Getter = str | Callable[[Any], Value]
"""A path into scores, such as `forecast.auc`, or a function of them; nothing where a part is not known."""


@dataclass(frozen=True)
class Metric:
    """A number of a run, of a labelled set, or of both."""

    key: str
    """Its column in CSVs."""
    heading: str = ""
    """Over its column among runs side by side; without one it is in the CSV alone."""
    title: str = ""
    """Its line in a list; without one it has none."""
    of_run: Getter | None = None
    of_set: Getter | None = None
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
    of_run = isinstance(scores, Scores)
    getters = [(metric, metric.of_run if of_run else metric.of_set) for metric in METRICS]
    return [(metric, _value(scores, getter)) for metric, getter in getters if getter]


def _value(scores: Any, getter: Getter) -> Value:
    if not isinstance(getter, str):
        return getter(scores)
    for name in getter.split("."):
        scores = scores.get(name) if isinstance(scores, dict) else getattr(scores, name, None)
    known: Value = scores
    return known


def _selection(scores: Scores) -> Value:
    facts = forecast.facts_of(scores)
    return forecast.RANKING.elsewhere(facts) if facts else None


def _over_folds(reduce: Callable[[list[float]], np.floating[Any]]) -> Callable[[Scores], Value]:
    return lambda scores: float(reduce([fold.f1 for fold in scores.folds])) if scores.folds else None


def _least(scores: dict[str, float]) -> str:
    return f" ({min(scores, key=lambda name: scores[name])})" if scores else ""


def _around_forecast(scores: Scores) -> str:
    assert scores.forecast
    test = scores.distance
    told = f"this test set, told from train with AUC {test.auc:.2f}" if test else "a wholly shifted test set"
    without = "; made without embeddings" if scores.blind else ""
    return (
        f" (80 %: {scores.forecast.low:.2f} to {scores.forecast.high:.2f}; {scores.forecast.correction}) on "
        f"{told}: what such detectors kept on other worlds{without}"
    )


def _of_class(scores: Scores) -> str:
    assert scores.steadiness
    history = "; it reads a file's history" if scores.steadiness.sensitivity > MOST else ""
    return f" times the distance between the classes{history}"


METRICS = [
    Metric("selection", "ranking score", of_run=_selection),
    Metric("f1", "F1", of_run=_over_folds(np.mean)),
    Metric("spread", of_run=_over_folds(np.std)),
    Metric("auc", "AUC", "AUC", "auc", "auc"),
    Metric("oof_f1", "", "F1 at logit 0", "f1"),
    Metric("logloss", "", "log loss", "logloss"),
    Metric("corrupted", "corrupted", "corrupted: mean AUC", f"corrupted.{MEAN}.auc"),
    Metric(
        "worst_corrupted",
        "worst corrupted",
        "corrupted: worst AUC",
        f"corrupted.{WORST}.auc",
        note=lambda scores: _least(scores.corruptions),
    ),
    Metric(
        "sensitivity", "sensitivity", "sensitivity to re-encoding", "steadiness.sensitivity", note=_of_class
    ),
    Metric("flips", "flips", "verdicts that re-encoding flips", "steadiness.flips"),
    Metric("forecast", "forecast", "forecast AUC", "forecast.auc", note=_around_forecast),
    Metric("low", "low", of_run="forecast.low"),
    Metric("high", "high", of_run="forecast.high"),
    Metric("forecast_f1", "forecast F1", "forecast F1 at the prevalence", "forecast.f1"),
    Metric("corrected_by", of_run="forecast.submissions", form=".0f"),
    Metric(
        "worse",
        title="the worse of it and inside repos",
        of_set="worse",
        note=lambda scores: f" +- {scores.worse_error:.3f}",
    ),
    Metric("inside", title="mean AUC inside repos", of_set="inside_mean"),
    Metric("inside_worst", title="worst AUC inside a repo", of_set="inside_worst"),
    Metric("cross", title="AUC of photo source and generator", of_set="cross.mean"),
    Metric(
        "cross_worst",
        title="worst of these pairs",
        of_set="cross.worst",
        note=lambda scores: f" ({scores.cross.photos} against {scores.cross.generator})",
    ),
    Metric("tpr_at_1_fpr", title="true positives at 1 % false ones", of_set="tpr_at_1_fpr"),
    Metric(
        "offset",
        title="sources of a class lie apart by",
        of_set="offset",
        note=lambda scores: " of a source's spread",
    ),
    Metric("f1_at_0", title="F1 at logit 0", of_set="f1"),
    Metric("accuracy", title="accuracy at logit 0", of_set="accuracy"),
    Metric(
        "f1_at_prevalence",
        title="F1 at the prevalence",
        of_set="f1_at_prevalence",
        note=lambda scores: f" ({scores.prevalence:.2f})",
    ),
    Metric("balanced_accuracy", title="balanced accuracy there", of_set="balanced_accuracy"),
    Metric("f1_oracle", title="F1 at the set's own share (oracle)", of_set="f1_oracle"),
    Metric("f1_all_ones", title="F1 of answering 1 everywhere", of_set="f1_all_ones"),
    Metric("worst_generator", of_set="worst_generator"),
    Metric(
        "worst_source",
        "worst source",
        "AUC of the worst source",
        f"sources.{WORST}",
        f"sources.{WORST}",
        note=lambda scores: _least(scores.named_sources),
    ),
]
"""In the order of every view."""
