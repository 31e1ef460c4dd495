"""Pictures, folders and an environment that no test shares with the user's own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from PIL import Image

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny networks are faster on one thread, and several at once do not fight for the cores.
os.environ["OMP_NUM_THREADS"] = "1"

# Machines that run tests are busy; how long an example takes says nothing. Examples are the same at every
# start, as tests count how many reach their assertions; `make fuzz` and `make mutants` look for new ones.
hypothesis.settings.register_profile("kit", deadline=None, derandomize=True)
hypothesis.settings.load_profile("kit")

BENCH = Path(__file__).parents[2] / "shared" / "bench"

needs_bench = pytest.mark.skipif(not BENCH.is_dir(), reason="the shared benchmark is not here")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `cuda` run where there is such a GPU."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU, and there is none")


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own cache and working folder, and no weights but those of packages."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("HUMANMADE_CACHE", str(cache))
    monkeypatch.delenv("HUMANMADE_WEIGHTS", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


LIBC = ctypes.CDLL(None, use_errno=True)


def obeying() -> None:
    """In a child, before it begins: give up root's right to pass over permissions (`man 7 capabilities`)."""
    if os.geteuid() == 0:
        drop, override, read = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        if LIBC.prctl(drop, override, 0, 0, 0) or LIBC.prctl(drop, read, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture with structure at several scales, unlike any other seed's by its pHash."""
    rng = np.random.default_rng(seed)
    out = np.zeros((*size, 3))
    for cells in (3, 6, 12):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8)
        out += np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
    return (out / 3).astype(np.uint8)


def softened(picture: np.ndarray) -> np.ndarray:
    """The "generated" counterpart of a picture: half its resolution."""
    image = Image.fromarray(picture)
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return np.asarray(half.resize(image.size, Image.Resampling.NEAREST))


MakeFolder = Callable[..., Path]


@pytest.fixture
def manifest_folder(tmp_path: Path) -> MakeFolder:
    """Make a data folder with a manifest: pairs of scenes and their softened counterparts."""

    def make(
        name: str = "pictures",
        pairs: int = 12,
        test: int = 0,
        sources: Sequence[str] = (),
        first_seed: int = 0,
        **columns: list[str],
    ) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        rows = []
        for number in range(pairs + test):
            photo = scene(first_seed + number)
            split = "train" if number < pairs else "test"
            for label, picture in ((0, photo), (1, softened(photo))):
                path = f"images/{number:03}_{label}.png"
                Image.fromarray(picture).save(folder / path)
                row = {"path": path, "label": label, "split": split, "pair": f"p{number}"}
                if sources:
                    kind = "photo" if label == 0 else "gen"
                    row["source"] = f"{kind}-{sources[number % len(sources)]}"
                rows.append(row)
        table = pd.DataFrame(rows)
        for column, values in columns.items():
            table[column] = values
        table.to_csv(folder / "manifest.csv", index=False)
        return folder

    return make


@pytest.fixture
def competition_folder(tmp_path: Path) -> MakeFolder:
    """Make a folder in the competition's exact layout, CRLF included."""

    def make(name: str = "competition", pairs: int = 12, test: int = 6) -> Path:
        return write_competition(tmp_path / name, pairs, test)

    return make


def write_competition(folder: Path, pairs: int, test: int) -> Path:
    """Write the competition's layout; every other test picture is generated, beginning with the first."""
    (folder / "train_data").mkdir(parents=True)
    (folder / "test_data_v2").mkdir()
    lines = [",file_name,label"]
    for number in range(pairs):
        photo = scene(number)
        for label in (0, 1) if number % 2 else (1, 0):
            path = f"train_data/{number * 2 + label:032x}.jpg"
            Image.fromarray(photo if label == 0 else softened(photo)).save(folder / path, quality=92)
            lines.append(f"{len(lines) - 1},{path},{label}")
    (folder / "train.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode())
    ids = []
    for number in range(test):
        ids.append(f"test_data_v2/{(7919 * number) % 10007:032x}.jpg")
        photo = scene(1000 + number)
        shown = photo if number % 2 else softened(photo)
        Image.fromarray(shown).save(folder / ids[-1], quality=92)
    (folder / "test.csv").write_bytes(("\r\n".join(["id", *ids]) + "\r\n").encode())
    return folder


TINY_NETWORK = """
detector = "network"
backbone = "test_efficientnet"
pretrained = false
image_size = 32
epochs = 2
batch_size = 8
folds = 3
workers = 0
precision = "fp32"
ema = 0.5
drop_rate = 0.2

[augment]
chain = 1
"""

TINY_PROBE = """
detector = "probe"
backbone = "test_efficientnet"
pretrained = false
image_size = 32
folds = 3
workers = 0
precision = "fp32"
shrinkage = [0.01]
"""


@pytest.fixture
def tiny_network(tmp_path: Path) -> Path:
    """A recipe that trains in about a second, with dropout, averaging and augmentation on."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_NETWORK)
    return path


@pytest.fixture
def tiny_probe(tmp_path: Path) -> Path:
    """A probe on a tiny random backbone."""
    path = tmp_path / "tinyprobe.toml"
    path.write_text(TINY_PROBE)
    return path


@pytest.fixture
def autoencoder_weights(random_autoencoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of the latent autoencoder, where weights are looked for."""
    monkeypatch.setenv("HUMANMADE_WEIGHTS", str(random_autoencoder))
    return random_autoencoder


@pytest.fixture(scope="session")
def random_autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from safetensors.torch import save_file

    from humanmade.detectors.autoencoder import LatentAutoencoder

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = LatentAutoencoder()
    for half in ("encoder", "decoder"):
        save_file(getattr(network, half).state_dict(), folder / f"taef2_{half}.safetensors")
    return folder
