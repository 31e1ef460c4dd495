"""The canaries' numbers of a table's pictures, computed once per content and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import places
from humanmade.data.loader import read_picture
from humanmade.images.canaries import PARTS, VERSION, Vector, describe
from humanmade.progress import in_threads
from humanmade.shards import Shards

Check = Callable[[], None]
"""Asked between two pictures; it raises to stop, and what is finished is kept."""

SHARD = 1024
"""Pictures a file."""


def numbers(rows: pd.DataFrame, check: Check | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """What each canary sees of rows that have a `digest`: (rows, its dimensions), by its name.

    Raises:
        UserError: a picture cannot be read.
    """
    known = Shards(places.cache("canaries") / str(VERSION))
    lacking = rows[~rows["digest"].isin(known.places.keys())].drop_duplicates("digest")
    if len(lacking):
        pairs = list(zip(lacking["digest"], lacking["path"], strict=True))
        in_threads(_described, pairs, "canaries", lambda described: _save(known, described), SHARD, check)
    chosen = known.get(rows["digest"].tolist())
    return {name: chosen[:, part] for name, part in PARTS.items()}


def _described(pair: tuple[str, str]) -> tuple[str, Vector]:
    """The digest and the numbers of the picture with this digest and path."""
    digest, path = pair
    picture = read_picture(path)
    return digest, describe(picture, Path(path).stat().st_size)


def _save(known: Shards, described: list[tuple[str, Vector]]) -> None:
    known.write([digest for digest, _ in described], np.stack([vector for _, vector in described]))
