"""Pretrained weights as private datasets, which kernels without internet can attach."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanmade import files, places, pretrained
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle import slug
from humanmade.kaggle.client import Client, plain
from humanmade.pretrained import HALVES, half_file
from humanmade.progress import Waiting

CONVERTED = "taef2"
"""The autoencoder whose halves are made of a checkpoint in diffusers' layout."""
DIFFUSERS = "diffusion_pytorch_model.safetensors"
"""The name of any checkpoint in diffusers' layout."""
PREPARING_SECONDS = 3600.0
"""Longest wait until Kaggle has prepared a dataset."""


def dataset(name: str) -> str:
    """The slug of the one dataset that weights of a name are kept in, with timm's default tag or without."""
    architecture, _, tag = name.partition(".")
    if tag:
        import timm  # takes seconds; most names have no tag

        settings = timm.get_pretrained_cfg(architecture) if timm.is_model(architecture) else None
        name = architecture if settings and settings.tag == tag else name
    return slug(f"humanmade-weights-{name}")


def find(name: str) -> list[Path]:
    """The files of a timm model's weights, or of an autoencoder's two halves.

    A timm model's that are nowhere here are taken from timm's own download and kept in the cache; an
    autoencoder's are made of its checkpoint in diffusers' layout.

    Raises:
        UserError: there are none, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from humanmade.detectors import weights

    names = [half_file(name, half) for half in HALVES]
    place = next((place for place in pretrained.folders() if all((place / n).is_file() for n in names)), None)
    if place:
        paths = [place / half for half in names]
    elif name.startswith(pretrained.AUTOENCODERS):
        paths = _convert(name)
    else:
        paths = [weights.find_weights(name)[0] or _download_weights(name)]
    for path in paths:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: damaged weights ({error}); remove the file") from None
    return paths


def _convert(name: str) -> list[Path]:
    """Write the halves, into the cache, of an autoencoder's checkpoint in diffusers' layout.

    There both are one file, and the decoder's layers are counted without the clamp that it begins with.

    Raises:
        UserError: there is no such file, or it is another autoencoder's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    from humanmade.detectors.autoencoder import LatentAutoencoder

    searched, made = (
        pretrained.folders(),
        [places.cache("weights") / half_file(name, half) for half in HALVES],
    )
    # Others of the family have one layout, so that nothing would tell whose a file of that name is.
    known = [place / DIFFUSERS for place in searched if name == CONVERTED]
    path = next(filter(Path.is_file, known), None)
    if path is None:
        other = f", nor {DIFFUSERS} of madebyollin/{name} (MIT)" if known else ""
        raise UserError(
            f"no {' and '.join(half.name for half in made)}{other}; put them into a folder and name that "
            f"with --weights. Looked in: {', '.join(map(str, searched))}"
        )
    halves: dict[str, dict[str, Any]] = {half: {} for half in HALVES}
    network = LatentAutoencoder()
    try:
        for key, tensor in load_file(path).items():
            half, _, layer, rest = key.split(".", 3)
            halves[half][f"{int(layer) + (half == 'decoder')}.{rest}"] = tensor
        for half, tensors in halves.items():
            getattr(network, half).load_state_dict(tensors)
    except (RuntimeError, SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path}: is not {name} in diffusers' layout ({str(error)[:200]})") from None
    for tensors, target in zip(halves.values(), made, strict=True):
        with files.whole_file(target) as scratch:
            save_file(tensors, scratch)
    return made


def _download_weights(name: str) -> Path:
    from safetensors.torch import save_file

    from humanmade.detectors import weights

    settings = weights.pretrained_settings(name)
    network = weights.create_backbone(name, True, settings["input_size"][-1], settings["num_classes"])
    path = places.cache("weights") / f"{name}.safetensors"
    with files.whole_file(path) as scratch:
        save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, scratch)
    return path


def push(client: Client, name: str, paths: Sequence[Path]) -> str:
    """Upload weights as a private dataset of their own, new or as its next version, until it is ready.

    Returns:
        The dataset, as `owner/slug`.

    Raises:
        KaggleError: Kaggle refuses, or what arrived is not what was sent.
    """
    title = dataset(name)
    reference = f"{client.owner}/{title}"
    before = status(client, reference)[1]
    if before:
        # Kaggle refuses a version while the one before is in preparation.
        _wait_until_ready(client, reference, before)
    # The client goes on with an upload that broke off if it finds the same path again.
    folder = places.cache("uploads") / title
    shutil.rmtree(folder, ignore_errors=True)
    metadata = {"id": reference, "title": title, "licenses": [{"name": "other"}]}
    files.write_json(folder / "dataset-metadata.json", metadata)
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())
    what = f"upload {name}"
    if before:
        notes = f"weights of {name}"
        answer = client.call(what, client.api.dataset_create_version, str(folder), notes)
    else:
        answer = client.call(what, client.api.dataset_create_new, str(folder), public=False)
    shutil.rmtree(folder)
    refused = answer.error or (answer.status or "ok").lower() != "ok"
    # Of an attempt whose answer was lost, the next one says that the name is taken.
    if refused and (before or not status(client, reference)[1]):
        raise KaggleError(f"{what}: Kaggle refused it ({plain(answer.error or answer.status)})")
    _wait_until_ready(client, reference, before + 1)
    _check_arrived(client, reference, paths)
    return reference


def status(client: Client, reference: str) -> tuple[str, int]:
    """A dataset's state, `ready` when a kernel can use it, and its version; `absent` and 0 if none."""
    import requests

    def ask() -> tuple[str, int]:
        try:
            answer = json.loads(client.api.dataset_status(reference, format="json"))
        except requests.HTTPError as error:
            # Kaggle also answers 403 for a dataset of one's own that is not there.
            if error.response.status_code in (403, 404):
                return "absent", 0
            raise
        return answer["status"], int(answer["current_version_number"] or 1)

    return client.call(f"look for {reference}", ask)


def _wait_until_ready(client: Client, reference: str, wanted: int) -> None:
    """Wait for a version to be ready; until then Kaggle may show that the one before is."""
    for line in Waiting(reference):
        state, version = status(client, reference)
        line.show(state)
        if state == "failed":
            raise KaggleError(f"{reference}: Kaggle could not prepare the dataset; push it again")
        if state == "ready" and version >= wanted:
            return
        if line.seconds > PREPARING_SECONDS:
            raise KaggleError(f"{reference}: still '{state}'; look at it on Kaggle, or push it again")


def _check_arrived(client: Client, reference: str, paths: Sequence[Path]) -> None:
    """An upload that fails is left out of the dataset without a word; compare names and sizes."""
    listing = client.call("list the dataset", client.api.dataset_list_files, reference)
    there = {entry.name: entry.total_bytes for entry in listing.files or []}
    for path in paths:
        sent, arrived = path.stat().st_size, there.get(path.name)
        if arrived != sent:
            problem = "it is not there" if arrived is None else f"{arrived} of {sent} bytes"
            raise KaggleError(f"{reference}: {path.name} did not arrive whole ({problem}); push it again")
