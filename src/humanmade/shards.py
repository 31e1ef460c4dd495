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

from humanmade.errors import UserError
from humanmade.files import whole_file

Rows = npt.NDArray[np.floating[Any]]
Vectors = npt.NDArray[np.float32]


class Shards:
    """The rows of a folder's files. Only their names are kept in memory; rows are read file by file."""

    def __init__(self, folder: Path) -> None:
        """A damaged file is removed, to be made anew."""
        self.folder = folder
        self.files: list[Path] = []
        self.starts: list[int] = []
        """Number of the first row of each file."""
        self.places: dict[str, int] = {}
        """Number of each row by its name."""
        self.count = 0
        self.width = 0
        """Dimensions of a row."""
        for path in sorted(folder.glob("*.safetensors")):
            try:
                with safe_open(path, "np") as file:
                    names, shape = file.metadata()["names"].split(" "), file.get_slice("features").get_shape()
            except (SafetensorError, KeyError, TypeError):
                path.unlink(missing_ok=True)
                continue
            except OSError as error:  # it may be whole: too many files are open, or it may not be read
                raise UserError(f"{path}: cannot be read ({error}); mend that, or remove the file") from None
            self._add(path, names, shape[1])

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def write(self, names: Sequence[str], rows: Rows) -> None:
        """Add a file with rows (names, dimensions); names hold no blank."""
        joined = " ".join(names)
        path = self.folder / f"{hashlib.sha256(joined.encode()).hexdigest()[:24]}.safetensors"
        with whole_file(path) as scratch:
            save_file({"features": np.ascontiguousarray(rows)}, scratch, {"names": joined})
        self._add(path, names, rows.shape[1])

    def fill(self, names: Sequence[str], out: Vectors) -> None:
        """Write the rows of these names into `out` (names, dimensions), no more than one file in memory."""
        wanted = np.array([self.places[name] for name in names], dtype=np.int64)
        sources = np.searchsorted(self.starts, wanted, side="right") - 1
        for number in np.unique(sources):
            chosen = np.flatnonzero(sources == number)
            with safe_open(self.files[number], "np") as file:
                out[chosen] = file.get_tensor("features")[wanted[chosen] - self.starts[number]]

    def get(self, names: Sequence[str]) -> Vectors:
        """The rows (names, dimensions) of these names."""
        out = np.empty((len(names), self.width), np.float32)
        self.fill(names, out)
        return out

    def _add(self, path: Path, names: Sequence[str], width: int) -> None:
        self.places |= {name: self.count + i for i, name in enumerate(names)}
        self.files.append(path)
        self.starts.append(self.count)
        self.count, self.width = self.count + len(names), width
