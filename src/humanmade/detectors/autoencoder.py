"""A pretrained image autoencoder, and what pictures become that it encodes and decodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from humanmade.errors import UserError
from humanmade.images.decode import Picture
from humanmade.pretrained import HALVES, folders, half_file
from humanmade.training.device import Machine

STRIDE = 8
"""Pixels a latent position stands for."""

PIXELS = 2**21
"""Most pixels that go through at once, about 2 GB of activations; larger pictures go in tiles."""

OVERLAP = 128
"""Pixels that a tile sees of its neighbours, which show the network what lies beyond its edges."""


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


def reconstructed(network: nn.Module, pictures: Sequence[Picture], machine: Machine) -> list[Picture]:
    """Encode and decode pictures of any sizes; those of one padded size go together."""
    padded = [pad_sides(picture) for picture in pictures]
    made: dict[int, Picture] = {}
    for shape in dict.fromkeys(picture.shape for picture in padded):
        alike = [number for number, picture in enumerate(padded) if picture.shape == shape]
        together = PIXELS // (shape[0] * shape[1])
        if not together:
            made |= {number: _by_tiles(network, padded[number], machine) for number in alike}
            continue
        for start in range(0, len(alike), together):
            chosen = alike[start : start + together]
            made |= zip(
                chosen, _forward(network, np.stack([padded[n] for n in chosen]), machine), strict=True
            )
    return [made[n][: picture.shape[0], : picture.shape[1]] for n, picture in enumerate(pictures)]


def _by_tiles(network: nn.Module, picture: Picture, machine: Machine) -> Picture:
    """Encode and decode a picture (height, width, 3) that is too large to go through as a whole."""
    core = (math.isqrt(PIXELS) - 2 * OVERLAP) // STRIDE * STRIDE
    made = np.empty_like(picture)
    for top in range(0, picture.shape[0], core):
        for left in range(0, picture.shape[1], core):
            above, before = max(0, top - OVERLAP), max(0, left - OVERLAP)
            seen = picture[above : top + core + OVERLAP, before : left + core + OVERLAP]
            (tile,) = _forward(network, seen[None], machine)
            inner = tile[top - above : top - above + core, left - before : left - before + core]
            made[top : top + core, left : left + core] = inner
    return made


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
