"""Every picture read once: can it be decoded, what is its hash, is it there twice.

What was learned is cached per folder of pictures and reused while a file's size and time stand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, places
from humanmade.errors import UserError
from humanmade.images.decode import BrokenPictureError, decode, is_truncated_jpeg
from humanmade.images.facts import SHOWN, STORED, shown_facts, stored_facts
from humanmade.images.hashing import phash
from humanmade.progress import progress, warn

COLUMNS = [
    *("path", "size", "mtime", "digest", "phash", "width", "height", "truncated", "error"),
    *STORED,
    *SHOWN,
]
CHUNK = 2048
"""Pictures after which what was learned is saved."""


def attach(table: pd.DataFrame, skip_broken: bool = False) -> pd.DataFrame:
    """Add `digest`, `phash` (uint64) and `broken` to the table, after reading what is new.

    Pictures that cannot be read refuse the run. With `skip_broken` train and extra rows lose them
    and test rows keep them marked.

    Raises:
        UserError: pictures cannot be read and `skip_broken` is not set.
    """
    facts = survey(table["path"].tolist()).set_index("path").loc[table["path"]].reset_index()
    broken = facts["error"] != ""
    _report(table, facts, skip_broken)
    out = table.assign(
        digest=facts["digest"].to_numpy(),
        phash=np.array([int(text or "0", 16) for text in facts["phash"]], dtype=np.uint64),
        broken=broken.to_numpy(),
    )
    return out[~out["broken"] | (out["split"] == "test")].reset_index(drop=True)


def survey(paths: Sequence[str]) -> pd.DataFrame:
    """Facts of pictures (`COLUMNS`, all text), in any order, read from the cache or the files."""
    absolute = {path: os.path.abspath(path) for path in dict.fromkeys(paths)}
    by_folder: dict[str, list[str]] = {}
    for path in absolute.values():
        by_folder.setdefault(os.path.dirname(path), []).append(path)
    known = {folder: _load_cache(folder) for folder in by_folder}
    fresh = {folder: _changed(members, known[folder]) for folder, members in by_folder.items()}
    total = sum(map(len, fresh.values()))
    if total:
        _read_new(fresh, known, total)
    facts = pd.concat(known.values(), ignore_index=True).set_index("path")
    return facts.loc[list(absolute.values())].reset_index(drop=True).assign(path=list(absolute))


def _changed(paths: list[str], known: pd.DataFrame) -> list[str]:
    """The files that the cache does not know, or not as they are now."""
    seen = dict(zip(known["path"], known["size"] + "/" + known["mtime"], strict=True))
    return [path for path in paths if seen.get(path) != "/".join(_stamp(path))]


def _stamp(path: str) -> tuple[str, str]:
    stat = os.stat(path)
    return str(stat.st_size), str(stat.st_mtime_ns)


def _read_new(fresh: dict[str, list[str]], known: dict[str, pd.DataFrame], total: int) -> None:
    """Read what the cache lacks, in threads (decoders release the interpreter), saving as it goes."""
    waiting: list[tuple[str, dict[str, str]]] = []
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    jobs = ((folder, path) for folder, paths in fresh.items() for path in paths)
    results = pool.map(lambda job: (job[0], _examine(job[1])), jobs)
    try:
        for result in progress(results, "reading pictures", "pictures", total):
            waiting.append(result)
            if len(waiting) == CHUNK:
                _store(waiting, known)
                waiting = []
    finally:
        pool.shutdown(cancel_futures=True)
        _store(waiting, known)


def _store(results: list[tuple[str, dict[str, str]]], known: dict[str, pd.DataFrame]) -> None:
    for folder in {folder for folder, _ in results}:
        rows = pd.DataFrame([row for parent, row in results if parent == folder], columns=COLUMNS)
        merged = pd.concat([known[folder], rows], ignore_index=True)
        known[folder] = merged.drop_duplicates("path", keep="last", ignore_index=True)
        files.write_csv(_cache_file(folder), known[folder])


def _examine(path: str) -> dict[str, str]:
    size, mtime = _stamp(path)
    row = dict.fromkeys(COLUMNS, "") | {"path": path, "size": size, "mtime": mtime}
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return row | {"mtime": "", "error": error.strerror or "cannot be opened"}
    row |= {
        "digest": hashlib.sha256(data).hexdigest()[:32],
        "truncated": "1" if is_truncated_jpeg(data) else "",
    }
    try:
        picture = decode(data)
    except BrokenPictureError as error:
        return row | {"error": " ".join(str(error).split()) or "unreadable"}
    height, width = picture.shape[:2]
    row |= {"phash": f"{phash(picture):016x}", "width": str(width), "height": str(height)}
    return row | stored_facts(data) | shown_facts(picture)


def _cache_file(folder: str) -> Path:
    return places.cache("pictures") / f"{hashlib.sha256(folder.encode()).hexdigest()[:32]}.csv"


def _load_cache(folder: str) -> pd.DataFrame:
    path = _cache_file(folder)
    if path.is_file():
        try:
            return files.read_csv(path, tuple(COLUMNS))[COLUMNS]
        except UserError:
            path.unlink()  # a damaged cache is made anew
    return pd.DataFrame(columns=COLUMNS, dtype=str)


def _report(table: pd.DataFrame, facts: pd.DataFrame, skip_broken: bool) -> None:
    truncated = int(((facts["truncated"] == "1") & (facts["error"] == "")).sum())
    if truncated:
        warn(f"{truncated} JPEGs end too early; what is missing of them is grey")
    broken = (facts["error"] != "").to_numpy()
    if not broken.any():
        return
    names = [
        f"  {path}: {error}"
        for path, error in zip(table["path"][broken], facts["error"][broken], strict=True)
    ]
    listing = "\n".join(names[:10] + [f"  ... and {len(names) - 10} more"] * (len(names) > 10))
    if not skip_broken:
        raise UserError(
            f"{len(names)} of {len(table)} pictures cannot be read; repair them, or leave them out "
            f"with --skip-broken:\n{listing}"
        )
    in_test = int((broken & (table["split"] == "test").to_numpy()).sum())
    warn(
        f"{len(names)} pictures cannot be read: {len(names) - in_test} rows are left out of training, "
        f"{in_test} test rows get the median test logit:\n{listing}"
    )
