"""The competition's tables and pictures, brought here whole."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import competition, files
from humanmade.data import manifest
from humanmade.errors import KaggleError
from humanmade.kaggle import packing
from humanmade.kaggle.client import Client
from humanmade.progress import progress, warn

LARGEST = 64 * 2**20
"""Bytes of a table or a picture; the competition's largest have some millions."""
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
    contest = competition.CURRENT
    if not all((folder / name).is_file() for name in contest.tables):
        _bring_tables(client, folder)
    table = manifest.load([folder], pictures=False)
    if missing := _missing(folder, table):
        _, slug = contest.dataset.split("/")
        advice = f"look at https://www.kaggle.com/datasets/{contest.dataset}"
        _require_space(client, folder, contest.dataset, advice)
        archive = _fetch(client, folder, slug, client.api.dataset_download_files, contest.dataset, advice)
        _unpack(archive, {name: folder / name for name in missing}, "pictures")
        if missing := _missing(folder, table):
            raise KaggleError(
                f"{folder}: {len(missing)} of {len(table)} pictures are missing, {missing[0]} first; "
                f"dataset {contest.dataset} lacks them ({archive} is kept)"
            )
        archive.unlink()
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    pairs = f" in {train['pair'].nunique()} pairs" if contest.pairs else ""
    return f"{folder}: complete; {len(train)} train pictures{pairs}, {len(test)} test pictures"


def _bring_tables(client: Client, folder: Path) -> None:
    contest = competition.CURRENT
    fetch = client.api.competition_download_files
    archive = _fetch(client, folder, contest.slug, fetch, contest.slug, contest.advice)
    _unpack(archive, {name: folder / name for name in contest.tables}, "tables")
    archive.unlink()
    for name in contest.tables:
        if not (folder / name).is_file():
            raise KaggleError(
                f"download {contest.slug}: the archive holds no {name}; see the competition's page"
            )


def _missing(folder: Path, table: pd.DataFrame) -> list[str]:
    return [name for name in table["name"] if not (folder / name).is_file()]


def _fetch(client: Client, folder: Path, slug: str, function: Any, what: str, advice: str) -> Path:
    """Download an archive, going on with a part of it that is there, and for as long as more of it comes."""
    archive = folder / DOWNLOADS / f"{slug}.zip"
    files.make_folder(archive.parent)
    print(f"downloading {what}", flush=True)
    while True:
        there = _size(archive)
        try:
            client.call(f"download {what}", function, what, path=str(archive.parent), quiet=False, no=advice)
            break
        except KaggleError as error:
            if _size(archive) <= there:
                raise
            warn(f"{error}; going on, as {_size(archive) / 1e6:.0f} MB have come")
    if not zipfile.is_zipfile(archive):
        for path in archive.parent.glob(f"{slug}.*"):
            # The client takes the name's end from the address of what came, slashes and all.
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise KaggleError(f"download {what}: no whole zip archive came, so it was removed; run this again")
    return archive


def _require_space(client: Client, folder: Path, reference: str, advice: str) -> None:
    """Refuse a download that, or whose unpacked pictures, would not fit; JPEGs pack to their own size."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    def ask() -> int:
        request = ApiGetDatasetRequest()
        request.owner_slug, request.dataset_slug = reference.split("/")
        with client.api.build_kaggle_client() as kaggle:
            return int(kaggle.datasets.dataset_api_client.get_dataset(request).total_bytes)

    size = client.call(f"size of {reference}", ask, no=advice)
    part = folder / DOWNLOADS / f"{reference.split('/')[1]}.zip"
    packing.require_space(folder, max(0, 2 * size - _size(part)), f"to download and unpack {reference}")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _unpack(archive: Path, wanted: dict[str, Path], what: str) -> None:
    """Take the wanted files out of an archive, wherever in it they lie; existing ones are kept.

    Args:
        wanted: where each file goes, by its path's end inside the archive.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, wanted)
            _check_sizes(archive, members.values())
            for name, member in progress(members.items(), f"unpacking {what}", "files", len(members)):
                if not wanted[name].exists():
                    with files.whole_file(wanted[name]) as scratch, opened.open(member) as source:
                        scratch.write_bytes(source.read())
    except packing.DAMAGED as error:
        archive.unlink(missing_ok=True)
        raise KaggleError(f"{archive}: damaged ({error}), so it was removed; run this again") from None


def _members(opened: zipfile.ZipFile, wanted: dict[str, Path]) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by the wanted name that their path ends in."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        parts = member.filename.split("/")
        for name in ("/".join(parts[first:]) for first in range(len(parts))):
            if name in wanted and not member.is_dir():
                members.setdefault(name, member)
    return members


def _check_sizes(archive: Path, members: Collection[zipfile.ZipInfo]) -> None:
    for member in members:
        if member.file_size > LARGEST:
            raise KaggleError(
                f"{archive}: '{member.filename}' claims {member.file_size} bytes, more than {LARGEST}; "
                "nothing was unpacked"
            )
    packing.require_space(archive.parent, sum(member.file_size for member in members), "to unpack")
