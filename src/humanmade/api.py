"""The kit from Python: `import humanmade`, then these functions; the verbs of the same names call them.

    run = humanmade.cv("probe_lite0", data="my_pictures")
    run.predict(["photo.jpg", "more/"])       # a data frame, a row a picture
    humanmade.compare()                       # a data frame, a row a run

Folders and files are given as text or as `Path`. Bad input raises `humanmade.UserError`, whose text is one
line. Pretrained weights are looked for in the folder that `HUMANMADE_WEIGHTS` names first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from humanmade import files
from humanmade.data import asked, inventory, manifest
from humanmade.evaluation import explain as explaining
from humanmade.evaluation import inference
from humanmade.evaluation import verdicts as judging
from humanmade.run import Run

PathLike: TypeAlias = str | Path
Pictures: TypeAlias = PathLike | Iterable[PathLike] | pd.DataFrame
"""Files and folders, or what `Trained.predict` gave of them."""


class Trained(Run):
    """A run that can be asked: its folder, its `recipe`, its `scores`, and what it says of pictures."""

    def predict(self, pictures: Pictures) -> pd.DataFrame:
        """What the run says of each picture that can be read (`humanmade.evaluation.verdicts.verdicts`).

        Returns:
            A row a picture: `picture, verdict, unsure, share, logit, seen` and what the run's verdicts are
            worth: `threshold, false_positives, elsewhere, low, high`. Others are warned of and left out.

        Raises:
            UserError: no picture can be read, or the run has no out-of-fold logits to calibrate by.
        """
        rows = inference.honest_logits(self, asked.rows(_words(pictures)))
        return judging.verdicts(self, rows)

    def logits(self, data: PathLike | Sequence[PathLike], skip_broken: bool = False) -> pd.DataFrame:
        """Logits of data folders, of their test rows where they have any: `id, logit`.

        Args:
            skip_broken: give pictures that cannot be read the median, instead of refusing.
        """
        rows = inventory.attach(manifest.to_predict(_paths(data)), skip_broken)
        manifest.check_test_readable(rows)
        return rows[["id"]].assign(logit=inference.run_logits(self, rows))

    @property
    def has_maps(self) -> bool:
        """Whether `explain` has something to draw: networks and probes have."""
        return explaining.has_maps(self)

    def explain(
        self, pictures: Pictures, out: PathLike = ".", method: str = "gradcam", force: bool = False
    ) -> list[Path]:
        """Draw where the run looks, `explain-<name>.png` in the folder `out` for each picture.

        Args:
            method: of `humanmade.choices.MAPS`, for networks; a probe's maps are exact.
            force: replace files that are there.

        Raises:
            UserError: the detector has no maps, or a file is there.
        """
        method = explaining.map_method(self, method)
        rows = inference.known(self, asked.rows(_words(pictures)))
        places = explaining.map_files(rows["id"].tolist(), Path(out))
        for place in places:
            files.refuse_existing(place, force)
        explaining.draw_each(self, rows, method, places)
        return places


def load(run: PathLike) -> Trained:
    """Open a run by its name below `runs/`, or by its folder.

    Raises:
        UserError: there is none.
    """
    return Trained(Run.find(str(run)).folder)


def _paths(folders: PathLike | Sequence[PathLike]) -> list[Path]:
    return [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]


def _words(pictures: Pictures) -> Iterable[PathLike]:
    if isinstance(pictures, pd.DataFrame):
        return pictures["picture"].tolist()
    return [pictures] if isinstance(pictures, str | Path) else pictures
