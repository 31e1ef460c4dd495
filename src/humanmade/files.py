"""Files that appear whole or not at all, and reading CSVs that nobody vouches for."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from humanmade.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EACCES, errno.EPERM}
"""What a disk answers that does not take or give a file."""

SCRATCH = ".humanmade"
"""How the names of files end that are not whole yet, so that no file of anybody else's is taken for one."""

LARGEST_JSON = 2**26
"""Bytes; the kit's own have some thousands."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a scratch path beside `path`; it takes the name `path` when the block succeeds.

    Raises:
        UserError: the folder cannot be written to.
    """
    if os.path.isdir(path):
        raise UserError(f"{path}: is a folder; give the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{path}: is no ordinary file, and would be replaced by one; give another name")
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=SCRATCH)
    except OSError as error:
        raise _unwritable(path, error) from None
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        # mkstemp makes files private; give them the permissions an ordinary open() would have.
        umask = os.umask(0)
        os.umask(umask)
        scratch.chmod(0o666 & ~umask)
        scratch.replace(path)
    except Exception as error:
        if is_of_the_disk(error):
            raise _unwritable(path, error) from None
        raise
    finally:
        scratch.unlink(missing_ok=True)


def is_of_the_disk(error: Exception) -> bool:
    """Whether a disk that is full, read-only or broken caused it; libraries that write put it into words."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return True
    return any(word in str(error) for word in ("No space left", "os error 28", "failed writing file"))


def _unwritable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
    return UserError(f"{path}: cannot be written ({reason}); make room or choose another place, and go on")


@contextlib.contextmanager
def held(folder: Path, what: str, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep a folder to this process in the block; the system frees it when a process ends, however it does.

    What killed processes left half written there is removed. Ranks of torchrun, which fill a folder together,
    hold it apart.

    Args:
        what: the holder does here, in words.
        wait: asked now and then until the holder lets go, it may raise; without it the folder is refused.

    Raises:
        UserError: another process holds the folder, or it cannot be written to.
    """
    lock, told = folder / f".lock{os.environ.get('RANK', '0')}", False
    while not (file := _locked(lock)):
        with contextlib.suppress(FileNotFoundError):
            holder = f"process {lock.read_text() or '(which has just begun)'} is {what}"
            if not wait:
                raise UserError(f"{folder}: {holder}; wait for its end, or give another --out")
            if not told:
                print(f"{folder}: {holder}; waiting for its end", file=sys.stderr, flush=True)
                told = True
            wait()
        time.sleep(0.2)
    with file:
        try:
            if "RANK" not in os.environ:  # else another rank may be writing
                sweep(folder)
            yield
        finally:
            lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came to be written


def _locked(lock: Path) -> IO[str] | None:
    """Open a file that this process alone holds, with its number inside; None while another holds it."""
    make_folder(lock.parent)
    try:
        file = lock.open("a+")
    except FileNotFoundError:
        return None  # the last holder removed the empty folder meanwhile
    except OSError as error:
        raise _unwritable(lock, error) from None
    try:
        # Of POSIX, so that worker processes of one that was killed do not go on holding it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.close()
            return None
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            file.truncate(0)
            print(os.getpid(), end="", file=file, flush=True)
            return file
    file.close()  # the last holder removed it meanwhile
    return _locked(lock)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written below a folder that this process holds."""
    for scratch in folder.rglob(f".*{SCRATCH}"):
        if scratch.is_file():
            scratch.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and not os.path.lexists(path):
            return make_folder(path)  # it was there, and its last holder removed it
        raise UserError(f"{path}: cannot be made ({error.strerror}); choose another place") from None
    return path


def refuse_existing(path: Path | None, force: bool) -> None:
    """Refuse to replace a file that the user named, unless forced.

    Raises:
        UserError: it exists.
    """
    if path and os.path.exists(path) and not force:
        raise UserError(f"{path}: exists; give another --out, or --force to replace it")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with LF line ends, whole or not at all."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> str:
    """Indented JSON; NaN and infinities, which JSON has no words for, become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `to_json`."""
    write_text(path, to_json(value))


def read_json(path: Path, keys: tuple[str, ...], advice: str) -> dict[str, Any]:
    """Read a JSON object that has `keys`.

    Raises:
        UserError: it is absent or damaged; `advice` says what to do.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"has more than {LARGEST_JSON} bytes")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable ({error}); {advice}") from None
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise UserError(f"{path}: damaged ('{missing[0]}' is missing); {advice}")
    return dict(value)


def is_cut(path: Path) -> bool:
    """Whether a text of ours lost its end, and with it, it may be, the last digits of a number."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() != b"\n"


def read_numbers(path: Path, columns: tuple[str, ...], ours: bool = True) -> pd.DataFrame:
    """Read a CSV: unique ids as text, every other column finite numbers.

    Args:
        ours: the kit wrote it, so that it ends in a line end; other tools need not.

    Raises:
        UserError: naming the file, the line and the column.
    """
    import numpy as np
    import pandas as pd

    table = read_csv(path, columns)
    if ours and is_cut(path):
        raise UserError(f"{path}: its last line has no end; a whole file ends in a line end")
    for column in table.columns.difference(["id"]):
        table[column] = pd.to_numeric(table[column], errors="coerce")
        refuse_first(path, ~np.isfinite(table[column]), f"column '{column}' is not a finite number")
    refuse_first(path, table["id"].duplicated(), "this id stands there twice")
    return table


def refuse_first(path: Path, bad: pd.Series[bool], problem: str, cells: pd.Series[str] | None = None) -> None:
    """Refuse a table for its first bad row, whose one of `cells` stands for the braces in `problem`.

    Raises:
        UserError: naming the file and the line.
    """
    if bad.any():
        row = int(bad.to_numpy().argmax())
        cell = "" if cells is None else str(cells.iloc[row])
        raise UserError(f"{path}: line {row + 2}: {problem.replace('{}', cell)}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index; floats keep every digit, so that reading gives them back."""
    with whole_file(path) as scratch:
        frame.to_csv(scratch, index=False, lineterminator="\n")


def read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV as text cells (nothing guessed, nothing missing), with `columns` required.

    Raises:
        UserError: the file is absent, not UTF-8, not a table, or lacks a column.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False, header=None
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a readable CSV table ({str(error).strip()})") from None
    header = [str(name).strip() for name in frame.iloc[0]]
    frame = frame[1:].reset_index(drop=True).set_axis(header, axis=1)
    twice = [name for name in header if header.count(name) > 1]
    missing = [column for column in columns if column not in header]
    if twice or missing:
        problem = f"'{twice[0]}' stands twice" if twice else f"'{missing[0]}' is missing"
        raise UserError(f"{path}: column {problem}; found {', '.join(header)}")
    return frame
