"""A kernel's outputs: listed with hashes while it works and at its end, and found again from here.

`outputs.json` holds the push's run id, which a kernel writes first, and the hash of every other output.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanmade import files, run
from humanmade.errors import KaggleError
from humanmade.kaggle import archives
from humanmade.kaggle.client import Client, plain
from humanmade.run import RUNS

OUTPUTS = "outputs.json"
CACHE = "cache.zip"
"""What an unfinished session computed, for the next one; not listed, as nobody else has a use for it."""
MOST_OUTPUTS = 200
"""Files that Kaggle lists of a session's output."""
LOOK_SECONDS = 30.0
"""Between two looks for folds that were finished: what is listed survives a kernel that is killed."""
CACHED = ("pictures", "features", "counterparts")
"""Parts of the cache that spare the next session work, the dearest for their size first."""
MOST_CACHED = 6 * 2**30
"""Bytes of the cache that an unfinished session leaves to the next one; Kaggle keeps 20 GB."""
PLAIN = re.compile(r"[^.\\][^\\]{0,199}")
"""A part of an output's name, as far as a file system and a terminal take it for one."""
PAGE = 20
CHUNK = 2**20
LARGEST_LIST = 2**24
"""Bytes of `outputs.json`; that of 200 outputs has some 30,000."""


@dataclass(frozen=True)
class Listing:
    """What `outputs.json` says."""

    run_id: str
    """Of the push."""
    unfinished: bool
    bytes: int
    """Of all outputs."""
    files: dict[str, str]
    """SHA-256 of each output, by its name."""

    @property
    def finished_folds(self) -> list[str]:
        """Names that tell of a finished fold: its scores, or its archive."""
        return [
            name for name in self.files if re.fullmatch(rf"{RUNS}/[^/]+/fold\w+(/{run.DONE}|\.zip)", name)
        ]

    @property
    def runs(self) -> list[str]:
        """Names of the runs among the outputs."""
        return sorted({name.split("/")[1] for name in self.files if name.startswith(f"{RUNS}/")})


@dataclass
class OutputFolder:
    """The folder whose files Kaggle keeps, inside a kernel."""

    folder: Path
    run_id: str

    def write(self, paths: Iterable[Path], unfinished: bool) -> None:
        """Write `outputs.json`, listing `paths`."""
        found = {path: path.stat() for path in sorted(paths) if path.is_file()}
        listed = {
            path.relative_to(self.folder).as_posix(): _sha256(path, stat.st_size, stat.st_mtime_ns)
            for path, stat in found.items()
        }
        size = sum(stat.st_size for stat in found.values())
        files.write_json(self.folder / OUTPUTS, asdict(Listing(self.run_id, unfinished, size, listed)))

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """List the finished folds of what runs inside, as soon as they are."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                self.write(self._finished(), unfinished=True)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self, unfinished: bool, cache: Path) -> None:
        """List everything, each fold as one archive where Kaggle would not show all files.

        Args:
            cache: of an unfinished session is left for the next one, unlisted: nobody pulls it.
        """
        for path in self.folder.glob(f"{RUNS}/**/.*"):
            path.unlink(missing_ok=True)  # half-written by a process that was ended
        if unfinished:
            self._keep(cache)
        if len(self._all()) >= MOST_OUTPUTS:
            print(f"packing each fold, as Kaggle lists {MOST_OUTPUTS} outputs at most", flush=True)
            for folder in self.folder.glob(f"{RUNS}/*"):
                archives.pack_folds(folder)
        self.write(self._all(), unfinished)

    def _all(self) -> list[Path]:
        # Kaggle itself keeps __notebook__.ipynb there, and still writes to it.
        made = [*self.folder.glob("[!._]*"), *self.folder.glob(f"{RUNS}/**/*")]
        return [path for path in made if path.is_file() and path.name not in (OUTPUTS, CACHE)]

    def _finished(self) -> set[Path]:
        """Finished folds, and what makes their folder a run."""
        folds = [done.parent for done in self.folder.glob(f"{RUNS}/*/fold*/{run.DONE}")]
        begun = {fold.parent / name for fold in folds for name in (run.RECIPE, *run.BEGUN)}
        return begun.union(*(fold.rglob("[!.]*") for fold in folds))

    def _keep(self, cache: Path) -> None:
        kept, left = [], MOST_CACHED
        for part in (cache / name for name in CACHED):
            size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
            if size > left:
                print(f"{part.name}: {size / 1e9:.1f} GB are too many to keep; --resume makes them anew")
            elif size:
                print(f"keeping {size / 1e9:.1f} GB of {part.name} for --resume", flush=True)
                kept.append(part)
                left -= size
        if kept:
            archives.pack(kept, self.folder / CACHE)


@functools.cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash a file once for each time that it was written."""
    return files.sha256(path)


def links(client: Client, reference: str) -> tuple[dict[str, str], str]:
    """Links of a kernel's outputs by their names, and its log."""
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

    owner, slug = reference.split("/")

    def ask(token: str) -> Any:
        request = ApiListKernelSessionOutputRequest()
        request.user_name, request.kernel_slug = owner, slug
        request.page_size, request.page_token = PAGE, token
        with client.api.build_kaggle_client() as kaggle:
            return kaggle.kernels.kernels_api_client.list_kernel_session_output(request)

    by_name: dict[str, str] = {}
    token, log = "", ""
    for _ in range(0, MOST_OUTPUTS, PAGE):
        answer = client.call(f"outputs of {reference}", ask, token)
        by_name |= {entry.file_name: entry.url for entry in answer.files or []}
        log = log or answer.log or ""
        token = answer.next_page_token or ""
        if not token:
            break
    return by_name, log


def listing(client: Client, reference: str, link: str) -> Listing:
    """What the `outputs.json` behind a link says.

    Raises:
        KaggleError: the link is dead or serves too much, or `read` does not understand what came.
    """

    def get() -> Any:
        content = b""
        for part in served(link):
            content += part
            if len(content) > LARGEST_LIST:
                raise KaggleError(f"output {OUTPUTS}: has more than {LARGEST_LIST} bytes; push it again")
        return json.loads(content)

    return read(client.call(f"output {OUTPUTS}", get, no="push it again"), reference)


def served(link: str) -> Iterator[bytes]:
    """What a link serves, in parts; for use inside a call of the client, which tries again."""
    import requests

    with requests.get(link, stream=True) as response:  # noqa: S113 - the client's calls all have a timeout
        response.raise_for_status()
        yield from response.iter_content(CHUNK)


def read(told: Any, reference: str) -> Listing:
    """Understand what `outputs.json` holds.

    Raises:
        KaggleError: it is damaged, or names files outside of `runs/`.
    """
    bad = f"{reference}: its {OUTPUTS} is damaged"
    try:
        hashes = {str(name): str(digest) for name, digest in told["files"].items()}
        found = Listing(str(told["run_id"]), bool(told["unfinished"]), int(told.get("bytes", 0)), hashes)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KaggleError(f"{bad}; push it again") from None
    for name, digest in hashes.items():
        parts = name.split("/")
        plain_parts = all(PLAIN.fullmatch(part) and part.isprintable() for part in parts)
        if not plain_parts or (len(parts) > 1 and (parts[0] != str(RUNS) or len(parts) < 3)):
            raise KaggleError(f"{bad}: it names '{plain(name)}', outside of {RUNS}/; nothing was fetched")
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise KaggleError(f"{bad}: '{plain(name)}' has no SHA-256; push it again")
    return found
