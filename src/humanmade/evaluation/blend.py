"""Several predictions into one, in logit space, and scored like a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import competition, fusion, ledger, metrics, submission
from humanmade.data import manifest
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.evaluation import grid
from humanmade.evaluation.forecast import forecast_of
from humanmade.evaluation.member import Member, corrupted_samples, same_rows, shared_corruptions, view
from humanmade.progress import warn_once
from humanmade.scores import FoldScores, Scores


@dataclass(frozen=True)
class Blend:
    """Members fused by one of `choices.FUSIONS`, matched by id.

    Weights that are learned and what is said of held-out rows need runs whose out-of-fold rows are the
    same; a UserError says so where they are not.

    Raises:
        UserError: a member is given twice, or the members' ids or folds differ.
    """

    members: Sequence[Member]
    method: str

    def __post_init__(self) -> None:
        first, names = self.members[0], [member.name for member in self.members]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f"{twice[0]}: given twice, so it would count double")
        if first.test.empty:
            raise UserError(f"{first.name}: has no rows")
        for member in self.members[1:]:
            _check_alike(first, member)

    @cached_property
    def test(self) -> pd.Series[float]:
        """Test logits by id, in the order of the first member."""
        ids = self.members[0].test.index
        stacked = np.column_stack([member.test.reindex(ids) for member in self.members])
        return pd.Series(self._fused(stacked), index=ids)

    @cached_property
    def weights(self) -> Logits:
        """Of the members, adding up to 1."""
        if self.method in fusion.LEARNED:
            return fusion.weigh(self.method, self.views)
        return np.full(len(self.members), 1 / len(self.members))

    @cached_property
    def views(self) -> fusion.Views:
        """The members' held-out logits: clean, and corrupted where all were scored on the same pictures."""
        if not self._corrupted:
            warn_once(
                "not all runs were scored on the same corrupted pictures: weights are learned from clean ones"
            )
        return self._corrupted | {fusion.CLEAN: self._clean}

    @cached_property
    def _clean(self) -> fusion.View:
        return view(same_rows(self.members), "logit")

    @cached_property
    def _corrupted(self) -> dict[str, fusion.View]:
        """The members' views of a sample of the held-out rows, as they are too; empty where they differ."""
        samples = corrupted_samples(self.members)
        names = [fusion.CLEAN, *shared_corruptions(samples)] if samples else []
        return {name: view(samples, name) for name in names}

    @cached_property
    def scorable(self) -> bool:
        """Whether all members have out-of-fold logits of the same rows."""
        try:
            return bool(same_rows(self.members))
        except UserError:
            return False

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """`id, label, fold, logit, group` of the out-of-fold rows, each fold under weights of the others."""
        first, assigned = same_rows(self.members)[0], self.members[0].folds
        assert assigned is not None, "a run has folds"
        rows = first[["label", "fold"]].assign(logit=self._nested(self._clean)).reset_index()
        return rows.merge(assigned[["id", "group"]], on="id", validate="1:1")

    def oof_threshold(self) -> tuple[float, float]:
        """The threshold that is best on the out-of-fold logits, and its nested F1 estimate."""
        labels = self._clean.labels
        threshold = metrics.best_threshold(labels, self._fused(self._clean.logits))
        return threshold, metrics.nested_f1(labels, self._nested(self._clean), self._clean.folds)

    def fold_score(self) -> float | None:
        """Nested out-of-fold score by the competition's metric; None where it is not `scorable`."""
        if not self.scorable:
            return None
        if competition.CURRENT.metric == "f1":
            return self.oof_threshold()[1]
        return float(np.mean([fold.auc for fold in _fold_scores(self.held_out)]))

    @cached_property
    def scores(self) -> Scores | None:
        """What `scores.json` would say of it; None but for several runs of the same data and folds."""
        runs = [member.run for member in self.members if member.run]
        if len(runs) < max(2, len(self.members)) or not self.scorable:
            return None
        members = [run.scores for run in runs]
        if len({member.data for member in members}) > 1:
            return None
        first, corrupted = members[0], pd.DataFrame()
        if self._corrupted:
            sample = corrupted_samples(self.members)[0][["id", "label", "fold"]].reset_index(drop=True)
            corrupted = sample.assign(**{name: self._nested(seen) for name, seen in self._corrupted.items()})
        blended = Scores(
            data=first.data,
            data_folders=first.data_folders,
            recipe=f"{self.method} of {', '.join(run.name for run in runs)}",
            distance=first.distance,
            lacking=first.lacking,
            prevalence=first.prevalence,
            unfinished=any(member.unfinished for member in members),
        )
        folds = _fold_scores(self.held_out, [fold for member in members for fold in member.folds])
        by_fold = runs[0].recipe.split == "source"
        blended = grid.scored(blended, folds, self.held_out, corrupted, by_fold)
        return replace(blended, forecast=forecast_of(blended, len(self.test)))

    def _fused(self, logits: Logits) -> Logits:
        return fusion.rank(logits) if self.method == "rank" else fusion.combine(logits, self.weights)

    @cached_property
    def _weights_without(self) -> dict[int, Logits]:
        """Weights learned on all folds but one, by that one."""
        # By source, a fold may hold out nothing first: it is among the corrupted rows alone.
        folds = {int(fold) for seen in self.views.values() for fold in np.unique(seen.folds)}
        return {fold: fusion.weigh_without(fold, self.method, self.views) for fold in sorted(folds)}

    def _nested(self, seen: fusion.View) -> Logits:
        """Fused logits, each fold's under weights that are learned on the others: an honest estimate."""
        if self.method not in fusion.LEARNED or len(np.unique(self._clean.folds)) == 1:
            return self._fused(seen.logits)
        logits = np.empty(len(seen.labels))
        for fold, weights in self._weights_without.items():
            inside = seen.folds == fold
            logits[inside] = fusion.combine(seen.logits[inside], weights)
        return logits


def _check_alike(first: Member, other: Member) -> None:
    missing = first.test.index.difference(other.test.index)
    surplus = other.test.index.difference(first.test.index)
    if len(missing) or len(surplus):
        example = f"lacks '{missing[0]}'" if len(missing) else f"has '{surplus[0]}' besides"
        raise UserError(
            f"{other.name}: predicts other ids than {first.name} ({example}; "
            f"{len(missing)} missing, {len(surplus)} surplus)"
        )
    if first.folds is not None and other.folds is not None and not first.folds.equals(other.folds):
        raise UserError(
            f"{other.name}: its folds.csv differs from that of {first.name}; "
            "blend runs of the same data, folds, fold_seed and split"
        )


def _fold_scores(rows: pd.DataFrame, spent: Sequence[FoldScores] = ()) -> list[FoldScores]:
    """The scores of each fold of out-of-fold rows; its seconds are those of all members' folds."""
    return [
        FoldScores(
            int(str(key)),
            sum(fold.seconds for fold in spent if fold.fold == key),
            0.0,
            **metrics.summary(part["label"], part["logit"]),
        )
        for key, part in rows.groupby("fold")
    ]


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
    prevalence: float | None = None,
    threshold: float | str | None = None,
) -> tuple[npt.NDArray[Any], list[str]]:
    """Write a blend's logits as a checked submission, with the note of its origin and its scores.

    Args:
        prevalence: by which labels are cut by rank; the competition's by default.
        threshold: the logit to cut at instead, or `oof` for the one where out-of-fold F1 is best.

    Returns:
        What is submitted (rows,), and what it is made of and holds, in lines.
    """
    nested, ids, names = "", [*logits.index], [member.origin for member in blend.members]
    if isinstance(threshold, str):
        threshold, score = blend.oof_threshold()
        nested = f", nested out-of-fold F1 {score:.3f}"
    prevalence = competition.CURRENT.prevalence if prevalence is None else prevalence
    values, how = submission.answer(ids, logits, prevalence, threshold)
    how += nested
    submission.write(out, ids, values)
    ledger.note_origin(out, names, blend.method, how, blend.fold_score(), blend.scores)
    lines = [f"{out}: {submission.summary(dict(zip(ids, values, strict=True)))} ({how})"]
    if blend.method in fusion.LEARNED:
        nested_score = fusion.nested_score(blend.method, blend.views)
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, blend.weights, strict=True))
        lines.insert(0, f"weights: {shares}; score on the folds left out {nested_score:.3f}")
    return values, lines
