"""The canaries' numbers of a table's pictures, computed once per content and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import places, shards
from humanmade.data.loader import read_picture
from humanmade.errors import UserError
from humanmade.images.canaries import PARTS, VERSION, Vector, describe
from humanmade.progress import progress

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
    numbers, known = shards.read(folder)
    lacking = rows[~rows["digest"].isin(numbers.keys())].drop_duplicates("digest")
    if len(lacking):
        _compute(lacking, folder, check)
        numbers, known = shards.read(folder)
    own = known[np.array([numbers[digest] for digest in rows["digest"]], dtype=np.int64)]
    return {name: np.asarray(own[:, part], np.float32) for name, part in PARTS.items()}


def _compute(rows: pd.DataFrame, folder: Path, check: Check | None) -> None:
    """Describe pictures in threads (decoders release the interpreter), saving as it goes."""
    waiting: dict[str, Vector] = {}
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    found = zip(rows["digest"], pool.map(_look, rows["path"]), strict=True)
    try:
        for digest, vector in progress(found, "canaries", "pictures", len(rows)):
            waiting[digest] = vector
            if len(waiting) == SHARD:
                shards.write(folder, list(waiting), np.stack(list(waiting.values())))
                waiting = {}
            if check:
                check()
    finally:
        pool.shutdown(cancel_futures=True)
        if waiting:
            shards.write(folder, list(waiting), np.stack(list(waiting.values())))


def _look(path: str) -> Vector:
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return describe(read_picture(path), size)
