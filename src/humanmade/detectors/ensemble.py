"""Several detectors trained on the same fold, their logits fused into one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import detectors, files, fusion
from humanmade import recipe as recipes
from humanmade.data.folds import hold_sources_out, sources_by_label
from humanmade.detectors.base import Detector, Logits
from humanmade.errors import UserError
from humanmade.fusion import CLEAN
from humanmade.images import views as viewing
from humanmade.images.corruptions import SELECTING
from humanmade.recipe import EnsembleRecipe, Recipe
from humanmade.seeding import sample, stable_seed
from humanmade.sensitivity import MOST, REENCODED, sensitivity
from humanmade.training.budget import Budget

FUSION = "fusion.json"
"""Scales and weights of the members, in a fold's folder."""

SAMPLE = 2000
"""Training rows from which scales and offset are taken, at most."""

REENCODED_SAMPLE = 200
"""Training rows on which members' sensitivity to re-encoding is measured."""

INNER = "inner"
"""Trainings on part of a fold's rows, from which weights are learned."""

INNER_FOLDS = 5
"""Most of them: each trains all members once more."""


Split = tuple[pd.DataFrame, pd.DataFrame]
"""Rows to train on and rows held out, both of both classes."""


class Ensemble(Detector):
    """Members by recipe; each is trained in a folder of its own inside the fold's."""

    recipe: EnsembleRecipe

    def __init__(self, recipe: EnsembleRecipe) -> None:
        self.recipe = recipe

    @cached_property
    def members(self) -> dict[str, tuple[Recipe, Detector]]:
        """Each member's recipe and detector, by name."""
        named = zip(self.recipe.member_names, self.recipe.members, strict=True)
        made = {name: recipes.load(member) for name, member in named}
        return {name: (member, detectors.create(member)) for name, member in made.items()}

    def _prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        for member, detector in self.members.values():
            detector.prepare(training, predicted, viewing.expand(member.views), budget)

    def _fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        weights = self._weights(train, seed, folder, budget)
        seen = self._fit_members(train, valid, seed, folder, budget, folder.name)
        # Scales and the offset need no member's errors: how far logits spread on what the fold trains on,
        # and where they must be cut to call as many of it generated as are. Members that learned from
        # other rows, such as counterparts, have their zeros elsewhere.
        train = _some(train)
        own = np.column_stack(self._member_logits(folder, train, ["identity"]))
        if self.recipe.steady:
            weights = self._steady(weights, self._sensitivities(folder, train), folder.name)
        scales = np.where(own.std(axis=0) > 0, own.std(axis=0), 1.0)
        fused = fusion.combine(own / scales, weights)
        facts = {
            "members": list(self.members),
            "scales": scales.tolist(),
            "weights": weights.tolist(),
            "offset": float(np.quantile(fused, 1 - train["label"].mean())),
        }
        files.write_json(folder / FUSION, facts)
        shutil.rmtree(folder / INNER, ignore_errors=True)
        return seen

    def _sensitivities(self, folder: Path, train: pd.DataFrame) -> list[float]:
        """How far re-encoding moves each member's logits (`humanmade.sensitivity`), one view of each picture.

        The pictures are training ones, as a fold's other rows may not decide anything: of a member that fits
        its training rows closely the class distance is too large, and so its sensitivity too small.
        """
        few = train[sample(train["id"].tolist(), REENCODED_SAMPLE, "re-encoded")]
        views = ["identity", *REENCODED]
        return [
            sensitivity(detector.logits(folder / name, few, views), few["label"])
            for name, (_, detector) in self.members.items()
        ]

    def _steady(
        self, weights: npt.NDArray[np.float64], moved: Sequence[float], title: str
    ) -> npt.NDArray[np.float64]:
        """Leave out members whose logits tell a file's history rather than its class; never all of them."""
        counted = np.where((weights > 0) & np.isfinite(moved), moved, np.inf)
        kept = (counted <= MOST) | (counted == counted.min())
        for name, weight, far, stays in zip(self.members, weights, moved, kept, strict=True):
            if weight > 0 and not stays:
                why = f"re-encoding moves its logits {far:.1f} times as far as the class does"
                print(f"{title}: {name} is left out: {why}", flush=True)
        return np.where(kept, weights, 0) / max(float(weights[kept].sum()), 1e-12)

    def verify(self, folder: Path) -> None:
        self._fusion(folder)
        for name, (_, detector) in self.members.items():
            detector.verify(folder / name)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        return self.fuse(folder, self.by_member(folder, rows, views))

    def by_member(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        """Logits (rows, views, members) in units of each member's scale.

        Under `identity` a member takes the mean over the views of its own recipe.
        """
        scales = self._fusion(folder)["scales"]
        return np.stack(self._member_logits(folder, rows, views), axis=2) / scales

    def fuse(self, folder: Path, logits: Logits) -> Logits:
        """Fused logits of what `by_member` gave, its last axis gone."""
        facts = self._fusion(folder)
        return fusion.combine(logits, facts["weights"]) - facts["offset"]

    def _member_logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> list[Logits]:
        found = []
        for name, (member, detector) in self.members.items():
            own = {view: _own_views(view, member) for view in views}
            asked = list(dict.fromkeys(each for names in own.values() for each in names))
            logits = detector.logits(folder / name, rows, asked)
            places = ([asked.index(each) for each in names] for names in own.values())
            found.append(np.column_stack([logits[:, place].mean(axis=1) for place in places]))
        return found

    def _fit_members(
        self,
        train: pd.DataFrame,
        valid: pd.DataFrame,
        seed: int,
        folder: Path,
        budget: Budget,
        title: str,
    ) -> int:
        """Train every member that an earlier start did not finish."""
        seen = 0
        for name, (_, detector) in self.members.items():
            done = folder / name / "trained.json"
            if done.is_file():
                detector.verify(folder / name)
            else:
                print(f"{title}: member {name}", flush=True)
                files.make_folder(folder / name)
                pictures = detector.fit(train, valid, seed, folder / name, budget)
                files.write_json(done, {"pictures": pictures})
            seen += int(files.read_json(done, ("pictures",), f"remove {folder}")["pictures"])
        return seen

    def _weights(
        self, train: pd.DataFrame, seed: int, folder: Path, budget: Budget
    ) -> npt.NDArray[np.float64]:
        """Equal weights, or those learned where inner trainings did not look, now or at an earlier start."""
        if (folder / FUSION).is_file():
            return self._fusion(folder)["weights"]
        method, equal = self.recipe.method, np.full(len(self.members), 1 / len(self.members))
        if method not in fusion.LEARNED:
            return equal
        splits = _sources_out(train)
        if not splits and method == "sources":
            return equal
        splits = splits or _quarter_out(train, seed)
        looks = [CLEAN] if method == "sources" else [CLEAN, *SELECTING]
        weights = fusion.weigh(method, self._judge(splits, looks, seed, folder, budget))
        said = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(self.members, weights, strict=True))
        print(f"{folder.name}: weights, from {len(splits)} trainings on part of the rows: {said}", flush=True)
        return weights

    def _judge(
        self, splits: Sequence[Split], looks: Sequence[str], seed: int, folder: Path, budget: Budget
    ) -> dict[str, fusion.View]:
        """Train the members on one side of each split and look at the other in several ways."""
        found = []
        for number, (inside, held_out) in enumerate(splits):
            inner = folder / INNER / str(number)
            title = f"{folder.name} (weights, {number + 1} of {len(splits)})"
            self._fit_members(inside, held_out[:0], seed, inner, budget, title)
            spread = [each.std() for each in self._member_logits(inner, _some(inside), ["identity"])]
            logits = np.stack(self._member_logits(inner, held_out, ["identity", *looks[1:]]), axis=2)
            found.append(logits / np.where(np.array(spread) > 0, spread, 1.0))
        labels = np.concatenate([held_out["label"] for _, held_out in splits])
        folds = np.repeat(np.arange(len(splits)), [len(held_out) for _, held_out in splits])
        logits = np.concatenate(found)
        return {look: fusion.View(labels, folds, logits[:, k]) for k, look in enumerate(looks)}

    def _fusion(self, folder: Path) -> dict[str, npt.NDArray[np.float64]]:
        """`scales` and `weights` (members,), and the `offset` of the fused logit.

        Raises:
            UserError: the file is damaged, or of other members.
        """
        path, numbers = folder / FUSION, ("scales", "weights", "offset")
        facts = files.read_json(path, ("members", *numbers), f"remove {folder} and run cv again")
        if facts["members"] != list(self.members):
            raise UserError(f"{path}: is of {', '.join(facts['members'])}; give another --out")
        return {name: np.asarray(facts[name], np.float64) for name in numbers}


def _own_views(view: str, member: Recipe) -> tuple[str, ...]:
    return viewing.expand(member.views if view == "identity" else [view])


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    """At most `SAMPLE` rows, the same whatever their order: enough to see how logits spread."""
    return rows[sample(rows["id"].tolist(), SAMPLE, "some")]


def _sources_out(train: pd.DataFrame) -> list[Split]:
    """A generator and a photo source held out, in turn, the largest first; none where too few are named.

    Rows without a source train, and never judge.
    """
    named = train[train["source"] != ""]
    if min(len(names) for names in sources_by_label(named)) < 2:
        return []
    found = (_split(train, named[held_out]) for held_out in hold_sources_out(named))
    good = [split for split in found if split]
    return sorted(good, key=lambda split: -len(split[1]))[:INNER_FOLDS]


def _quarter_out(train: pd.DataFrame, seed: int) -> list[Split]:
    """A quarter of the training rows held out, whole groups.

    Raises:
        UserError: a class is missing on a side.
    """
    groups = np.unique(train["group"])
    order = sorted(groups, key=lambda group: stable_seed("inner", seed, int(group)))
    split = _split(train, train[train["group"].isin(order[: max(1, len(order) // 4)])])
    if split is None:
        raise UserError('ensemble: too few pictures to learn weights from; use method = "mean"')
    return [split]


def _split(train: pd.DataFrame, held_out: pd.DataFrame) -> Split | None:
    inside = train[~train["group"].isin(held_out["group"])]
    whole = min(held_out["label"].nunique(), inside["label"].nunique()) == 2
    return (inside, held_out) if whole else None
