"""What a blend is worth: beside its members, against the best of them, and what it flips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from humanmade import competition, ledger, submission
from humanmade.errors import UserError
from humanmade.evaluation import blend, forecast, significance
from humanmade.evaluation.member import Member, same_rows
from humanmade.evaluation.significance import Sample
from humanmade.run import SUBMISSION
from humanmade.scores import Scores

BLEND = "the blend"
"""Its row among the members'."""

ANSWERS = {"better": "yes", "worse": "no"}
"""Whether a blend is better than its best member, by the verdict on their difference."""


def lines(
    members: Sequence[Member], method: str, scores: Scores | None, values: Mapping[str, float]
) -> list[str]:
    """What is known of a blend besides its submission, in lines; why nothing is, where that is so.

    Args:
        scores: of the blend, where it could be scored.
        values: what it submits, by id.
    """
    if len(members) < 2:
        return []
    if scores is None:
        return ["worth: not known; that needs runs of the same data with the same finished folds"]
    samples = {member.origin: _sample(member, scores.prevalence) for member in members}
    samples[BLEND] = significance.sample(blend.held_out(members, method), scores.prevalence)
    best = max(members, key=lambda member: _fold_score(samples[member.origin]))
    found = significance.differences(samples[BLEND], samples[best.origin])
    told = ["better than the best member: not known, as no fold holds both classes"]
    if found:
        decisive = significance.decisive(found)
        answer = ANSWERS.get(decisive.verdict, decisive.verdict)
        told = [f"better than the best member on the folds, {best.name}: {answer}"]
        told += [f"  {difference}" for difference in found.values()]
    return [*_table(members, scores, samples), *_correlations(members), *told, *_flips(best, values)]


def _sample(member: Member, prevalence: float) -> Sample:
    assert member.oof is not None and member.folds is not None, "a run that could be scored"
    rows = member.oof.merge(member.folds[["id", "group"]], on="id", validate="1:1")
    return significance.sample(rows, prevalence)


def _fold_score(sample: Sample, metric: str = competition.CURRENT.metric) -> float:
    return float(np.mean([fold.scores[metric] for fold in sample.values()])) if sample else float("nan")


def _table(members: Sequence[Member], scores: Scores, samples: Mapping[str, Sample]) -> list[str]:
    """The members' and the blend's scores on the folds, and their forecasts."""
    submitted = ledger.read()
    known = {m.origin: forecast.shown(m.run.scores, m.origin, submitted) for m in members if m.run}
    known[BLEND] = forecast.shown(scores, BLEND, submitted)
    table = pd.DataFrame(index=[*samples])
    for metric, said in significance.METRICS.items():
        table[f"fold {said}"] = [_fold_score(sample, metric) for sample in samples.values()]
    for metric, said in significance.METRICS.items():
        table[f"forecast {said}"] = [getattr(known[name].forecast, metric, math.nan) for name in samples]
    corrected = known[BLEND].forecast
    heading = f"forecasts {corrected.correction}" if corrected else "no forecast"
    text = table.to_string(float_format="{:.3f}".format, na_rep="-")
    return [f"members and the blend ({heading}):", *text.splitlines()]


def _correlations(members: Sequence[Member]) -> list[str]:
    """Spearman's correlation of every two members' out-of-fold logits."""
    logits = pd.DataFrame(
        {member.name: table["logit"] for member, table in zip(members, same_rows(members), strict=True)}
    )
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
