"""The canaries' numbers of a table's pictures, computed once per content and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import places, shards
from humanmade.data.loader import read_picture
from humanmade.images.canaries import PARTS, VERSION, Vector, describe
from humanmade.progress import in_threads

Check = Callable[[], None]
"""Asked between two pictures; it raises to stop, and what is finished is kept."""

SHARD = 1024
"""Pictures a file."""


def numbers(rows: pd.DataFrame, check: Check | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """What each canary sees of rows that have a `digest`: (rows, its dimensions), by its name.

    Raises:
        UserError: a picture cannot be read.
    """
    folder = places.cache("canaries") / str(VERSION)
    places_of, vectors = shards.read(folder)
    lacking = rows[~rows["digest"].isin(places_of.keys())].drop_duplicates("digest")
    if len(lacking):
        pairs = list(zip(lacking["digest"], lacking["path"], strict=True))
        in_threads(_described, pairs, "canaries", lambda described: _save(folder, described), SHARD, check)
        places_of, vectors = shards.read(folder)
    chosen = vectors[np.array([places_of[digest] for digest in rows["digest"]], dtype=np.int64)]
    return {name: np.asarray(chosen[:, part], np.float32) for name, part in PARTS.items()}


def _described(pair: tuple[str, str]) -> tuple[str, Vector]:
    """The digest and the numbers of the picture with this digest and path."""
    digest, path = pair
    picture = read_picture(path)
    return digest, describe(picture, Path(path).stat().st_size)


def _save(folder: Path, described: list[tuple[str, Vector]]) -> None:
    shards.write(folder, [digest for digest, _ in described], np.stack([vector for _, vector in described]))
