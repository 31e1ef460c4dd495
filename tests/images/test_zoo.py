"""Every picture of the zoo has the outcome that the documents promise, wherever it is read."""

import fnmatch
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from humanmade.data import inventory, manifest, named_pictures
from humanmade.errors import UserError
from humanmade.images.decode import decode
from tests.conftest import obeying
from tests.images import zoo

READ, NOTE, LEFT_OUT = "read", "read, and counted as cut off", "left out"
CUT = "cut off: less than 90% of it can be decoded"
UNKNOWN = "cannot identify image file"

OUTCOMES = {
    "whole-*": READ,
    "wrong-ending.*": READ,
    "trailing.jpg": READ,
    "several.jpg": READ,
    "restarts.jpg": READ,
    "last-bits-*": READ,
    "animated.*": READ,
    "end-*": NOTE,
    "cut-baseline-*": CUT,
    "cut-progressive-*": CUT,
    "cut-thumbnail.jpg": CUT,
    "cut-png-*": "image file is truncated",
    "cut-gif-*": "image file is truncated",
    "cut-bmp-*": "image file is truncated",
    "cut-tiff-*": "image file is truncated",
    "cut-lzw-*": f"{UNKNOWN}|decoder error",
    "cut-webp-*": "could not create decoder object",
    "cut-avif-*": f"{UNKNOWN}|Failed to decode",
    "size-1x*": READ,
    "bomb.*": r"[\d,]+ pixels",
    "bomb-smaller.png": "120,000,000 pixels, more than 100,000,000",
    "bomb-text.png": "Decompressed data too large",
    "grey-16.png": READ,
    "rgb-16.*": READ,
    "mode-*": READ,
    "cmyk-*": READ,
    "palette-*": READ,
    "profile*.jpg": READ,
    "float-*": READ,
    "exif-*": READ,
    "empty.jpg": "the file is empty",
    "archive.jpg": UNKNOWN,
    "text.png": UNKNOWN,
    "page.jpg": UNKNOWN,
    "drawing.png": UNKNOWN,
    "postscript.jpg": UNKNOWN,
    "icon.png": UNKNOWN,
    "zeros.jpg": UNKNOWN,
    "stub.jpg": "Truncated File Read|truncated",
    "link-absolute.jpg": READ,
    "link-up.jpg": READ,
    "link-nowhere.jpg": LEFT_OUT,
    "link-loop.jpg": LEFT_OUT,
    "link-long.jpg": LEFT_OUT,
    "folder.jpg": LEFT_OUT,
    "folder.jpg/inside.png": READ,
    "pipe.jpg": LEFT_OUT,
    "locked.png": "Permission denied",
}
"""What becomes of each file: read, left out of folders, or refused with words that this finds."""

VISIT = """
import json, sys
from pathlib import Path

from humanmade.data import folders, inventory
from humanmade.data.loader import read_picture
from humanmade.errors import UserError
from humanmade.images.decode import decode

def loaded(path):
    try:
        picture = read_picture(path)
    except UserError as error:
        return str(error), [], False
    return "", picture.shape, (picture == decode(Path(path).read_bytes())).all().item()

folder = Path(sys.argv[1])
names = folders.pictures(folder)
facts = inventory.survey([str(folder / name) for name in names])[["error", "truncated", "width", "height"]]
loads = [loaded(str(folder / name)) for name in names]
# Not ru_maxrss, which begins with what the process that started this one held.
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
seen = {name: [*fact, *load] for name, fact, load in zip(names, facts.values.tolist(), loads)}
print(json.dumps({"peak": peak, "seen": seen}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zoo") / "zoo"
    zoo.make(path)
    return path


@pytest.fixture(scope="module")
def visit(folder: Path) -> dict[str, Any]:
    """What one process finds in the whole zoo: its peak of memory, and of each file what was seen."""
    env = {**os.environ, "HUMANMADE_CACHE": str(folder.parent / "cache")}
    command = [sys.executable, "-c", VISIT, str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, preexec_fn=obeying)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def read(visit: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that this process can read; the inventory is known then."""
    monkeypatch.setenv("HUMANMADE_CACHE", str(folder.parent / "cache"))
    ours = {"locked.png"} if os.access(folder / "locked.png", os.R_OK) else set()  # root's, here
    return [name for name, (error, *_) in visit["seen"].items() if not error or name in ours]


def test_every_file_has_its_one_documented_outcome(folder: Path):
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    matches = {name: [kind for kind in OUTCOMES if fnmatch.fnmatchcase(name, kind)] for name in names}
    assert len(names) > 150 and {len(kinds) for kinds in matches.values()} == {1}, matches
    unused = set(OUTCOMES) - {kinds[0] for kinds in matches.values()}
    assert unused == (set() if zoo.AVIF else {"cut-avif-*"})


@pytest.mark.parametrize("kind", OUTCOMES)
def test_outcomes(visit: dict[str, Any], kind: str):
    seen = {name: facts for name, facts in visit["seen"].items() if fnmatch.fnmatchcase(name, kind)}
    assert bool(seen) == (OUTCOMES[kind] != LEFT_OUT) or (kind == "cut-avif-*" and not zoo.AVIF)
    for name, (error, truncated, width, height, refusal, shape, same) in seen.items():
        if OUTCOMES[kind] in (READ, NOTE):
            assert not error and bool(truncated) == (OUTCOMES[kind] == NOTE), (name, error)
            assert shape == [int(height), int(width), 3] and same, f"{name}: both decoders agree"
        else:
            assert re.search(OUTCOMES[kind], error), (name, error)
            assert error in refusal and name in refusal, f"{name}: the loader says the same"


def test_the_whole_zoo_takes_less_than_a_gigabyte(visit: dict[str, Any]):
    assert visit["peak"] < 1_000_000, "kilobytes"


def test_a_run_over_the_zoo_names_what_it_refuses(read: list[str], folder: Path, capsys):
    table = manifest.load([folder])
    with pytest.raises(UserError, match=r"pictures cannot be read; repair them(.|\n)+cut-[a-z]+-1"):
        inventory.attach(table)
    left = inventory.attach(table, skip_broken=True)
    notes = [name for name in read if fnmatch.fnmatchcase(name, "end-*")]
    assert f"{len(notes)} JPEGs end too early" in capsys.readouterr().err
    assert left.loc[~left["broken"], "id"].tolist() == read


def test_predicting_the_zoo_names_what_it_skips(read: list[str], folder: Path, capsys):
    rows = named_pictures.rows([folder, folder / "pipe.jpg", "long" * 100])
    assert rows["id"].tolist() == [str(folder / name) for name in read]
    said = capsys.readouterr().err
    assert f"{folder / 'cut-baseline-900.jpg'}: skipped ({CUT})" in said
    assert f"{folder / 'pipe.jpg'}: skipped (no such file)" in said and "longlong: skipped" in said


def test_orientations_are_those_of_pillow():
    files = zoo.files()
    for turn in range(1, 9):
        stored = Image.open(io.BytesIO(files[f"exif-{turn}.jpg"]))
        assert (decode(files[f"exif-{turn}.jpg"]) == np.asarray(ImageOps.exif_transpose(stored))).all()
        assert (np.asarray(stored) == decode(files["exif-1.jpg"])).all()


def test_animations_show_their_first_frame():
    for name, data in zoo.files().items():
        if name.startswith("animated."):
            assert np.abs(decode(data).astype(float) - zoo.SMALL).mean() < 6, name


def test_holes_in_floating_point_leave_the_rest_as_it_is():
    files = zoo.files()
    some, infinite = (decode(files[f"float-{name}.tif"])[..., 0] for name in ("some-nan", "infinite"))
    assert not decode(files["float-all-nan.tif"]).any()
    assert not some[::2, ::3].any() and some.max() == 255
    assert len(np.unique(infinite)) > 200 and infinite[0, :2].tolist() == [255, 0]
