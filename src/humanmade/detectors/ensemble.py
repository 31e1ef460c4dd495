"""Several detectors trained on the same fold, their logits averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import detectors, files, fusion, run
from humanmade.detectors.base import Detector, Logits
from humanmade.errors import UserError
from humanmade.images.views import expand
from humanmade.schema import EnsembleRecipe
from humanmade.seeding import sample
from humanmade.sensitivity import MOST, REENCODED, sensitivity
from humanmade.training.budget import Budget

FUSION = "fusion.json"
"""Scales and weights of the members, in a fold's folder."""

SAMPLE = 2000
"""Training rows from which scales and offset are taken, at most."""

REENCODED_SAMPLE = 200
"""Training rows on which members' sensitivity to re-encoding is measured."""


class Ensemble(Detector):
    """Members by recipe; each is trained in a folder of its own inside the fold's."""

    recipe: EnsembleRecipe

    def __init__(self, recipe: EnsembleRecipe) -> None:
        self.recipe = recipe
        self.members = {name: detectors.create(member) for name, member in recipe.members.items()}

    def check(self, train: pd.DataFrame) -> None:
        for member in self.members.values():
            member.check(train)

    def prepare(
        self, training: pd.DataFrame, predicted: pd.DataFrame, views: Sequence[str], budget: Budget
    ) -> None:
        for member in self.members.values():
            member.prepare(training, predicted, expand(member.recipe.views), budget)

    def fit(self, train: pd.DataFrame, valid: pd.DataFrame, seed: int, folder: Path, budget: Budget) -> int:
        seen = 0
        for name, member in self.members.items():
            print(f"{folder.name}: member {name}", flush=True)
            seen += int(member.fit_once(train, valid, seed, folder / name, budget)["pictures"])
        # Scales and the offset need no member's errors: how far logits spread on what the fold trains on,
        # and where they must be cut to call as many of it generated as are. Members that learned from
        # other rows, such as counterparts, have their zeros elsewhere.
        rows = train[sample(train["id"].tolist(), SAMPLE, "some")]
        logits = np.column_stack(self._unscaled(folder, rows, ["identity"]))
        weights = self._weights(folder, rows)
        scales = np.where(logits.std(axis=0) > 0, logits.std(axis=0), 1.0)
        fused = fusion.combine(logits / scales, weights)
        facts = {
            "members": list(self.members),
            "scales": scales.tolist(),
            "weights": weights.tolist(),
            "offset": float(np.quantile(fused, 1 - rows["label"].mean())),
        }
        files.write_json(folder / FUSION, facts)
        return seen

    def verify(self, folder: Path) -> None:
        self._fusion(folder)
        for name, member in self.members.items():
            member.verify(folder / name)

    def logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> Logits:
        return self.member_logits(folder, rows, views)[""]

    def member_logits(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> dict[str, Logits]:
        """Fused logits and each member's, in units of its scale.

        Under `identity` a member takes the mean over the views of its own recipe.
        """
        facts = self._fusion(folder)
        logits = np.stack(self._unscaled(folder, rows, views), axis=2) / facts["scales"]
        fused = fusion.combine(logits, facts["weights"]) - facts["offset"]
        return {"": fused} | {name: logits[..., k] for k, name in enumerate(self.members)}

    def _unscaled(self, folder: Path, rows: pd.DataFrame, views: Sequence[str]) -> list[Logits]:
        """Each member's logits (rows, views) as it gives them."""
        logits = []
        for name, member in self.members.items():
            groups = [expand(member.recipe.views if view == "identity" else [view]) for view in views]
            shown = list(dict.fromkeys(view for group in groups for view in group))
            columns = dict(zip(shown, member.logits(folder / name, rows, shown).T, strict=True))
            means = [np.mean([columns[view] for view in group], axis=0) for group in groups]
            logits.append(np.column_stack(means))
        return logits

    def _weights(self, folder: Path, train: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Equal weights (members,), but none for members whose logits tell a file's history.

        Those are members that re-encoding moves farther than the class does (`humanmade.sensitivity`); never
        all are left out. The pictures are training ones, as a fold's other rows may not decide anything: of a
        member that fits its training rows closely the class distance is too large, and so its sensitivity
        too small.
        """
        count = len(self.members)
        if not self.recipe.steady:
            return np.full(count, 1 / count)
        rows = train[sample(train["id"].tolist(), REENCODED_SAMPLE, "re-encoded")]
        views = ["identity", *REENCODED]
        moved = np.array(
            [
                sensitivity(member.logits(folder / name, rows, views), rows["label"])
                for name, member in self.members.items()
            ]
        )
        moved[~np.isfinite(moved)] = np.inf
        kept = (moved <= MOST) | (moved == moved.min())
        for name, distance, stays in zip(self.members, moved, kept, strict=True):
            if not stays:
                reason = f"re-encoding moves its logits {distance:.1f} times as far as the class does"
                print(f"{folder.name}: {name} is left out: {reason}", flush=True)
        return kept / kept.sum()

    def _fusion(self, folder: Path) -> dict[str, npt.NDArray[np.float64]]:
        """`scales` and `weights` (members,), and the `offset` of the fused logit.

        Raises:
            UserError: the file is damaged, or of other members.
        """
        path, count = folder / FUSION, len(self.members)
        shapes = {"scales": (count,), "weights": (count,), "offset": ()}
        facts = files.read_json(path, ("members", *shapes), run.retrain(path))
        if facts["members"] != list(self.members):
            raise UserError(f"{path}: is of {facts['members']}, not {[*self.members]}; give another --out")
        try:
            numbers = {name: np.asarray(facts[name], np.float64).reshape(shapes[name]) for name in shapes}
            if not all(np.isfinite(values).all() for values in numbers.values()):
                raise ValueError("not all are finite numbers")
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: damaged ({error}); {run.retrain(path)}") from None
        return numbers
