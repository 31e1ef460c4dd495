"""The competition's tables and pictures, brought here whole."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import files
from humanmade.data import manifest
from humanmade.data.competition import DATASET, PICTURES, SLUG
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle.client import Client
from humanmade.kaggle.submissions import RULES
from humanmade.progress import progress

TABLES = ("train.csv", "test.csv")
LARGEST_TABLE = 64 * 2**20
LARGEST_PICTURE = 64 * 2**20
"""Bytes; the competition's largest pictures have about one million."""
SPARE_BYTES = 2**30
DOWNLOADS = ".downloads"


def download(client: Client, folder: Path) -> str:
    """Bring the competition's tables and pictures into a folder; what is there is kept.

    Only files that the tables name are taken out of an archive, so nothing else can land anywhere.

    Returns:
        What the folder holds now, in one line.

    Raises:
        KaggleError: Kaggle refuses, or its dataset lacks pictures of the tables.
    """
    files.make_folder(folder)
    if not all((folder / name).is_file() for name in TABLES):
        advice = RULES
        archive = _fetch(client, folder, SLUG, client.api.competition_download_files, SLUG, advice)
        _unpack(archive, {name: folder / name for name in TABLES}, LARGEST_TABLE, "tables")
        archive.unlink()
        for name in TABLES:
            if not (folder / name).is_file():
                raise KaggleError(f"download {SLUG}: the archive holds no {name}; see the competition's page")
    table = manifest.load([folder], pictures=False)
    missing = _missing(folder, table)
    if missing:
        slug = DATASET.split("/")[1]
        advice = f"look at https://www.kaggle.com/datasets/{DATASET}"
        archive = _fetch(client, folder, slug, client.api.dataset_download_files, DATASET, advice)
        _unpack(archive, {name: folder / name for name in missing}, LARGEST_PICTURE, "pictures")
        missing = _missing(folder, table)
        if missing:
            raise KaggleError(
                f"{folder}: {len(missing)} of {len(table)} pictures are missing, {missing[0]} first; "
                f"dataset {DATASET} lacks them ({archive} is kept)"
            )
        archive.unlink()
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    pairs = train["pair"].nunique()
    return f"{folder}: complete; {len(train)} train pictures in {pairs} pairs, {len(test)} test pictures"


def _missing(folder: Path, table: pd.DataFrame) -> list[str]:
    there = {
        f"{name}/{path.name}"
        for name in PICTURES
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
        if not path.name.startswith(".")
    }
    return [name for name in table["name"] if name not in there]


def _fetch(client: Client, folder: Path, slug: str, function: Any, what: str, advice: str) -> Path:
    """Download an archive, going on with a part of it that is there."""
    archive = folder / DOWNLOADS / f"{slug}.zip"
    files.make_folder(archive.parent)
    print(f"downloading {what}", flush=True)
    client.call(f"download {what}", function, what, path=str(archive.parent), quiet=False, no=advice)
    if not zipfile.is_zipfile(archive):
        for path in archive.parent.glob(f"{slug}.*"):
            path.unlink()
        raise KaggleError(f"download {what}: no whole zip archive came, so it was removed; run this again")
    return archive


def _unpack(archive: Path, wanted: dict[str, Path], largest: int, what: str) -> None:
    """Take the wanted files out of an archive, wherever in it they lie; existing ones are kept.

    Args:
        wanted: where each file goes, by its path's end inside the archive.
        largest: bytes of a file; more is refused.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, wanted)
            _check_sizes(archive, list(members.values()), largest)
            for name, member in progress(members.items(), f"unpacking {what}", "files", len(members)):
                if not wanted[name].exists():
                    with files.whole_file(wanted[name]) as scratch, opened.open(member) as source:
                        scratch.write_bytes(source.read())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        archive.unlink(missing_ok=True)
        raise KaggleError(f"{archive}: damaged ({error}), so it was removed; run this again") from None


def _members(opened: zipfile.ZipFile, wanted: dict[str, Path]) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by the wanted name that their path ends in."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        parts = member.filename.split("/")
        for name in ("/".join(parts[-2:]), parts[-1]):
            if name in wanted and not member.is_dir():
                found.setdefault(name, member)
    return found


def _check_sizes(archive: Path, members: Sequence[zipfile.ZipInfo], largest: int) -> None:
    for member in members:
        if member.file_size > largest:
            raise KaggleError(
                f"{archive}: '{member.filename}' claims {member.file_size} bytes, more than {largest}; "
                "nothing was unpacked"
            )
    needed = sum(member.file_size for member in members)
    free = shutil.disk_usage(archive.parent).free
    if needed + SPARE_BYTES > free:
        raise UserError(
            f"{archive.parent}: {needed / 1e9:.1f} GB to unpack and {free / 1e9:.1f} GB free; make room, "
            "then run this again"
        )
