"""Generated counterparts of the training photos, so that content cannot tell the classes apart.

Each photo, at several scales, is encoded and decoded by a latent autoencoder: a pair that differs in
the decoder's traces alone (DDA, Chen et al. 2025; AlignedForensics, Rajan et al. 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import files, places
from humanmade.data.loader import draw_keys
from humanmade.detectors.latent import Job, load_autoencoder, remake
from humanmade.schema import Counterparts
from humanmade.seeding import sample, stable_seed
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import digest
from humanmade.training.device import Machine

CODE_VERSION = 3
"""Raise when the same key would give other pictures."""

MADE = "counterparts"
"""Source of the rows made here."""


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
        plain, remade = (_side(photos, folder, scale, label) for label in (0, 1))
        if _jobs(photos, plain, remade, scale):
            with files.held(folder, "making counterparts", budget.check):
                jobs = _jobs(photos, plain, remade, scale)
                remake(placed, jobs, machine, f"counterparts at {scale:g}", budget.check)
        made += [plain, remade]
    return pd.concat(made, ignore_index=True)


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


def _jobs(photos: pd.DataFrame, plain: pd.DataFrame, remade: pd.DataFrame, scale: float) -> list[Job]:
    """The pictures of both sides that are not there yet."""
    paths = zip(photos["path"], plain["path"], remade["path"], strict=True)
    return [
        Job(source, scale, Path(made), Path(beside) if beside != source else None)
        for source, beside, made in paths
        if not (Path(beside).is_file() and Path(made).is_file())
    ]
