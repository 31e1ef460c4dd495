"""Datasets: the competition's data down, pretrained weights up."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from humanmade import cache, files
from humanmade import recipe as recipes
from humanmade.data import manifest
from humanmade.data.competition import DATASET, PICTURES, SLUG
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle.client import Client, pauses
from humanmade.kaggle.submissions import RULES
from humanmade.progress import Waiting, progress
from humanmade.recipe import BackboneRecipe, EnsembleRecipe, Recipe, ReconstructionRecipe

TABLES = ("train.csv", "test.csv")
LARGEST_TABLE = 64 * 2**20
LARGEST_PICTURE = 64 * 2**20
"""Bytes; the competition's largest pictures have about one million."""
SPARE_BYTES = 2**30
DOWNLOADS = ".downloads"
PREPARING_SECONDS = 3600.0
"""Longest wait until Kaggle has prepared a dataset."""


def download(client: Client, folder: Path) -> str:
    """Bring the competition's tables and pictures into a folder; what is there is kept.

    Only files that the tables name are taken out of an archive, so nothing else can land anywhere.

    Returns:
        What the folder holds now, in one line.

    Raises:
        KaggleError: Kaggle refuses, or its dataset lacks pictures of the tables.
    """
    files.make_folder(folder)
    if not all((folder / name).is_file() for name in TABLES):
        advice = RULES
        archive = _fetch(client, folder, SLUG, client.api.competition_download_files, SLUG, advice)
        _unpack(archive, {name: folder / name for name in TABLES}, LARGEST_TABLE, "tables")
        archive.unlink()
        for name in TABLES:
            if not (folder / name).is_file():
                raise KaggleError(f"download {SLUG}: the archive holds no {name}; see the competition's page")
    table = manifest.load([folder], pictures=False)
    missing = _missing(folder, table)
    if missing:
        slug = DATASET.split("/")[1]
        advice = f"look at https://www.kaggle.com/datasets/{DATASET}"
        archive = _fetch(client, folder, slug, client.api.dataset_download_files, DATASET, advice)
        _unpack(archive, {name: folder / name for name in missing}, LARGEST_PICTURE, "pictures")
        missing = _missing(folder, table)
        if missing:
            raise KaggleError(
                f"{folder}: {len(missing)} of {len(table)} pictures are missing, {missing[0]} first; "
                f"dataset {DATASET} lacks them ({archive} is kept)"
            )
        archive.unlink()
    shutil.rmtree(folder / DOWNLOADS, ignore_errors=True)
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    pairs = train["pair"].nunique()
    return f"{folder}: complete; {len(train)} train pictures in {pairs} pairs, {len(test)} test pictures"


def _missing(folder: Path, table: pd.DataFrame) -> list[str]:
    there = {
        f"{name}/{path.name}"
        for name in PICTURES
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
        if not path.name.startswith(".")
    }
    return [name for name in table["name"] if name not in there]


def _fetch(client: Client, folder: Path, slug: str, function: Any, what: str, advice: str) -> Path:
    """Download an archive, going on with a part of it that is there."""
    archive = folder / DOWNLOADS / f"{slug}.zip"
    files.make_folder(archive.parent)
    print(f"downloading {what}", flush=True)
    client.call(f"download {what}", function, what, path=str(archive.parent), quiet=False, no=advice)
    if not zipfile.is_zipfile(archive):
        for path in archive.parent.glob(f"{slug}.*"):
            path.unlink()
        raise KaggleError(f"download {what}: no whole zip archive came, so it was removed; run this again")
    return archive


def _unpack(archive: Path, wanted: dict[str, Path], largest: int, what: str) -> None:
    """Take the wanted files out of an archive, wherever in it they lie; existing ones are kept.

    Args:
        wanted: where each file goes, by its path's end inside the archive.
        largest: bytes of a file; more is refused.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, wanted)
            _check_sizes(archive, list(members.values()), largest)
            for name, member in progress(members.items(), f"unpacking {what}", "files", len(members)):
                if not wanted[name].exists():
                    with files.whole_file(wanted[name]) as scratch, opened.open(member) as source:
                        scratch.write_bytes(source.read())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        archive.unlink(missing_ok=True)
        raise KaggleError(f"{archive}: damaged ({error}), so it was removed; run this again") from None


def _members(opened: zipfile.ZipFile, wanted: dict[str, Path]) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by the wanted name that their path ends in."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        parts = member.filename.split("/")
        for name in ("/".join(parts[-2:]), parts[-1]):
            if name in wanted and not member.is_dir():
                found.setdefault(name, member)
    return found


def _check_sizes(archive: Path, members: Sequence[zipfile.ZipInfo], largest: int) -> None:
    for member in members:
        if member.file_size > largest:
            raise KaggleError(
                f"{archive}: '{member.filename}' claims {member.file_size} bytes, more than {largest}; "
                "nothing was unpacked"
            )
    needed = sum(member.file_size for member in members)
    free = shutil.disk_usage(archive.parent).free
    if needed + SPARE_BYTES > free:
        raise UserError(
            f"{archive.parent}: {needed / 1e9:.1f} GB to unpack and {free / 1e9:.1f} GB free; make room, "
            "then run this again"
        )


def weights_slug(name: str) -> str:
    """The dataset that weights of a name are kept in: at most 50 characters, unlike any other name's."""
    slug = "humanmade-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return slug if len(slug) <= 50 else f"{slug[:41]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def weights_of(recipe: Recipe) -> list[str]:
    """Names of the pretrained weights that a recipe wants, as `push_weights` takes them."""
    if isinstance(recipe, EnsembleRecipe):
        of_members = [weights_of(recipes.load(name)) for name in recipe.members]
        return list(dict.fromkeys(name for names in of_members for name in names))
    names = [recipe.backbone] if isinstance(recipe, BackboneRecipe) and recipe.pretrained else []
    remakes = isinstance(recipe, ReconstructionRecipe) or recipe.counterparts
    return [*names, *([recipe.autoencoder] if remakes else [])]


def require_ready(client: Client, reference: str, advice: str) -> None:
    """Refuse a dataset that a kernel would start without.

    Raises:
        UserError: it is not there, or not ready.
    """
    found = state(client, reference)
    if found == "absent":
        raise UserError(f"dataset {reference}: not on Kaggle; {advice}")
    if found != "ready":
        raise UserError(f"dataset {reference}: is {found}; a kernel would start without it, so push later")


def find_weights(name: str, folder: Path | None = None) -> list[Path]:
    """The files of a timm model's weights, or of an autoencoder's two halves.

    A timm model's that are nowhere here are taken from timm's own download and kept in the cache.

    Raises:
        UserError: there are none, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from humanmade.detectors import weights

    halves = [f"{name}_{half}.safetensors" for half in ("encoder", "decoder")]
    for place in weights.weights_folders(folder):
        if all((place / half).is_file() for half in halves):
            found = [place / half for half in halves]
            break
    else:
        file, _ = weights.find_weights(name, folder)
        found = [file or _download_weights(name, folder)]
    for path in found:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: damaged weights ({error}); remove the file") from None
    return found


def _download_weights(name: str, folder: Path | None) -> Path:
    from safetensors.torch import save_file

    from humanmade.detectors import weights

    settings = weights.pretrained_settings(name)
    network = weights.create_backbone(name, True, settings["input_size"][-1], settings["num_classes"], folder)
    path = cache.folder("weights") / f"{name}.safetensors"
    with files.whole_file(path) as scratch:
        save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, scratch)
    return path


def push_weights(client: Client, name: str, paths: Sequence[Path]) -> str:
    """Upload weights as a private dataset of their own, new or as its next version, until it is ready.

    Returns:
        The dataset, as `owner/slug`.

    Raises:
        KaggleError: Kaggle refuses, or what arrived is not what was sent.
    """
    slug = weights_slug(name)
    reference = f"{client.owner}/{slug}"
    before = _version(client, reference)
    # The client goes on with an upload that broke off if it finds the same path again.
    folder = cache.folder("uploads") / slug
    shutil.rmtree(folder, ignore_errors=True)
    metadata = {"id": reference, "title": slug, "licenses": [{"name": "other"}]}
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
    _wait_until_ready(client, reference, before)
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


def _wait_until_ready(client: Client, reference: str, before: int) -> None:
    """Wait for the version after `before` to be ready; until then Kaggle may show the one before."""
    with Waiting(reference) as line:
        for pause in pauses():
            found = state(client, reference)
            line.show(found)
            if found == "failed":
                raise KaggleError(f"{reference}: Kaggle could not prepare the dataset; push it again")
            if found == "ready" and _version(client, reference) > before:
                return
            if line.seconds > PREPARING_SECONDS:
                raise KaggleError(f"{reference}: still '{found}'; look at it on Kaggle, or push it again")
            time.sleep(pause)


def _check_arrived(client: Client, reference: str, paths: Sequence[Path]) -> None:
    """An upload that fails is left out of the dataset without a word; compare names and sizes."""
    listing = client.call("list the dataset", client.api.dataset_list_files, reference)
    there = {entry.name: entry.total_bytes for entry in listing.files or []}
    for path in paths:
        if there.get(path.name) != path.stat().st_size:
            raise KaggleError(
                f"{reference}: {path.name} did not arrive whole ({there.get(path.name, 'no such file')} of "
                f"{path.stat().st_size} bytes); push it again"
            )
