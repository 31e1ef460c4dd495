"""A pretrained image autoencoder, and the generated counterparts of photos that it makes.

Encoding and decoding a photo leaves its content and adds the decoder's traces: an aligned pair
without any bias of content, as DDA (Chen et al. 2025) and AlignedForensics (Rajan et al. 2025) use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from humanmade import files
from humanmade.data.loader import read_picture
from humanmade.errors import UserError
from humanmade.images.corruptions import rescale
from humanmade.images.decode import Picture
from humanmade.pretrained import HALVES, folders, half_file
from humanmade.progress import in_threads
from humanmade.training.device import Machine

STRIDE = 8
"""Pixels a latent position stands for."""

GROUP = 8
"""Photos that a thread takes at once where a GPU reconstructs."""

PIXELS = 2**21
"""Most pixels of one batch, which bounds a GPU's memory; larger pictures go alone."""

QUALITY = 95
"""JPEG quality that both members of a written pair get."""


class Block(nn.Module):
    """Three 3x3 convolutions around a skip; at the lowest resolution behind a wider 1x1 branch."""

    def __init__(self, width: int = 64, branch: bool = False) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for _ in range(3):
            convolutions += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*convolutions[:-1])
        wide = 4 * width
        self.pool = (
            nn.Sequential(
                nn.Conv2d(width, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, width, 1, bias=False),
            )
            if branch
            else None
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.pool is not None:
            features = features + self.pool(features)
        return torch.relu(self.conv(features) + features)


class Clamp(nn.Module):
    """A soft limit of 3 on latents."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.tanh(latents / 3) * 3


class LatentAutoencoder(nn.Module):
    """An autoencoder of madebyollin's (MIT), 8x spatial: `taesd`, `taesdxl`, `taesd3`, `taef1`, `taef2`.

    Args:
        channels: of its latents: 4, 16 or 32.
        branched: whether blocks at the lowest resolution have a wider branch, as those of `taef2`.
    """

    def __init__(self, channels: int = 32, branched: bool = True) -> None:
        super().__init__()
        encoder: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), Block()]
        for level in range(3):
            encoder.append(nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False))
            encoder += [Block(branch=branched and level == 2) for _ in range(3)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(64, channels, 3, padding=1))
        decoder: list[nn.Module] = [Clamp(), nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU()]
        for level in range(3):
            decoder += [Block(branch=branched and level == 0) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]
        self.decoder = nn.Sequential(*decoder, Block(), nn.Conv2d(64, 3, 3, padding=1))

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents (n, channels, height / 8, width / 8) of pictures (n, 3, height, width) of 0 to 1."""
        return self.encoder(pixels)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of 0 to 1 of latents."""
        return self.decoder(latents).clamp(0, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(pixels))


def load_autoencoder(name: str) -> LatentAutoencoder:
    """Make the autoencoder with its weights, `<name>_encoder` and `<name>_decoder.safetensors`.

    Raises:
        UserError: the files are nowhere, or do not fit.
    """
    places, halves = folders(), {}
    for half in HALVES:
        file_name = half_file(name, half)
        place = next((place for place in places if (place / file_name).is_file()), None)
        if place is None:
            raise UserError(
                f"no {file_name}; put it into a folder and name that with --weights or HUMANMADE_WEIGHTS. "
                f"Looked in: {', '.join(map(str, places))}"
            )
        halves[half] = place / file_name
    try:
        tensors = {half: load_file(path) for half, path in halves.items()}
        # The decoder's first layer, after the clamp, takes the latents.
        channels = tensors["decoder"]["1.weight"].shape[1]
        network = LatentAutoencoder(channels, any(".pool." in key for key in tensors["decoder"]))
        for half, own in tensors.items():
            getattr(network, half).load_state_dict({key: value.float() for key, value in own.items()})
    except (RuntimeError, SafetensorError, KeyError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{' and '.join(map(str, halves.values()))}: do not fit ({reason})") from None
    return network.eval().requires_grad_(False)


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
    try:
        # Nothing is left to keep: each thread has written its files.
        in_threads(
            lambda group: _remake(network, group, machine), groups, what, lambda _: None, 1, check, size
        )
    finally:
        torch.set_num_threads(threads)


def _remake(network: nn.Module, group: Sequence[Job], machine: Machine) -> None:
    """Read photos and write them and their counterparts."""
    photos = [read_picture(job.photo) for job in group]
    photos = [
        photo if job.scale == 1 else rescale(photo, job.scale)
        for photo, job in zip(photos, group, strict=True)
    ]
    for photo, made, job in zip(photos, reconstructed(network, photos, machine), group, strict=True):
        if job.beside:
            save_picture(job.beside, photo)
        save_picture(job.made, made)


def reconstructed(network: nn.Module, pictures: Sequence[Picture], machine: Machine) -> list[Picture]:
    """Encode and decode pictures of any sizes; those of one padded size go together."""
    padded = [pad_sides(picture) for picture in pictures]
    made: dict[int, Picture] = {}
    for shape in dict.fromkeys(picture.shape for picture in padded):
        alike = [number for number, picture in enumerate(padded) if picture.shape == shape]
        together = max(1, PIXELS // (shape[0] * shape[1]))
        for start in range(0, len(alike), together):
            chosen = alike[start : start + together]
            made |= zip(
                chosen, _forward(network, np.stack([padded[n] for n in chosen]), machine), strict=True
            )
    return [made[n][: picture.shape[0], : picture.shape[1]] for n, picture in enumerate(pictures)]


@torch.inference_mode()
def _forward(network: nn.Module, pictures: Picture, machine: Machine) -> Picture:
    """Encode and decode a batch (n, height, width, 3)."""
    pixels = machine.pixels(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    with machine.autocast():
        remade = network(pixels)
    return remade.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def pad_sides(picture: Picture) -> Picture:
    """Mirror right and bottom until both sides are multiples of `STRIDE`."""
    missing = [-side % STRIDE for side in picture.shape[:2]]
    return np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")


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
    rows = table[(table["label"] == 0) & ~table["broken"]].head(limit or len(table))
    if rows.empty:
        raise UserError("reconstruct: the data has no readable rows with label 0; give a folder with photos")
    if (out / "manifest.csv").exists():
        raise UserError(f"{out}: holds a manifest.csv already; give a new folder")
    machine = Machine.pick()
    network = machine.place(load_autoencoder(name))
    files.make_folder(out / "images")
    written: list[dict[str, Any]] = []
    jobs: dict[str, Job] = {}
    for pair, path, digest, source in zip(
        rows["id"], rows["path"], rows["digest"], rows["source"], strict=True
    ):
        names = [f"images/{digest}_{label}.jpg" for label in (0, 1)]
        if not all((out / name).is_file() for name in names):
            jobs[digest] = Job(path, 1, out / names[1], out / names[0])
        for label, file_name in enumerate(names):
            origin = f"reconstruction-{name}" if label else source
            written.append({"path": file_name, "label": label, "source": origin, "pair": pair})
    remake(network, list(jobs.values()), machine, "reconstructing", lambda: None)
    manifest = pd.DataFrame(written).drop_duplicates("path")
    files.write_csv(out / "manifest.csv", manifest)
    return manifest


def save_picture(path: Path, picture: Picture) -> None:
    """Write a picture whole, as PNG or as JPEG by its name."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix == ".jpg" else []
    done, data = cv2.imencode(path.suffix, picture[:, :, ::-1], quality)
    assert done, f"OpenCV lacks {path.suffix}"
    with files.whole_file(path) as scratch:
        scratch.write_bytes(data.tobytes())
