"""Pretrained weights as private datasets, which kernels without internet can attach."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from humanmade import files, places
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle.client import Client, pauses
from humanmade.progress import Waiting

PREPARING_SECONDS = 3600.0
"""Longest wait until Kaggle has prepared a dataset."""


def slug(name: str) -> str:
    """The dataset that weights of a name are kept in; Kaggle takes 6 to 50 characters."""
    whole = "humanmade-weights-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    short = f"{whole[:41].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return whole if len(whole) <= 50 else short


def require_ready(client: Client, reference: str, advice: str) -> None:
    """Refuse a dataset of the user's that a kernel would start without.

    Raises:
        UserError: it is not there, or not ready.
    """
    if reference.split("/")[0] != client.owner:
        # Kaggle tells the state of one's own datasets only; of others it tells at the push.
        return
    found = state(client, reference)
    if found == "absent":
        raise UserError(f"dataset {reference}: not on Kaggle; {advice}")
    if found != "ready":
        raise UserError(f"dataset {reference}: is {found}; a kernel would start without it, so push later")


def find(name: str) -> list[Path]:
    """The files of a timm model's weights, or of an autoencoder's two halves.

    A timm model's that are nowhere here are taken from timm's own download and kept in the cache.

    Raises:
        UserError: there are none, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from humanmade.detectors import weights

    halves = [f"{name}_{half}.safetensors" for half in ("encoder", "decoder")]
    for place in weights.folders():
        if all((place / half).is_file() for half in halves):
            found = [place / half for half in halves]
            break
    else:
        file, _ = weights.find_weights(name)
        found = [file or _download_weights(name)]
    for path in found:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: damaged weights ({error}); remove the file") from None
    return found


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
    title = slug(name)
    reference = f"{client.owner}/{title}"
    before = _version(client, reference)
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
    if answer.error or (answer.status or "ok").lower() != "ok":
        raise KaggleError(f"{what}: Kaggle refused it ({answer.error or answer.status})")
    _wait_until_ready(client, reference, before + 1)
    _check_arrived(client, reference, paths)
    return reference


def _version(client: Client, reference: str) -> int:
    """The current version of a dataset; 0 where there is none."""
    import requests

    def ask() -> int:
        try:
            answer = client.api.dataset_status(reference, format="json(current_version_number)")
        except requests.HTTPError as error:
            # Kaggle also answers 403 for a dataset of one's own that is not there.
            if error.response.status_code in (403, 404):
                return 0
            raise
        return int(json.loads(answer)["current_version_number"] or 1)

    return client.call(f"look for {reference}", ask)


def state(client: Client, reference: str) -> str:
    """A dataset's state, `ready` when a kernel can use it; `absent` where there is none."""
    import requests

    def ask() -> str:
        try:
            return str(client.api.dataset_status(reference))
        except requests.HTTPError as error:
            if error.response.status_code in (403, 404):
                return "absent"
            raise

    return client.call(f"look for {reference}", ask)


def _wait_until_ready(client: Client, reference: str, version: int) -> None:
    """Wait for a version to be ready; until then Kaggle may show that the one before is."""
    with Waiting(reference) as line:
        for pause in pauses():
            found = state(client, reference)
            line.show(found)
            if found == "failed":
                raise KaggleError(f"{reference}: Kaggle could not prepare the dataset; push it again")
            if found == "ready" and _version(client, reference) >= version:
                return
            if line.seconds > PREPARING_SECONDS:
                raise KaggleError(f"{reference}: still '{found}'; look at it on Kaggle, or push it again")
            time.sleep(pause)


def _check_arrived(client: Client, reference: str, paths: Sequence[Path]) -> None:
    """An upload that fails is left out of the dataset without a word; compare names and sizes."""
    listing = client.call("list the dataset", client.api.dataset_list_files, reference)
    there = {entry.name: entry.total_bytes for entry in listing.files or []}
    for path in paths:
        sent, arrived = path.stat().st_size, there.get(path.name)
        if arrived != sent:
            found = "it is not there" if arrived is None else f"{arrived} of {sent} bytes"
            raise KaggleError(f"{reference}: {path.name} did not arrive whole ({found}); push it again")
