"""What a detector is shown: pictures as they are, as it predicts them, and as it learns from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import detectors
from humanmade.data.loader import draw_keys, pair_keys, read_picture, view_seed
from humanmade.detectors import counterparts
from humanmade.detectors.base import PictureDetector
from humanmade.errors import UserError
from humanmade.evaluation import sheet
from humanmade.evaluation.sheet import Cell
from humanmade.images.decode import Picture
from humanmade.images.views import expand, look
from humanmade.metrics import NAMES
from humanmade.recipe import Recipe
from humanmade.schema import EnsembleRecipe, LinearHeadRecipe, PictureRecipe
from humanmade.seeding import sample
from humanmade.training.budget import Budget


def draw(path: Path, recipe: Recipe, table: pd.DataFrame, pictures: int, draws: int) -> str:
    """Write a sheet: a row a picture or pair, columns for the file, the clean view and the draws.

    The two pictures of a pair, and a photo's counterparts where the recipe learns from those, stand one
    above the other, under the same draws. An ensemble's members follow one another.

    Args:
        table: of which labelled rows are shown, with `digest`.
        pictures: how many pictures or pairs.
        draws: how many of what training would draw, at most; a recipe with histories has a number of its own.

    Returns:
        What was drawn, in a line.

    Raises:
        UserError: there are no labelled rows, or the autoencoder's weights are nowhere.
    """
    labelled = table[table["split"].isin(["train", "extra"]) & ~table["broken"]]
    if labelled.empty:
        raise UserError("show: the data has no labelled train rows; give other --data")
    chosen = _chosen(labelled, pictures)
    members = recipe.members if isinstance(recipe, EnsembleRecipe) else {"": recipe}
    rows = [row for name, member in members.items() for row in _block(name, member, chosen, draws)]
    most = max(len(cells) for _, cells in rows)
    title = f"{recipe.name}: as the file is, as it is predicted, {most - 2} ways in which it is learned"
    sheet.draw(path, rows, title)
    return f"{path}: {len(rows)} rows of {most} columns, of {len(chosen)} pictures"


def _chosen(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Whole pairs, or pictures without one, as many of each class where there are as many."""
    rows = rows.assign(unit=pair_keys(rows))
    firsts = rows.sort_values("label").drop_duplicates("unit")
    names: list[str] = []
    for label, part in ((1, count // 2), (0, count)):
        units = firsts.loc[firsts["label"] == label, "unit"].tolist()
        mask = sample(units, min(part, count - len(names)), "show")
        names += [unit for unit, drawn in zip(units, mask, strict=True) if drawn]
    return rows[rows["unit"].isin(names)].drop(columns="unit")


def _block(name: str, recipe: Recipe, chosen: pd.DataFrame, draws: int) -> Iterator[sheet.Row]:
    """The rows of one detector."""
    assert isinstance(recipe, PictureRecipe)
    detector = detectors.create(recipe)
    assert isinstance(detector, PictureDetector)
    rows = counterparts.extend(chosen, recipe.counterparts, Budget()).reset_index(drop=True)
    columns = [_files(rows), *_looks(detector, rows, draws)]
    made = (rows["source"] == counterparts.MADE) & (rows["label"] == 1)
    kinds = rows["label"].map(dict(enumerate(NAMES))).mask(made, "counterpart")
    for number, (_, unit) in enumerate(rows.groupby(pd.Series(pair_keys(rows)), sort=False)):
        ordered = unit.sort_values("label", kind="stable").index
        cells = [_cell([shown[k] for k in ordered if k in shown], head) for head, shown in columns[1:]]
        first = _cell([columns[0][1][k] for k in ordered], "\n".join(kinds[ordered]))
        yield (name if number == 0 else "", [first, *cells])


def _cell(pictures: list[Picture], caption: str) -> Cell | None:
    return Cell(tuple(pictures), caption) if pictures else None


Column = tuple[str, dict[int, Picture]]
"""Its name, and pictures by the number of their row; a network need not learn from all."""


def _files(rows: pd.DataFrame) -> Column:
    return "as it is", {k: read_picture(path) for k, path in enumerate(rows["path"])}


def _looks(detector: PictureDetector, rows: pd.DataFrame, draws: int) -> Iterator[Column]:
    """The view that it predicts by, then what it learns from."""
    recipe = detector.recipe
    views = [expand(recipe.views)[0]]
    data = detector.training_set(rows, 0)
    if not data and isinstance(recipe, LinearHeadRecipe):
        views += [view for view in expand(recipe.histories) if view not in views][:draws]
    seeds = [view_seed(key) for key in draw_keys(rows)]
    for view in views:
        pictures = map(read_picture, rows["path"])
        yield view, {k: look(picture, view, detector.frame, seeds[k]) for k, picture in enumerate(pictures)}
    if data:
        places = {path: k for k, path in enumerate(rows["path"])}
        for epoch in range(draws):
            drawn = {places[path]: data[(epoch, n)][0] for n, path in enumerate(data.paths)}
            yield f"draw {epoch + 1}", {k: np.asarray(t.permute(1, 2, 0)) for k, t in drawn.items()}
