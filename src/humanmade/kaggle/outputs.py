"""A kernel's outputs: listed, fetched, and taken for what their hashes say they are."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanmade import files
from humanmade.errors import KaggleError
from humanmade.kaggle.client import Client, plain
from humanmade.progress import progress, warn

OUTPUTS = "outputs.json"
"""A kernel's run id, which it writes first, and the hash of every other output, which it adds last."""
RUNS = "runs"
"""Folder of the runs that a kernel leaves; a submission may lie beside it."""
CACHE = "cache.zip"
"""What an unfinished session computed, for the next one; not listed, as nobody else has a use for it."""
MOST_OUTPUTS = 200
"""Files that Kaggle lists of a session's output."""
PLAIN = re.compile(r"[^.\\][^\\]{0,199}")
"""A part of an output's name, as far as a file system and a terminal take it for one."""
PAGE = 20
CHUNK = 2**20
LARGEST_LIST = 2**24
"""Bytes of `outputs.json`; that of 200 outputs has some 30,000."""


@dataclass(frozen=True)
class Listing:
    """What `outputs.json` says."""

    files: dict[str, str]
    """SHA-256 of each output, by its name."""
    unfinished: bool
    size: int
    """Bytes of all; 0 where the kernel did not tell."""

    @property
    def finished_folds(self) -> list[str]:
        """Names that tell of a finished fold: its scores, or its archive."""
        return [
            name for name in self.files if re.fullmatch(rf"{RUNS}/[^/]+/fold\w+(/scores\.json|\.zip)", name)
        ]

    @property
    def runs(self) -> list[str]:
        """Names of the runs among the outputs."""
        return sorted({name.split("/")[1] for name in self.files if name.startswith(f"{RUNS}/")})


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


def told(client: Client, by_name: dict[str, str]) -> dict[str, Any]:
    """What `outputs.json` holds; nothing where a kernel left none.

    Raises:
        KaggleError: its link is dead, or serves too much, or what is not JSON.
    """
    import requests

    def get() -> dict[str, Any]:
        content = b""
        with requests.get(by_name[OUTPUTS], stream=True) as response:  # noqa: S113 - as in `_get`
            response.raise_for_status()
            for part in response.iter_content(CHUNK):
                content += part
                if len(content) > LARGEST_LIST:
                    raise KaggleError(f"output {OUTPUTS}: has more than {LARGEST_LIST} bytes; push it again")
        return dict(json.loads(content))

    return client.call(f"output {OUTPUTS}", get, no="push it again") if OUTPUTS in by_name else {}


def read_listing(told: dict[str, Any], reference: str) -> Listing:
    """Understand what `outputs.json` holds.

    Raises:
        KaggleError: it is damaged, or names files outside of `runs/`.
    """
    bad = f"{reference}: its {OUTPUTS} is damaged"
    try:
        hashes = {str(name): str(digest) for name, digest in told["files"].items()}
        unfinished, size = bool(told["unfinished"]), int(told.get("bytes", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KaggleError(f"{bad}; push it again") from None
    for name, digest in hashes.items():
        parts = name.split("/")
        plain_parts = all(PLAIN.fullmatch(part) and part.isprintable() for part in parts)
        if not plain_parts or (len(parts) > 1 and (parts[0] != RUNS or len(parts) < 3)):
            raise KaggleError(f"{bad}: it names '{plain(name)}', outside of {RUNS}/; nothing was fetched")
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise KaggleError(f"{bad}: '{plain(name)}' has no SHA-256; push it again")
    return Listing(hashes, unfinished, size)


def download(client: Client, reference: str, hashes: dict[str, str], scratch: Path) -> None:
    """Fetch files into `scratch` until each has its hash; what is there already is kept.

    Links are asked for again once, for they expire.

    Raises:
        KaggleError: an output is missing, or not what the kernel wrote.
    """
    for attempt in (1, 2):
        missing = [
            name
            for name, digest in hashes.items()
            if not (scratch / name).is_file() or files.sha256(scratch / name) != digest
        ]
        if not missing:
            return
        by_name, _ = links(client, reference)
        for name in progress(missing, f"pulling {reference}", "files", len(missing)):
            if name not in by_name:
                raise KaggleError(
                    f"{reference}: {name} is not among its {len(by_name)} outputs; push it again"
                )
            try:
                _fetch(client, name, by_name[name], scratch, hashes[name])
            except KaggleError as error:
                if attempt == 2:
                    raise
                warn(f"{error}; asking for new links")


def _fetch(client: Client, name: str, link: str, scratch: Path, digest: str) -> None:
    with files.whole_file(scratch / name) as aside:
        client.call(f"output {name}", _get, link, aside)
        if files.sha256(aside) != digest:
            with aside.open("rb") as file:
                page = file.read(200).lstrip()[:1] == b"<"
            problem = "an error page" if page else "other bytes"
            raise KaggleError(f"output {name}: its link served {problem}, not what the kernel wrote")


def _get(link: str, path: Path) -> None:
    import requests

    with requests.get(link, stream=True) as response:  # noqa: S113 - the client's calls all have a timeout
        response.raise_for_status()
        with path.open("wb") as file:
            for part in response.iter_content(CHUNK):
                file.write(part)
