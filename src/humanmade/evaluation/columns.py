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


def _nothing(scores: Any) -> str:
    return ""


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
    note: Callable[[Any], str] = _nothing
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
    facts = forecast.facts_of(scores)
    return forecast.RANKING.elsewhere(facts) if facts else None


def _over_folds(reduce: Callable[[list[float]], np.floating[Any]]) -> Callable[[Scores], Value]:
    return lambda scores: float(reduce([fold.f1 for fold in scores.folds])) if scores.folds else None


def _corrupted(name: str) -> Callable[[Scores], Value]:
    return lambda scores: scores.corrupted[name].auc if name in scores.corrupted else None


def _labelled(key: str, title: str, field: str = "", note: Callable[[Any], str] = _nothing) -> Metric:
    """A metric of labelled sets alone: a field of `SetScores`."""
    return Metric(key, title=title, of_set=_field(field or key), note=note)


def _field(path: str) -> Callable[[Any], Value]:
    """A field of scores, or of a part of them: None where that part is not known."""
    part, _, name = path.rpartition(".")

    def value(scores: Any) -> Value:
        owner = getattr(scores, part) if part else scores
        known: Value = None if owner is None else getattr(owner, name)
        return known

    return value


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
    Metric("auc", "AUC", "AUC", _field("auc"), _field("auc")),
    Metric("oof_f1", "", "F1 at logit 0", _field("f1")),
    Metric("logloss", "", "log loss", _field("logloss")),
    Metric("corrupted", "corrupted", "corrupted: mean AUC", _corrupted(MEAN)),
    Metric(
        "worst_corrupted",
        "worst corrupted",
        "corrupted: worst AUC",
        _corrupted(WORST),
        note=lambda scores: _least(scores.corruptions),
    ),
    Metric(
        "sensitivity",
        "sensitivity",
        "sensitivity to re-encoding",
        _field("steadiness.sensitivity"),
        note=_of_class,
    ),
    Metric("flips", "flips", "verdicts that re-encoding flips", _field("steadiness.flips")),
    Metric("forecast", "forecast", "forecast AUC", _field("forecast.auc"), note=_around_forecast),
    Metric("low", "low", of_run=_field("forecast.low")),
    Metric("high", "high", of_run=_field("forecast.high")),
    Metric("forecast_f1", "forecast F1", "forecast F1 at the prevalence", _field("forecast.f1")),
    Metric("corrected_by", of_run=_field("forecast.submissions"), form=".0f"),
    _labelled(
        "worse", "the worse of it and inside repos", note=lambda scores: f" +- {scores.worse_error:.3f}"
    ),
    _labelled("inside", "mean AUC inside repos", "inside_mean"),
    _labelled("inside_worst", "worst AUC inside a repo"),
    _labelled("cross", "AUC of photo source and generator", "cross.mean"),
    _labelled(
        "cross_worst",
        "worst of these pairs",
        "cross.worst",
        lambda scores: f" ({scores.cross.photos} against {scores.cross.generator})",
    ),
    _labelled("tpr_at_1_fpr", "true positives at 1 % false ones"),
    _labelled("offset", "sources of a class lie apart by", note=lambda scores: " of a source's spread"),
    _labelled("f1_at_0", "F1 at logit 0", "f1"),
    _labelled("accuracy", "accuracy at logit 0"),
    _labelled("f1_at_prevalence", "F1 at the prevalence", note=lambda scores: f" ({scores.prevalence:.2f})"),
    _labelled("balanced_accuracy", "balanced accuracy there"),
    _labelled("f1_oracle", "F1 at the set's own share (oracle)"),
    _labelled("f1_all_ones", "F1 of answering 1 everywhere"),
    _labelled("worst_generator", ""),
    Metric(
        "worst_source",
        "worst source",
        "AUC of the worst source",
        of_run=lambda scores: scores.sources.get(WORST),
        of_set=lambda scores: scores.sources.get(WORST),
        note=lambda scores: _least(scores.named_sources),
    ),
]
"""In the order of every view."""
