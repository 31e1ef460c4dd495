"""Folders packed as one archive each, stored as they are, and archives taken apart with care."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from humanmade import files
from humanmade.errors import UserError

SPARE_BYTES = 2**30
DAMAGED = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError)
"""What reading an archive that somebody damaged ends in."""


def copy(source: Path, target: Path) -> None:
    """Copy a folder's files, but not that they cannot be written to."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            files.make_folder(place.parent)
            shutil.copyfile(path, place)


def pack(folders: list[Path], archive: Path) -> None:
    """Write what is in folders, each under its name, into an archive; not locks and what is half-written."""
    with (
        files.whole_file(archive) as scratch,
        zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed,
    ):
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                inside = path.relative_to(folder).parts
                if path.is_file() and not any(part.startswith(".") for part in inside):
                    packed.write(path, path.relative_to(folder.parent).as_posix())


def unpack(archive: Path, folder: Path) -> None:
    """Take everything out of an archive into a folder, replacing what is there.

    Raises:
        UserError: it is damaged; or it is not what `pack` writes, for a name leads out of the folder or a
            file would be larger than its share of the archive, and nothing is taken out.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            for member in members:
                _check(archive, member)
            if sum(member.file_size for member in members) > archive.stat().st_size:
                raise UserError(f"{archive}: claims more bytes than it has; nothing was unpacked")
            require_space(folder, archive.stat().st_size, "to unpack")
            for member in members:
                take_out(packed, member, folder / member.filename)
    except DAMAGED as error:
        raise UserError(f"{archive}: damaged ({error}); make it again") from None


def take_out(packed: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path) -> None:
    """Write one file of an archive to its place, whole or not at all."""
    with files.whole_file(place) as scratch, packed.open(member) as source, scratch.open("wb") as target:
        shutil.copyfileobj(source, target)


def _check(archive: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    plain = path.name and not path.is_absolute() and not any(part.startswith(".") for part in path.parts)
    if not plain or "\\" in member.filename or ":" in member.filename or member.is_dir():
        raise UserError(f"{archive}: names {member.filename!r}, outside of it; nothing was unpacked")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise UserError(f"{archive}: {member.filename!r} is not stored as it is; nothing was unpacked")


def pack_folds(run: Path) -> None:
    """Replace each fold's folder in a run by one archive."""
    for fold in sorted(path for path in run.glob("fold*") if path.is_dir()):
        pack([fold], run / f"{fold.name}.zip")
        shutil.rmtree(fold)


def unpack_folds(run: Path) -> None:
    """Undo `pack_folds`."""
    for archive in sorted(run.glob("fold*.zip")):
        unpack(archive, run)
        archive.unlink()


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what a disk has no room for.

    Raises:
        UserError: fewer than `needed` bytes, and some to spare, are free.
    """
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).free
    if needed + SPARE_BYTES > free:
        raise UserError(
            f"{folder}: {needed / 1e9:.1f} GB {what} and {free / 1e9:.1f} GB free; make room, then go on"
        )
