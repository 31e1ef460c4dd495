"""Several predictions into one, in logit space, and scored like a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import competition, files, fusion, metrics
from humanmade.choices import FUSIONS
from humanmade.detectors.base import Logits
from humanmade.errors import UserError
from humanmade.evaluation import grid
from humanmade.evaluation.forecast import forecast_of
from humanmade.fusion import CLEAN
from humanmade.progress import warn_once
from humanmade.run import CORRUPTED, OOF, TEST, Run
from humanmade.scores import FoldScores, Scores


@dataclass(frozen=True)
class Member:
    """One prediction to blend, in units of its own spread."""

    name: str
    """As the user wrote it."""
    origin: str
    """As the ledger writes it: a run's own name."""
    test: pd.Series[float]
    """Logits by test id."""
    run: Run | None = None
    """None for a bare CSV."""
    oof: pd.DataFrame | None = None
    """`label, fold, logit` by id; None for a bare CSV."""
    folds: pd.DataFrame | None = None
    corrupted: pd.DataFrame | None = None
    """`id, label, fold, clean` and a column a corruption by fold and id, of a sample of the held-out rows."""

    @property
    def place(self) -> Path:
        """Where it lies, however it was given."""
        return (self.run.folder if self.run else Path(self.name)).resolve()


def read_member(name: str) -> Member:
    """Open a run, or a CSV with `id,logit`, dividing logits by their scale.

    A run's scale is the spread of its out-of-fold logits; a CSV's is its own spread.
    """
    if name.endswith(".csv"):
        logits = files.read_numbers(Path(name), ("id", "logit"), ours=False).set_index("id")["logit"]
        return Member(name, name, logits / _spread(logits))
    run = Run.find(name)
    test, oof, corrupted = run.test, run.oof, None
    if test is None:
        raise UserError(f"{name}: has no {TEST}; a blend is of test rows, so of runs on data with some")
    scale = run.scores.scale or _spread(test)
    if oof is not None:
        oof = oof.set_index("id")
        scored = [key for key in run.finished() if isinstance(key, int)]
        if scored and all((run.fold(key) / CORRUPTED).is_file() for key in scored):
            corrupted = run.corrupted(scored, oof["label"]).dropna()
            corrupted[[CLEAN, *grid.corruptions(corrupted)]] /= scale
            corrupted = corrupted.set_index(["fold", "id"], drop=False)
        oof["logit"] /= scale
    return Member(name, run.name, test / scale, run, oof, run.assigned, corrupted)


def _spread(logits: pd.Series[float]) -> float:
    """Standard deviation of logits, divided first so that huge ones do not overflow; 1 where it is 0."""
    largest = float(logits.abs().max()) if len(logits) else 0.0
    return largest * float((logits / largest).std(ddof=0)) or 1.0 if largest else 1.0


@dataclass(frozen=True)
class Blend:
    """Members fused by one of `choices.FUSIONS`, matched by id.

    Weights that are learned and what is said of held-out rows need runs whose out-of-fold rows are the
    same; a UserError says so where they are not.

    Raises:
        UserError: there is no such method or prevalence, a member is given twice, or the members' names are
            the same, or their ids or folds differ.
    """

    members: Sequence[Member]
    method: str
    prevalence: float | None = None
    """Share of generated pictures by which labels are cut and F1 is foretold; None is the competition's."""

    def __post_init__(self) -> None:
        if self.method not in FUSIONS:
            raise UserError(f"blend: found method '{self.method}'; expected one of {', '.join(FUSIONS)}")
        if self.prevalence is not None:
            metrics.require_share(self.prevalence)
        first, places, origins = self.members[0], set[Path](), set[str]()
        for member in self.members:
            if member.place in places:
                raise UserError(f"{member.name}: given twice, so it would count double")
            if member.origin in origins:
                raise UserError(f"{member.name}: another run is called {member.origin} too; rename a folder")
            places.add(member.place)
            origins.add(member.origin)
        if first.test.empty:
            raise UserError(f"{first.name}: has no rows")
        for member in self.members[1:]:
            _check_alike(first, member)

    @property
    def share(self) -> float:
        """The `prevalence` that counts."""
        return competition.CURRENT.prevalence if self.prevalence is None else self.prevalence

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
        return self._corrupted | {CLEAN: self._clean}

    @cached_property
    def oof(self) -> list[pd.DataFrame]:
        """The members' out-of-fold tables, all of the same rows.

        Raises:
            UserError: a member has none, or members' rows differ.
        """
        tables: list[pd.DataFrame] = []
        for member in self.members:
            if member.oof is None:
                raise UserError(f"{member.name}: is a bare CSV; this needs runs with their oof.csv")
            if tables and not member.oof.index.equals(tables[0].index):
                raise UserError(f"{member.name}: other folds are finished than in {self.members[0].name}")
            tables.append(member.oof)
        return tables

    @cached_property
    def _clean(self) -> fusion.View:
        return _view(self.oof, "logit")

    @cached_property
    def _corrupted(self) -> dict[str, fusion.View]:
        """The members' views of a sample of the held-out rows, as they are too; empty where they differ."""
        samples = [member.corrupted for member in self.members if member.corrupted is not None]
        alike = all(table.index.equals(samples[0].index) for table in samples)
        if len(samples) < len(self.members) or not alike:
            return {}
        union = dict.fromkeys(name for table in samples for name in grid.corruptions(table))
        shared = [name for name in union if all(name in table for table in samples)]
        if len(shared) < len(union):
            lacking = ", ".join(name for name in union if name not in shared)
            warn_once(f"not all runs were scored under {lacking}: weights are learned from the others")
        return {name: _view(samples, name) for name in (CLEAN, *shared)}

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the held-out logits of each member that is a run with some."""
        runs = {member.origin: member.run for member in self.members if member.run and member.oof is not None}
        return {origin: files.sha256(run.folder / OOF) for origin, run in runs.items()}

    @cached_property
    def scorable(self) -> bool:
        """Whether all members have out-of-fold logits of the same rows."""
        try:
            return bool(self.oof)
        except UserError:
            return False

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """`id, label, fold, logit, group` of the out-of-fold rows, each fold under weights of the others."""
        assigned = self.members[0].folds
        assert assigned is not None, "a run has folds"
        rows = self.oof[0][["label", "fold"]].assign(logit=self._nested(self._clean)).reset_index()
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
        members = [run.scores for run in runs]
        several = len(runs) == len(self.members) > 1 and self.scorable
        if not several or len({member.data for member in members}) > 1:
            return None
        first, corrupted = members[0], pd.DataFrame()
        if self._corrupted:
            sample = self.members[0].corrupted
            assert sample is not None, "all have one"
            logits = {name: self._nested(seen) for name, seen in self._corrupted.items()}
            corrupted = sample[["id", "label", "fold"]].assign(**logits).reset_index(drop=True)
        blended = Scores(
            data=first.data,
            data_folders=first.data_folders,
            recipe=f"{self.method} of {', '.join(run.name for run in runs)}",
            distance=first.distance,
            lacking=first.lacking,
            prevalence=self.share,
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
        return {
            fold: fusion.weigh(self.method, {name: seen.without(fold) for name, seen in self.views.items()})
            for fold in sorted(folds)
        }

    def _nested(self, seen: fusion.View) -> Logits:
        """Fused logits, each fold's under weights that are learned on the others: an honest estimate."""
        if self.method not in fusion.LEARNED or len(np.unique(self._clean.folds)) == 1:
            return self._fused(seen.logits)
        logits = np.empty(len(seen.labels))
        for fold, weights in self._weights_without.items():
            inside = seen.folds == fold
            logits[inside] = fusion.combine(seen.logits[inside], weights)
        return logits


def _view(tables: Sequence[pd.DataFrame], name: str) -> fusion.View:
    """The column `name` of the members' tables of the same rows."""
    labels, folds = (tables[0][column].to_numpy(dtype=np.int64) for column in ("label", "fold"))
    return fusion.View(labels, folds, np.column_stack([table[name] for table in tables]))


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
