"""The competition's tables and pictures, brought here whole."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from humanmade import competition, files
from humanmade.data import manifest
from humanmade.errors import KaggleError
from humanmade.kaggle import archives
from humanmade.kaggle.client import Client
from humanmade.progress import progress, warn

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
    if lacking := _missing(folder, contest.tables):
        archive = _fetch(client, folder, client.api.competition_download_files, contest.slug, contest.advice)
        _unpack(archive, folder, lacking, "tables")
        archive.unlink()
        if lacking := _missing(folder, contest.tables):
            raise KaggleError(
                f"download {contest.slug}: the archive holds no {lacking[0]}; see the competition's page"
            )
    table = manifest.load([folder], pictures=False)
    if lacking := _missing(folder, table["name"]):
        advice = f"look at https://www.kaggle.com/datasets/{contest.dataset}"
        _require_space(client, folder, contest.dataset, advice)
        archive = _fetch(client, folder, client.api.dataset_download_files, contest.dataset, advice)
        _unpack(archive, folder, lacking, "pictures")
        if lacking := _missing(folder, table["name"]):
            raise KaggleError(
                f"{folder}: {len(lacking)} of {len(table)} pictures are missing, {lacking[0]} first; "
                f"dataset {contest.dataset} lacks them ({archive} is kept)"
            )
        archive.unlink()
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    pairs = f" in {train['pair'].nunique()} pairs" if contest.pairs else ""
    return f"{folder}: complete; {len(train)} train pictures{pairs}, {len(test)} test pictures"


def _missing(folder: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


def _archive(folder: Path, what: str) -> Path:
    """Where the client puts the archive of a competition or of a dataset."""
    return folder / DOWNLOADS / f"{what.split('/')[-1]}.zip"


def _fetch(client: Client, folder: Path, function: Any, what: str, advice: str) -> Path:
    """Download an archive, going on with a part of it that is there, and for as long as more of it comes."""
    archive = _archive(folder, what)
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
        for path in archive.parent.glob(f"{archive.stem}.*"):
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
    needed = max(0, 2 * size - _size(_archive(folder, reference)))
    archives.require_space(folder, needed, f"to download and unpack {reference}")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _unpack(archive: Path, folder: Path, names: Iterable[str], what: str) -> None:
    """Take the named files out of an archive, wherever in it they lie: names are the ends of paths there."""
    wanted, members = set(names), dict[str, zipfile.ZipInfo]()
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                parts = member.filename.split("/")
                for name in wanted.intersection("/".join(parts[first:]) for first in range(len(parts))):
                    members.setdefault(name, member)
            archives.require_space(folder, sum(member.file_size for member in members.values()), "to unpack")
            for name, member in progress(members.items(), f"unpacking {what}", "files", len(members)):
                archives.take_out(opened, member, folder / name)
    except archives.DAMAGED as error:
        archive.unlink(missing_ok=True)
        raise KaggleError(f"{archive}: damaged ({error}), so it was removed; run this again") from None
