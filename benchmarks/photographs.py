"""JPEGs of given sizes, made from the photographs inside scikit-image and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from humanmade.images.decode import Picture

QUALITY = 90


def photographs() -> list[Picture]:
    """Photographs (height, width, 3) in colour."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    own = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    return [np.asarray(photo[..., :3], np.uint8) for photo in (*own, *load_sample_images().images)]


def write(folder: Path, width: int, height: int, count: int) -> pd.DataFrame:
    """Write `count` different JPEGs and give their rows, as `humanmade.data.manifest` and the inventory
    would."""
    photos, rows = photographs(), []
    for number in range(count):
        photo = photos[number % len(photos)]
        sized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_CUBIC)
        sized = np.roll(sized, 8 * (number // len(photos)), axis=1)
        path = folder / f"{width}x{height}-{number}.jpg"
        cv2.imwrite(str(path), sized[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        rows.append({"id": path.name, "path": str(path), "digest": path.stem})
    plain = dict.fromkeys(("source", "repo", "pair"), "")
    return pd.DataFrame(rows).assign(label=0, split="train", broken=False, **plain).assign(group=range(count))
