"""The embedded demo: a miniature of the competition, made from photographs that packages ship.

A "generated" picture is its photo brought down and up again by a simple up-sampler: one kind in
train, others in test. So a detector that is nearly perfect on its folds does worse on the test,
as in the competition. It shows the plumbing and that lesson, and nothing about real generators.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from humanmade import competition, files
from humanmade.errors import UserError
from humanmade.images.corruptions import rescale, resize
from humanmade.images.decode import Picture, decode
from humanmade.seeding import stable_seed

VERSION = f"demo-1-{competition.CURRENT.slug}"
"""Name of the demo's folder in the cache; raise it when the pictures change."""

HIDDEN = "hidden"
"""Folder below the demo that holds the test pictures with their labels, for `evaluate` only."""

TRAIN_PHOTOS = (
    "astronaut.png", "camera.png", "chelsea.png", "china.jpg", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "ihc.png", "motorcycle_left.png", "motorcycle_right.png", "page.png", "rocket.jpg",
)  # fmt: skip
TEST_PHOTOS = ("brick.png", "cell.png", "clock_motion.png", "flower.jpg", "moon.png", "retina.jpg")
SCENES = {"motorcycle_right.png": "motorcycle_left.png"}
"""Photographs of a scene that another one shows too."""

TRAIN_CROPS, TEST_CROPS = 10, 8
TRAIN_SIZE, TEST_PHOTO_SIZE, TEST_FAKE_SIZE = (160, 128), (200, 150), (160, 160)
"""Width and height in pixels: as in the competition, test photos and fakes differ in size."""


def _through(small: float, up: int) -> Callable[[Picture], Picture]:
    """An up-sampler: area averaging by a factor, then back up by an interpolation."""

    def reconstruct(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        return resize(rescale(picture, small, cv2.INTER_AREA), height, width, up)

    return reconstruct


def _sharpened(picture: Picture) -> Picture:
    """Up-sampled, then with an unsharp mask as generators' decoders often look."""
    soft = _through(0.5, cv2.INTER_CUBIC)(picture)
    return np.asarray(cv2.addWeighted(soft, 2.2, cv2.GaussianBlur(soft, (0, 0), 1.5), -1.2, 0), np.uint8)


TRAIN_GENERATOR = _through(0.4, cv2.INTER_LINEAR)
TEST_GENERATORS: dict[str, Callable[[Picture], Picture]] = {
    "nearest": _through(0.5, cv2.INTER_NEAREST),
    "sharpened": _sharpened,
    "slight": _through(0.8, cv2.INTER_LANCZOS4),
}


def make(folder: Path) -> Path:
    """Write the demo competition into a new folder, in the competition's own layout.

    Beside it, `hidden/` holds the test pictures with labels and sources, for `evaluate`.

    Raises:
        UserError: the folder exists, or the packages that ship the photographs are missing.
    """
    if folder.exists():
        raise UserError(f"{folder}: exists; give a new folder for the demo")
    photos = _photographs()
    files.make_folder(folder.parent)
    try:
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another place") from None
    try:
        _write_train(scratch, photos)
        _write_test(scratch, photos)
        scratch.chmod(0o755)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _photographs() -> dict[str, Picture]:
    """The photographs inside the wheels of scikit-image and scikit-learn."""
    folders = []
    for package, below in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise UserError(f"the demo needs the photographs of {package}; pip install 'humanmade[demo]'")
        folders.append(Path(spec.origin).parent / below)
    photos = {}
    for name in (*TRAIN_PHOTOS, *TEST_PHOTOS):
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            raise UserError(f"the demo's photograph {name} is not in {folders[0]} or {folders[1]}")
        photos[name] = decode(path.read_bytes())
    return photos


def _write_train(folder: Path, photos: dict[str, Picture]) -> None:
    contest = competition.CURRENT
    pictures = folder / contest.pictures[0]
    pictures.mkdir(parents=True)
    rows, groups = [], []
    for photo, index, crop in _crops(photos, TRAIN_PHOTOS, TRAIN_CROPS, TRAIN_SIZE):
        pair = [(0, crop), (1, TRAIN_GENERATOR(crop))]
        # Which of the two comes first varies, as in the competition.
        for label, picture in pair if stable_seed("order", photo, index) % 2 else pair[::-1]:
            name = f"{contest.pictures[0]}/{_save(pictures, picture, 90, photo, index, label)}"
            rows.append((name, label))
            groups.append((name, SCENES.get(photo, photo)))
    train = pd.DataFrame(rows, columns=list(contest.train_columns))
    files.write_text(folder / contest.train_table, train.to_csv(lineterminator="\n"))
    files.write_csv(folder / competition.GROUPS, pd.DataFrame(groups, columns=["id", "group"]))


def _write_test(folder: Path, photos: dict[str, Picture]) -> None:
    contest = competition.CURRENT
    pictures = folder / contest.pictures[1]
    pictures.mkdir()
    rows = []
    for photo, index, crop in _crops(photos, TEST_PHOTOS, TEST_CROPS, TEST_PHOTO_SIZE):
        # Half of the photos were brought down once, as on their way through the web.
        shown = _through(0.9, cv2.INTER_CUBIC)(crop) if index % 2 else crop
        rows.append((_save(pictures, shown, 93, photo, index, 0), 0, "photos"))
    for photo, index, crop in _crops(photos, TEST_PHOTOS, TEST_CROPS, TEST_FAKE_SIZE):
        source = list(TEST_GENERATORS)[index % len(TEST_GENERATORS)]
        fake = TEST_GENERATORS[source](crop)
        rows.append((_save(pictures, fake, 93, photo, index, 1), 1, source))
    rows.sort()
    shutil.copytree(pictures, folder / HIDDEN / "images")
    ids = [f"{contest.pictures[1]}/{name}" for name, _, _ in rows]
    files.write_csv(folder / contest.test_table, pd.DataFrame({contest.test_column: ids}))
    table = pd.DataFrame(rows, columns=["path", "label", "source"])
    files.write_csv(folder / HIDDEN / "manifest.csv", table.assign(path="images/" + table["path"]))


def _crops(
    photos: dict[str, Picture], names: tuple[str, ...], count: int, size: tuple[int, int]
) -> Iterator[tuple[str, int, Picture]]:
    """Cut `count` places out of each photograph: its name, a number, and the crop."""
    width, height = size
    for name in names:
        photo = photos[name]
        rng = np.random.default_rng(stable_seed("demo", name, size))
        for index in range(count):
            top = int(rng.integers(0, photo.shape[0] - height + 1))
            left = int(rng.integers(0, photo.shape[1] - width + 1))
            yield name, index, np.ascontiguousarray(photo[top : top + height, left : left + width])


def _save(folder: Path, picture: Picture, quality: int, *key: object) -> str:
    """Write a JPEG under 32 hexadecimal digits that tell nothing, and return its name."""
    name = hashlib.sha256("/".join(map(str, key)).encode()).hexdigest()[:32] + ".jpg"
    Image.fromarray(picture).save(folder / name, "JPEG", quality=quality)
    return name
