"""What `scores.json` of a run holds, typed: `cv` writes it, everything that compares runs reads it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter, ValidationError

from humanmade import files
from humanmade.errors import UserError
from humanmade.metrics import CHANCE

MEAN, WORST = "mean", "worst"
"""Keys among corruptions and sources that are no corruption and no source."""

APART = 0.9
"""AUC of telling test from train from which on the sets share nothing; at 0.5 they are one set."""

# JSON has neither NaN nor infinity and keeps both as null; older runs keep an absent part as {}.
Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
Ratio = Annotated[float, BeforeValidator(lambda value: math.inf if value is None else value)]
Absent = BeforeValidator(lambda value: value or None)
Aliased = Field(validation_alias=AliasChoices("distance", "shifted"))


def _of_older_kits(distance: Any) -> Any:
    """The distance where older runs keep it, beside facts that are not weighed any more."""
    return distance.get("test") if isinstance(distance, dict) and "auc" not in distance else distance


@dataclass(frozen=True)
class Fold:
    """A finished fold: 0, 1, ... or `all`."""

    fold: int | str
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class FoldScores(Fold):
    """A finished fold with what its held-out rows say: F1 at logit 0, AUC and log loss."""

    f1: Number
    auc: Number
    logloss: Number


@dataclass(frozen=True)
class CorruptedScores:
    """Held-out pictures under one corruption."""

    auc: Number
    f1: Number


@dataclass(frozen=True)
class Steadiness:
    """What re-encoding does to logits (`humanmade.sensitivity`)."""

    sensitivity: Ratio
    """Infinite where the classes do not lie apart."""
    flips: Number
    """Share of verdicts that change."""


@dataclass(frozen=True)
class Distance:
    """How far a test set is from a training set, by their embeddings."""

    auc: float
    """Of a linear classifier telling test from train, in folds: 0.5 is one set."""
    unlike: float
    """Share of test pictures farther from train than all but a twentieth of train is from itself."""

    @property
    def shift(self) -> float:
        """0 (one set) to 1 (nothing shared)."""
        return min(1.0, max(0.0, (self.auc - CHANCE) / (APART - CHANCE)))


@dataclass(frozen=True)
class Forecast:
    """AUC on the test set with its 80 % interval, and F1 when the share `prevalence` is labelled 1."""

    auc: float
    f1: float
    low: float
    high: float
    submissions: int = 0
    """Past submissions that corrected it (`humanmade.evaluation.forecast.shown`); none in `scores.json`."""

    @property
    def correction(self) -> str:
        """Whether it is corrected, in words."""
        many = "s" if self.submissions > 1 else ""
        return f"corrected by {self.submissions} submission{many}" if self.submissions else "not corrected"


@dataclass(frozen=True)
class Scores:
    """A run's scores; what older kits did not write, or what no finished fold gives, is empty or None."""

    data: str
    """Fingerprint of the data."""
    folds: list[FoldScores] = field(default_factory=list)
    recipe: str = ""
    f1: float | None = None
    """Over all out-of-fold rows, at logit 0."""
    auc: float | None = None
    """Over all out-of-fold rows; with a source split the mean of the folds'."""
    logloss: float | None = None
    sources: dict[str, float] = field(default_factory=dict)
    """AUC of each source, and the `worst`."""
    scale: float | None = None
    """Standard deviation of the out-of-fold logits."""
    corrupted: dict[str, CorruptedScores] = field(default_factory=dict)
    """Of each corruption, their `mean` and the `worst`."""
    steadiness: Annotated[Steadiness | None, Absent] = None
    canaries: dict[str, Number] = field(default_factory=dict)
    """Fold AUC of each detector that is dumb on purpose."""
    distance: Annotated[Distance | None, Aliased, BeforeValidator(_of_older_kits)] = None
    """How far the test set is; None where there is none, or it could not be measured."""
    lacking: list[str] = field(default_factory=list)
    """What the forecast went without, for want of weights or of time: `embeddings` tell the distance."""
    forecast: Forecast | None = None
    prevalence: float = 0.5
    unfinished: bool = False
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds that the last start took for `reading` the pictures, `preparing` (features, counterparts) and,
    after the folds, `measuring` what the forecast needs besides."""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    """That of the last start (`humanmade.machine`)."""
    seed: int = 0
    commit: str = ""
    data_folders: list[str] = field(default_factory=list)
    """Where the data lay, as `cv` was told; empty in runs of older kits."""

    @property
    def data_name(self) -> str:
        """The data for people: its folders' names and the start of its fingerprint."""
        names = " + ".join(Path(folder).absolute().name for folder in self.data_folders)
        return f"{names or 'data'} {self.data[:8]}".strip()

    @property
    def shift(self) -> float:
        """How far the test set is taken to be: wholly, where that is not known."""
        return self.distance.shift if self.distance else 1.0

    @property
    def blind(self) -> bool:
        """Whether the forecast does not know how far the test set is, although it could have been told."""
        return self.forecast is not None and "embeddings" in self.lacking

    @property
    def corruptions(self) -> dict[str, float]:
        """AUC under each corruption that the held-out pictures were scored under."""
        return {name: score.auc for name, score in self.corrupted.items() if name not in (MEAN, WORST)}

    @property
    def named_sources(self) -> dict[str, float]:
        """AUC of each source."""
        return {name: auc for name, auc in self.sources.items() if name != WORST}

    def to_json(self) -> dict[str, Any]:
        """The object of `scores.json`."""
        values = dataclasses.asdict(self)
        values["steadiness"] = values["steadiness"] or {}
        if self.forecast:
            del values["forecast"]["submissions"]
        return values

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        files.write_json(path, self.to_json())


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def parse(kind: Any, values: Any, where: Path | str, advice: str) -> Any:
    """A dataclass, or another type, from JSON or CSV cells; keys that it does not know are passed over.

    Raises:
        UserError: a value is missing or of another kind; `advice` says what to do.
    """
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        problem = "is missing" if first["type"] == "missing" else f"is {first['input']!r}: {first['msg']}"
        raise UserError(f"{where}: damaged ('{key}' {problem}); {advice}") from None


def read(path: Path) -> Scores:
    """Read `scores.json` of a run.

    Raises:
        UserError: it is absent or damaged.
    """
    advice = "remove the run folder, or give another --out"
    scores: Scores = parse(Scores, files.read_json(path, ("data", "folds"), advice), path, advice)
    return scores
