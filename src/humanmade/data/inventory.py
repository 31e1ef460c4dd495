"""Every picture read once: can it be decoded, what is its hash, is it there twice.

What was learned is cached per folder of pictures and reused while a file's size and time stand.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, places
from humanmade.errors import UserError
from humanmade.images.decode import BrokenPictureError, upright
from humanmade.images.facts import SHOWN, STORED, shown_facts, stored_facts
from humanmade.images.hashing import Hashes, phash
from humanmade.progress import in_threads, warn

COLUMNS = [
    *("path", "size", "mtime", "digest", "phash", "width", "height", "truncated", "error"),
    *STORED,
    *SHOWN,
]
VERSION = 3
"""Raise when the same file would be described otherwise."""

CHUNK = 2048
"""Pictures after which what was learned is saved."""


def attach(table: pd.DataFrame, skip_broken: float = 0.0) -> pd.DataFrame:
    """Add `digest`, `phash` (uint64) and `broken` to the table, after reading what is new.

    Pictures that cannot be read refuse the run. With `skip_broken` train and extra rows lose them
    and test rows keep them marked.

    Args:
        skip_broken: share of the train and extra pictures that may be unreadable; True is any.

    Raises:
        UserError: pictures cannot be read and `skip_broken` is not set, or they are more.
    """
    wanted = ("path", "digest", "phash", "truncated", "error")
    facts = survey(table["path"].tolist(), wanted).set_index("path").loc[table["path"]].reset_index()
    broken = facts["error"] != ""
    _report(table, facts, skip_broken)
    out = table.assign(digest=facts["digest"].to_numpy(), phash=hashes(facts), broken=broken.to_numpy())
    return out[~out["broken"] | (out["split"] == "test")].reset_index(drop=True)


def hashes(facts: pd.DataFrame) -> Hashes:
    """The pHashes of `survey`'s facts; 0 where a picture cannot be read."""
    return np.array([int(text or "0", 16) for text in facts["phash"]], dtype=np.uint64)


def survey(paths: Sequence[str], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Facts of pictures (of `COLUMNS`, all text), in any order, read from the cache or the files.

    A second process that wants pictures of the same folders waits for the first, and reads what that left.
    """
    absolute = {path: os.path.abspath(path) for path in dict.fromkeys(paths)}
    caches, changed = _known(absolute.values())
    if changed:
        lock = _cache_file(os.path.commonpath(caches)).with_suffix("")
        with files.held(lock, "reading pictures", lambda: None):
            caches, changed = _known(absolute.values())
            in_threads(_examine, changed, "reading pictures", lambda rows: _store(rows, caches), CHUNK)
    facts = pd.concat([cache[[*columns]] for cache in caches.values()]).set_index("path")
    return facts.loc[list(absolute.values())].reset_index(drop=True).assign(path=list(absolute))


def _known(paths: Collection[str]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """What the caches of the pictures' folders hold, and the pictures that they do not have as they are."""
    caches = {folder: _load_cache(folder) for folder in dict.fromkeys(map(os.path.dirname, paths))}
    # What could not be read is tried again: memory was short, or a decoder was not installed.
    stamps: dict[str, tuple[str, str]] = {}
    for cache in caches.values():
        read = cache[cache["error"] == ""]
        stamps |= zip(read["path"], zip(read["size"], read["mtime"], strict=True), strict=True)
    return caches, [path for path in paths if stamps.get(path) != _stamp(path)]


def _stamp(path: str) -> tuple[str, str]:
    """Size and time of a file; empty where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return "", ""
    return str(stat.st_size), str(stat.st_mtime_ns)


def _store(rows: list[dict[str, str]], caches: dict[str, pd.DataFrame]) -> None:
    facts = pd.DataFrame(rows, columns=COLUMNS)
    for folder, part in facts.groupby(facts["path"].map(os.path.dirname)):
        merged = pd.concat([caches[folder], part], ignore_index=True)
        caches[folder] = merged.drop_duplicates("path", keep="last", ignore_index=True)
        files.write_csv(_cache_file(folder), caches[folder])


def _examine(path: str) -> dict[str, str]:
    size, mtime = _stamp(path)
    row = dict.fromkeys(COLUMNS, "") | {"path": path, "size": size, "mtime": mtime}
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return row | {"mtime": "", "error": error.strerror or "cannot be opened"}
    row["digest"] = hashlib.sha256(data).hexdigest()[:32]
    try:
        image, cut = upright(data)
    except BrokenPictureError as error:
        return row | {"error": " ".join(str(error).split()) or "unreadable"}
    grey = image.convert("L")
    row |= {"phash": f"{phash(grey):016x}", "width": str(image.width), "height": str(image.height)}
    row["truncated"] = "1" if cut else ""
    return row | stored_facts(data) | shown_facts(image, grey)


def _cache_file(folder: str) -> Path:
    name = hashlib.sha256(folder.encode()).hexdigest()[:32]
    return places.cache("pictures") / str(VERSION) / f"{name}.csv"


def _load_cache(folder: str) -> pd.DataFrame:
    path = _cache_file(folder)
    if path.is_file() and not files.is_cut(path):  # a damaged cache is made anew
        with contextlib.suppress(UserError):
            return files.read_csv(path, tuple(COLUMNS))[COLUMNS]
    return pd.DataFrame(columns=COLUMNS, dtype=str)


def _report(table: pd.DataFrame, facts: pd.DataFrame, skip_broken: float) -> None:
    broken, test = (facts["error"] != "").to_numpy(), (table["split"] == "test").to_numpy()
    truncated = int((facts["truncated"].eq("1") & ~broken).sum())
    if truncated:
        warn(f"{truncated} JPEGs end too early; what is missing of them is grey")
    if not broken.any():
        return
    problems = zip(table["path"][broken], facts["error"][broken], strict=True)
    names = [f"{path}: {error}" for path, error in problems]
    listing = "; ".join(names[:10] + [f"and {len(names) - 10} more"] * (len(names) > 10))
    if not skip_broken:
        raise UserError(
            f"{len(names)} of {len(table)} pictures cannot be read; repair them, or leave them out "
            f"with --skip-broken: {listing}"
        )
    lost, train = int(broken[~test].sum()), int((~test).sum())
    if lost > skip_broken * train:
        raise UserError(
            f"{lost} of {train} train pictures cannot be read, more than {skip_broken:.0%}; look what is "
            f"wrong, or leave out any number with --skip-broken: {listing}"
        )
    warn(
        f"{len(names)} pictures cannot be read: {lost} rows are left out of training, "
        f"{len(names) - lost} test rows get the median test logit: {listing}"
    )
