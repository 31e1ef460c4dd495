"""Rows of numbers by name, in files that are only ever added: what is finished survives an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from humanmade.files import whole_file

Rows = npt.NDArray[np.floating[Any]]


def write(folder: Path, names: Sequence[str], rows: Rows) -> None:
    """Add a file with rows (names, dimensions); names hold no blank."""
    joined = " ".join(names)
    shard = hashlib.sha256(joined.encode()).hexdigest()[:24]
    with whole_file(folder / f"{shard}.safetensors") as scratch:
        save_file({"features": np.ascontiguousarray(rows)}, scratch, {"names": joined})


def read(folder: Path) -> tuple[dict[str, int], Rows]:
    """Which row is whose, and all rows; a damaged file is removed, to be made anew."""
    places: dict[str, int] = {}
    parts: list[Rows] = []
    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "np") as file:
                names, rows = file.metadata()["names"].split(" "), file.get_tensor("features")
        except (SafetensorError, OSError, KeyError, TypeError):
            path.unlink(missing_ok=True)
            continue
        places |= {name: count + i for i, name in enumerate(names)}
        parts.append(rows)
        count += len(rows)
    return places, np.concatenate(parts) if parts else np.zeros((0, 0))
