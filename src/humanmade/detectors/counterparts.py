"""Generated counterparts of the training photos, so that content cannot tell the classes apart.

Each photo, at several scales, is encoded and decoded by a latent autoencoder: a pair that differs in
the decoder's traces alone (DDA, Chen et al. 2025; AlignedForensics, Rajan et al. 2025). Some are mixed
with their photo, in pixels or in frequencies, so that weak traces count as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image, JpegImagePlugin
from torch import nn

from humanmade import cache
from humanmade.data.loader import read_picture
from humanmade.detectors.latent import counterpart, load_autoencoder
from humanmade.files import whole_file
from humanmade.images.corruptions import rescale
from humanmade.images.decode import Picture, open_picture
from humanmade.progress import progress
from humanmade.recipe import Recipe
from humanmade.seeding import sample, stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest
from humanmade.training.device import Machine

CODE_VERSION = 1
"""Raise when the same key would give other pictures."""

WEAKEST = 0.4
"""Least share of the reconstruction in a mixture."""


def extend(rows: pd.DataFrame, recipe: Recipe, weights: Path | None, budget: Budget) -> pd.DataFrame:
    """Add to training rows a pair for every photo and every scale of `recipe.counterparts`.

    Of more than `recipe.counterpart_photos` photos a fixed sample is taken. The pictures are made once and
    kept in the cache. New rows share their photo's group. Without `real_fakes` the pairs are all there is,
    so that both classes show the same content.

    Raises:
        UserError: the autoencoder's weights are nowhere.
        OutOfTimeError: the budget is used up; what was made is kept.
    """
    if not recipe.counterparts:
        return rows
    photos = rows[rows["label"] == 0]
    photos = photos[sample(photos["digest"].tolist(), recipe.counterpart_photos, "photo")]
    network: nn.Module = load_autoencoder(recipe.autoencoder, weights)
    key = f"{CODE_VERSION}-{recipe.autoencoder}-{digest(network)[:16]}-{recipe.counterpart_blend:g}"
    folder = cache.folder("counterparts") / key
    network = Machine.pick().place(network)
    made = [rows] if recipe.real_fakes else []
    for scale in recipe.counterparts:
        pairs = _pairs(photos, folder, scale)
        _make(photos, pairs, scale, recipe.counterpart_blend, network, budget)
        made.append(_compressed(photos, pairs, recipe.counterpart_compression, budget))
    return pd.concat(made, ignore_index=True)


def _pairs(photos: pd.DataFrame, folder: Path, scale: float) -> pd.DataFrame:
    """Rows of photos at a scale, and of their counterparts; at scale 1 the photo's own file serves."""
    sides = []
    for label in (0, 1):
        names = photos["digest"] + f"-{scale:g}-{label}"
        side = photos.assign(
            id=photos["id"] + f"#{scale:g}-{label}",
            path=[str(folder / f"{name}.png") for name in names],
            digest=[f"{name}-{folder.name}" for name in names],
            pair=photos["id"] + f"#{scale:g}",
            label=label,
        )
        if label:
            side["source"] = "counterparts"
        elif scale == 1:
            side = side.assign(path=photos["path"], digest=photos["digest"])
        sides.append(side)
    return pd.concat(sides)


def _make(
    photos: pd.DataFrame,
    pairs: pd.DataFrame,
    scale: float,
    blend: float,
    network: nn.Module,
    budget: Budget,
) -> None:
    machine, half = Machine.pick(), len(photos)
    jobs = [
        job
        for job in zip(photos["path"], pairs["path"][:half], pairs["path"][half:], strict=True)
        if not all(Path(path).is_file() for path in job[1:])
    ]
    for source, plain, remade in progress(jobs, f"counterparts at {scale:g}", "photos", len(jobs)):
        photo = read_picture(source)
        photo = rescale(photo, scale) if scale != 1 else photo
        rng = np.random.default_rng(stable_seed("counterpart", Path(remade).name))
        if plain != source:
            _save(Path(plain), photo)
        _save(Path(remade), _mixed(photo, counterpart(network, photo, machine), blend, rng))
        if budget.over:
            budget.stop()


def _compressed(photos: pd.DataFrame, pairs: pd.DataFrame, factor: float, budget: Budget) -> pd.DataFrame:
    """The pairs as files compressed like their photos; the counterparts' steps are multiplied by `factor`.

    At scale 1 the photo's own file serves; at other scales the photo is compressed once more, as it was.
    """
    if not factor:
        return pairs
    paths, digests, jobs = [], [], []
    own = pd.concat([photos["path"], photos["path"]])
    for lossless, name, label, original in zip(
        pairs["path"], pairs["digest"], pairs["label"], own, strict=True
    ):
        strength = factor if label else 1.0
        coded = Path(lossless).with_suffix(f".{strength:g}.coded")
        if lossless != original and not coded.is_file():
            jobs.append((coded, lossless, Path(original), strength))
        paths.append(original if lossless == original else str(coded))
        digests.append(name if lossless == original else f"{name}-{strength:g}")
    for path, lossless, photo, strength in progress(jobs, "compressing pairs", "pictures", len(jobs)):
        _save_like(path, read_picture(lossless), photo, strength)
        if budget.over:
            budget.stop()
    return pairs.assign(path=paths, digest=digests)


def _save_like(path: Path, picture: Picture, original: Path, factor: float) -> None:
    """Write a picture as the JPEG that another file is, with `factor` on its steps.

    A PNG if that file is none, or one whose components cannot be had alike (CMYK).
    """
    image = open_picture(original.read_bytes())
    shown = Image.fromarray(picture)
    options: dict[str, Any] = {}
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode in ("L", "RGB"):
        steps = [image.quantization[component[3]] for component in image.layer]
        options["qtables"] = [[min(255, max(1, round(step * factor))) for step in table] for table in steps]
        options["subsampling"] = JpegImagePlugin.get_sampling(image)
        shown = shown.convert(image.mode)
    with whole_file(path) as scratch:
        shown.save(scratch, "JPEG" if options else "PNG", **options)


def _mixed(photo: Picture, remade: Picture, blend: float, rng: np.random.Generator) -> Picture:
    """The reconstruction, or with chance `blend` a mixture of it with its photo."""
    drawn, share, in_pixels = rng.random(), rng.uniform(WEAKEST, 1), rng.random() < 0.5
    if drawn >= blend:
        return remade
    if in_pixels:
        mixed = share * remade + (1 - share) * photo.astype(np.float64)
    else:
        mixed = photo + _band(remade.astype(np.float64) - photo, share)
    return mixed.round().clip(0, 255).astype(np.uint8)


def _band(difference: np.ndarray, share: float) -> np.ndarray:
    """The lowest `share` of a difference's frequencies (height, width, 3) along each axis."""
    height, width = difference.shape[:2]
    spectrum = np.fft.rfft2(difference, axes=(0, 1))
    rows = np.abs(np.fft.fftfreq(height))[:, None, None] <= share / 2
    columns = np.fft.rfftfreq(width)[None, :, None] <= share / 2
    return np.fft.irfft2(spectrum * (rows & columns), s=(height, width), axes=(0, 1))


def _save(path: Path, picture: Picture) -> None:
    done, data = cv2.imencode(".png", picture[:, :, ::-1])
    assert done, "OpenCV lacks PNG"
    with whole_file(path) as scratch:
        scratch.write_bytes(data.tobytes())
