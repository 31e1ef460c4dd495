import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from humanmade import places
from humanmade.data.loader import read_picture
from humanmade.detectors import autoencoder
from humanmade.errors import UserError
from humanmade.training.device import Machine
from tests.conftest import BENCH, needs_bench, scene

MACHINE = Machine(torch.device("cpu"), torch.float32)


@needs_bench
def test_the_pretrained_one_reconstructs_photos():
    with places.weights_in(BENCH.parent / "weights"):
        network = autoencoder.load_autoencoder("taef2")
    table = pd.read_csv(BENCH / "train/manifest.csv")
    quality = []
    for path in table.loc[table["label"] == 0, "path"][:6]:
        photo = read_picture(str(BENCH / "train" / path))
        (shown,) = autoencoder.reconstructed(network, [photo], MACHINE)
        quality.append(cv2.PSNR(photo, shown))
    assert np.mean(quality) > 27


def test_counterparts_keep_any_size_alone_and_in_company(
    autoencoder_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    network = autoencoder.load_autoencoder("taef2")
    shapes = [(40, 48), (33, 57), (39, 47), (7, 9), (40, 48)]
    pictures = [scene(number, shape) for number, shape in enumerate(shapes)]
    alone = [autoencoder.reconstructed(network, [picture], MACHINE)[0] for picture in pictures]
    assert [picture.shape for picture in alone] == [(*shape, 3) for shape in shapes]
    assert all(picture.dtype == np.uint8 for picture in alone)
    monkeypatch.setattr(autoencoder, "PIXELS", 2 * 40 * 48)
    batches: list[int] = []
    forward = autoencoder._forward
    monkeypatch.setattr(
        autoencoder, "_forward", lambda n, p, m: (batches.append(len(p)), forward(n, p, m))[1]
    )
    together = autoencoder.reconstructed(network, pictures, MACHINE)
    assert batches == [2, 1, 1, 1], "three pictures are padded to one size, two fit into a batch"
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(alone, together, strict=True))


def test_latents_are_eight_times_smaller(autoencoder_weights: Path):
    network = autoencoder.load_autoencoder("taef2")
    latents = network.encode(torch.rand(2, 3, 64, 48))
    assert latents.shape == (2, 32, 8, 6)
    shown = network.decode(latents)
    assert shown.shape == (2, 3, 64, 48) and shown.min() >= 0 and shown.max() <= 1


@pytest.mark.parametrize(("channels", "branched"), [(4, False), (16, False), (32, True)])
def test_its_shape_is_read_off_its_weights(channels: int, branched: bool, tmp_path: Path):
    made = autoencoder.LatentAutoencoder(channels, branched).eval()
    for half in ("encoder", "decoder"):
        save_file(getattr(made, half).state_dict(), tmp_path / f"own_{half}.safetensors")
    with places.weights_in(tmp_path):
        network = autoencoder.load_autoencoder("own")
    pixels = torch.rand(1, 3, 32, 24)
    assert network.encode(pixels).shape == (1, channels, 4, 3)
    assert torch.equal(network(pixels), made(pixels))


def test_absent_or_other_weights_are_refused(autoencoder_weights: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"no other_encoder\.safetensors; put it"):
        autoencoder.load_autoencoder("other")
    shutil.copy(autoencoder_weights / "taef2_encoder.safetensors", tmp_path)
    save_file({"0.weight": torch.zeros(1)}, tmp_path / "taef2_decoder.safetensors")
    refused = pytest.raises(UserError, match=r"taef2_decoder\.safetensors: do not fit \(KeyError")
    with places.weights_in(tmp_path), refused:
        autoencoder.load_autoencoder("taef2")


def test_a_large_picture_goes_in_tiles_that_see_beyond_their_edges(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    network = autoencoder.LatentAutoencoder(4, branched=False).eval()
    picture = scene(1, (203, 310))
    (whole,) = autoencoder.reconstructed(network, [picture], MACHINE)
    monkeypatch.setattr(autoencoder, "PIXELS", 256 * 256)
    monkeypatch.setattr(autoencoder, "OVERLAP", 64)
    assert picture.shape[0] * picture.shape[1] < 256 * 256, "still as a whole"
    assert (autoencoder.reconstructed(network, [picture], MACHINE)[0] == whole).all()
    monkeypatch.setattr(autoencoder, "PIXELS", 200 * 200)
    tiles: list[tuple[int, ...]] = []
    forward = autoencoder._forward
    monkeypatch.setattr(autoencoder, "_forward", lambda n, p, m: (tiles.append(p.shape), forward(n, p, m))[1])
    small = scene(2, (40, 48))
    tiled, untouched = autoencoder.reconstructed(network, [picture, small], MACHINE)
    assert len(tiles) == 3 * 5 + 1 and max(height * width for _, height, width, _ in tiles) <= 200 * 200
    assert tiled.shape == whole.shape and np.abs(tiled.astype(int) - whole).max() <= 1
    assert (untouched == autoencoder.reconstructed(network, [small], MACHINE)[0]).all()
