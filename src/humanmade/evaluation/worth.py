"""What a blend submits, and what that is worth: beside its members, against the best of them, what each adds,
and what it flips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, fusion, ledger, submission
from humanmade.data import manifest
from humanmade.errors import UserError
from humanmade.evaluation import forecast, significance
from humanmade.evaluation.blend import Blend, Member
from humanmade.evaluation.significance import METRICS, Difference, Sample
from humanmade.run import SUBMISSION
from humanmade.scores import Scores

BLEND = "the blend"
"""Its row among the members'."""

ADDS = "what each run adds: the blend less the blend of the others, on the same folds"

ANSWERS = {"better": "yes", "worse": "no"}
"""Whether a blend is better than its best member, by the verdict on their difference."""


@dataclass(frozen=True)
class Addition:
    """What a member adds: how much higher the blend scores than the blend of the others."""

    name: str
    folds: Difference | None
    """By the competition's metric; None where no fold holds both classes."""
    forecast: float | None
    """Of the forecast AUC."""

    def __str__(self) -> str:
        forecast = "" if self.forecast is None else f"; forecast AUC {self.forecast:+.4f}"
        return f"{self.name}: {self.folds or 'no fold holds both classes'}{forecast}"


def additions(blend: Blend) -> list[Addition]:
    """What each member adds to a blend that could be scored; none where it could not."""
    whole, found = blend.scores, []
    if whole is None:
        return []
    sample = significance.sample(blend.held_out, whole.prevalence)
    for member in blend.members:
        others = [other for other in blend.members if other is not member]
        rest = Blend(others, blend.method, blend.prevalence)
        apart = significance.differences(sample, significance.sample(rest.held_out, whole.prevalence))
        scores = rest.scores or _run_scores(rest.members[0])
        ends = whole.forecast, scores.forecast
        foretold = ends[0].auc - ends[1].auc if ends[0] and ends[1] else None
        found.append(Addition(member.origin, significance.decisive(apart) if apart else None, foretold))
    return found


def added(blend: Blend) -> list[str]:
    """`additions`, laid out a line each."""
    return [f"  {addition}" for addition in additions(blend)]


def in_order(logits: pd.Series[float], table: pd.DataFrame) -> pd.Series[float]:
    """Bring logits into the order of a manifest's test rows, under the ids that a submission writes.

    Raises:
        UserError: there are no test rows, or one has no logit.
    """
    ids = table.loc[table["split"] == "test", "id"]
    missing = ids[~ids.isin(logits.index)]
    if len(missing):
        raise UserError(f"blend: {len(missing)} test ids have no logit, '{missing.iloc[0]}' first")
    return logits.reindex(ids).set_axis(manifest.submission_ids(table))


def submit(
    blend: Blend,
    logits: pd.Series[float],
    out: Path,
    threshold: float | str | None = None,
) -> tuple[npt.NDArray[Any], list[str]]:
    """Write a blend's logits as a checked submission, with the note of its origin and its scores.

    Args:
        threshold: the logit to cut at, or `oof` for the one where out-of-fold F1 is best; by default labels
            are cut by rank, at the blend's prevalence or else the competition's.

    Returns:
        What is submitted (rows,), and what it is made of and holds, in lines.

    Raises:
        UserError: the threshold is another word than `oof` or no finite number.
    """
    nested, ids, names = "", [*logits.index], [member.origin for member in blend.members]
    if isinstance(threshold, str):
        if threshold != "oof":
            raise UserError(f"blend: found threshold '{threshold}'; expected a logit, or oof")
        threshold, score = blend.oof_threshold()
        nested = f", nested out-of-fold F1 {score:.3f}"
    if threshold is not None and not math.isfinite(threshold):
        raise UserError(f"blend: found threshold {threshold}; expected a logit, or oof")
    values, how = submission.answer(ids, logits, blend.share, threshold)
    how += nested
    submission.write(out, ids, values)
    ledger.note_origin(out, names, blend.method, how, blend.fold_score(), blend.scores, blend.fingerprints)
    lines = [f"{out}: {submission.summary(dict(zip(ids, values, strict=True)))} ({how})"]
    if blend.method in fusion.LEARNED:
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, blend.weights, strict=True))
        lines.insert(0, f"weights: {shares}")
    return values, lines


def lines(blend: Blend, values: Mapping[str, float]) -> list[str]:
    """What is known of a blend besides its submission, in lines; why nothing is, where that is so.

    Args:
        values: what it submits, by id.
    """
    members, scores = blend.members, blend.scores
    if len(members) < 2:
        return []
    if scores is None:
        return ["worth: not known; that needs runs of the same data with the same finished folds"]
    samples = {
        made.members[0].origin: significance.sample(made.held_out, scores.prevalence)
        for made in (Blend([member], "mean") for member in members)
    }
    samples[BLEND] = significance.sample(blend.held_out, scores.prevalence)
    best = max(members, key=lambda member: _fold_score(samples[member.origin]))
    found = significance.differences(samples[BLEND], samples[best.origin])
    told = ["better than the best member: not known, as no fold holds both classes"]
    if found:
        decisive = significance.decisive(found)
        answer = ANSWERS.get(decisive.verdict, decisive.verdict)
        told = [f"better than the best member on the folds, {best.name}: {answer}"]
        told += [f"  {difference}" for difference in found.values()]
    told += [f"{ADDS}:", *added(blend)]
    return [*_table(blend, scores, samples), *_correlations(blend), *told, *_flips(best, values)]


def _run_scores(member: Member) -> Scores:
    assert member.run is not None, "a run that could be scored"
    return member.run.scores


def _fold_score(sample: Sample, metric: str = competition.CURRENT.metric) -> float:
    return float(np.mean([fold.scores[metric] for fold in sample.values()])) if sample else math.nan


def _table(blend: Blend, scores: Scores, samples: Mapping[str, Sample]) -> list[str]:
    """The members' and the blend's scores on the folds, and their forecasts."""
    submitted = ledger.read()
    known = {member.origin: _run_scores(member) for member in blend.members} | {BLEND: scores}
    foretold = {name: forecast.shown(made, name, submitted).forecast for name, made in known.items()}
    table = pd.DataFrame(index=[*samples])
    for metric, said in METRICS.items():
        table[f"fold {said}"] = [_fold_score(sample, metric) for sample in samples.values()]
    for metric, said in METRICS.items():
        table[f"forecast {said}"] = [getattr(foretold[name], metric, math.nan) for name in samples]
    corrected = foretold[BLEND]
    heading = f"forecasts {corrected.correction}" if corrected else "no forecast"
    text = table.to_string(float_format="{:.3f}".format, na_rep="-")
    return [f"members and the blend ({heading}):", *text.splitlines()]


def _correlations(blend: Blend) -> list[str]:
    """Spearman's correlation of every two members' out-of-fold logits."""
    tables = zip(blend.members, blend.oof, strict=True)
    logits = pd.DataFrame({member.name: table["logit"] for member, table in tables})
    table = logits.corr(method="spearman").map("{:.2f}".format)
    return ["rank correlation of out-of-fold logits:", *table.to_string().splitlines()]


def _flips(best: Member, values: Mapping[str, float]) -> list[str]:
    """What the blend changes of the best member's own submission."""
    assert best.run is not None
    path = best.run.folder / SUBMISSION
    try:
        changed = submission.changes(values, submission.check(path, [*values]))
    except UserError as error:
        return [f"not compared with the best member's submission: {error}"]
    return [f"against {path}: {changed[0]}"]
