"""Generated counterparts of the training photos, so that content cannot tell the classes apart.

Each photo, at several scales, is encoded and decoded by an autoencoder: a pair that differs in the
decoder's traces alone (DDA, Chen et al. 2025; AlignedForensics, Rajan et al. 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from humanmade import files, places
from humanmade.data.loader import draw_keys, read_picture
from humanmade.detectors.autoencoder import load_autoencoder, reconstructed
from humanmade.errors import UserError
from humanmade.images.corruptions import rescale
from humanmade.images.decode import Picture
from humanmade.progress import in_threads
from humanmade.schema import Counterparts
from humanmade.seeding import sample, stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest
from humanmade.training.device import Machine

CODE_VERSION = 4
"""Raise when the same key would give other pictures."""

MADE = "counterparts by humanmade"
"""Source of the rows made here, which no table of pictures names so."""

GROUP = 8
"""Photos that a thread takes at once where a GPU reconstructs."""

QUALITY = 95
"""JPEG quality that both members of a written pair get."""


def extend(rows: pd.DataFrame, keys: Counterparts, budget: Budget) -> pd.DataFrame:
    """Add to training rows the generated counterparts of photos, at every one of `keys.scales`.

    At other scales than 1 the photo is added at that scale too. Of more than `keys.photos` photos
    a fixed sample is taken; of several autoencoders each makes its share. The pictures are made once and
    kept in the cache. New rows share their photo's group, and at scale 1 its pair, so that all of them meet
    the same draws. Without `real_fakes` photos and counterparts are all there is, so that both classes show
    the same content.

    Raises:
        UserError: the autoencoder's weights are nowhere.
        OutOfTimeError: the budget is used up; what was made is kept.
    """
    if not keys.scales:
        return rows
    photos = rows[rows["label"] == 0]
    if photos.empty:
        return rows
    photos = photos[sample(photos["digest"].tolist(), keys.photos, "photo")]
    photos = photos.assign(pair=draw_keys(photos))
    names = keys.autoencoders
    makers = [names[stable_seed("autoencoder", digest) % len(names)] for digest in photos["digest"]]
    made = [
        make_pairs(own, keys.scales, str(maker), budget) for maker, own in photos.groupby(makers, sort=False)
    ]
    pairs = pd.concat(made, ignore_index=True)
    if not keys.real_fakes:
        return pairs
    paired = rows["pair"].mask(rows.index.isin(photos.index), photos["pair"].reindex(rows.index))
    fresh = pairs[~pairs["id"].isin(rows["id"])]
    return pd.concat([rows.assign(pair=paired), fresh], ignore_index=True)


def make_pairs(
    photos: pd.DataFrame, scales: Sequence[float], autoencoder: str, budget: Budget
) -> pd.DataFrame:
    """Photos at every scale, each beside its reconstruction; at scale 1 the photo's own row serves.

    Raises:
        UserError, OutOfTimeError: as `extend`.
    """
    machine, network = Machine.pick(), load_autoencoder(autoencoder)
    computed = f"{machine.device.type}-{str(machine.dtype).removeprefix('torch.')}"
    key = "-".join([str(CODE_VERSION), autoencoder, digest(network)[:16], computed])
    folder, placed = places.cache("counterparts") / key, machine.place(network)
    made = []
    for scale in scales:
        sides = [_side(photos, folder, scale, label) for label in (0, 1)]
        paths = [photos["path"], *(side["path"] for side in sides)]
        if _jobs(paths, scale):
            with files.held(folder, "making counterparts", budget.check):
                jobs = _jobs(paths, scale)
                remake(placed, jobs, machine, f"counterparts at {scale:g}", budget.check)
        made += sides
    return pd.concat(made, ignore_index=True)


def write_counterparts(table: pd.DataFrame, limit: int | None, out: Path, name: str) -> pd.DataFrame:
    """Write photos and their generated counterparts, saved alike, as a data folder with pairs.

    An interrupted writing goes on where it was: pictures that are there are kept.

    Args:
        table: of `humanmade.data.inventory`; its human-made rows are taken, the first `limit` of them.
        out: the folder to write; its manifest appears last.
        name: of the autoencoder; the counterparts' source.

    Returns:
        The manifest.

    Raises:
        UserError: no row is a readable photo, the folder is complete, or the autoencoder is nowhere.
    """
    photos = table[(table["label"] == 0) & ~table["broken"]].head(limit or len(table))
    if photos.empty:
        raise UserError("reconstruct: the data has no readable rows with label 0; give a folder with photos")
    if (out / "manifest.csv").exists():
        raise UserError(f"{out}: holds a manifest.csv already; give a new folder")
    machine = Machine.pick()
    network = machine.place(load_autoencoder(name))
    files.make_folder(out / "images")
    photos = photos.drop_duplicates("digest").assign(pair=photos["id"])
    sides = [
        photos[["source", "pair"]].assign(path="images/" + photos["digest"] + f"_{what}.jpg", label=label)
        for label, what in enumerate(("photo", f"{name}-{digest(network)[:8]}"))
    ]
    sides[1]["source"] = f"reconstruction-{name}"
    jobs = _jobs([photos["path"], *(f"{out}/" + side["path"] for side in sides)], 1)
    remake(network, jobs, machine, "reconstructing", lambda: None)
    manifest = pd.concat(sides).sort_index(kind="stable")[["path", "label", "source", "pair"]]
    files.write_csv(out / "manifest.csv", manifest)
    return manifest


def row_weights(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Weights (rows,), their mean 1: photos count as much as what is generated, counterparts as much as
    the data's own fakes. Rows without counterparts count alike."""
    made = (rows["source"] == MADE) & (rows["label"] == 1)
    kind = rows["label"] + made
    if not made.any() or kind.nunique() < 3:
        return np.ones(len(rows))
    share = kind.map({0: 0.5, 1: 0.25, 2: 0.25}) / kind.map(kind.value_counts())
    return share.to_numpy(np.float64) * len(rows)


def _side(photos: pd.DataFrame, folder: Path, scale: float, label: int) -> pd.DataFrame:
    """Rows of photos at a scale (label 0), for which at scale 1 their own files serve, or of counterparts."""
    if scale == 1 and label == 0:
        return photos
    names = photos["digest"] + f"-{scale:g}-{label}"
    return photos.assign(
        id=photos["id"] + f"#{scale:g}-{label}",
        path=[str(folder / f"{name}.png") for name in names],
        digest=[f"{name}-{folder.name}" for name in names],
        pair=photos["pair"] + ("" if scale == 1 else f"#{scale:g}"),
        label=label,
        source=MADE if label else photos["source"],
    )


def _jobs(paths: Sequence[pd.Series[str]], scale: float) -> list[Job]:
    """What is not there yet, by the paths of photos' files, of the photos at a scale, of counterparts."""
    return [
        Job(photo, scale, Path(made), Path(beside) if beside != photo else None)
        for photo, beside, made in zip(*paths, strict=True)
        if not (Path(beside).is_file() and Path(made).is_file())
    ]


class Job(NamedTuple):
    """A photo whose counterpart is to be written: its file, how it is scaled, and where the counterpart
    goes, and beside it, unless its own file serves, the photo."""

    photo: str
    scale: float
    made: Path
    beside: Path | None = None


def remake(
    network: nn.Module, jobs: Sequence[Job], machine: Machine, what: str, check: Callable[[], None]
) -> None:
    """Write the counterparts of photos, a thread a processor, each from reading to writing.

    On processors each thread takes a photo alone through its own single-threaded network: faster than a
    batch through all threads, which wait for each other at every layer, and the bytes hang neither on
    their number nor on the photo's company. On a GPU `GROUP` photos go together.

    Args:
        check: asked between photos; it raises to stop.
    """
    size = 1 if machine.device.type == "cpu" else GROUP
    groups = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that begin from now on get one each

    def write(group: Sequence[Job]) -> None:
        _remake(network, group, machine)

    try:
        in_threads(write, groups, what, lambda _: None, 1, check, size)  # no result is left to save
    finally:
        torch.set_num_threads(threads)


def _remake(network: nn.Module, group: Sequence[Job], machine: Machine) -> None:
    """Read photos and write them and their counterparts."""
    photos = [read_picture(job.photo) for job in group]
    scaled = zip(photos, group, strict=True)
    photos = [photo if job.scale == 1 else rescale(photo, job.scale) for photo, job in scaled]
    for photo, made, job in zip(photos, reconstructed(network, photos, machine), group, strict=True):
        if job.beside:
            save_picture(job.beside, photo)
        save_picture(job.made, made)


def save_picture(path: Path, picture: Picture) -> None:
    """Write a picture whole, as PNG or as JPEG by its name."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix == ".jpg" else []
    done, data = cv2.imencode(path.suffix, picture[:, :, ::-1], quality)
    assert done, f"OpenCV lacks {path.suffix}"
    with files.whole_file(path) as scratch:
        scratch.write_bytes(data.tobytes())
