import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from humanmade import places
from humanmade.commands import main
from humanmade.data.loader import read_picture
from humanmade.detectors import latent
from humanmade.errors import UserError
from humanmade.training.device import Machine
from tests.conftest import BENCH, MakeFolder, needs_bench, scene

MACHINE = Machine(torch.device("cpu"), torch.float32)


@needs_bench
def test_the_pretrained_one_reconstructs_photos():
    with places.weights_in(BENCH.parent / "weights"):
        network = latent.load_autoencoder("taef2")
    table = pd.read_csv(BENCH / "train/manifest.csv")
    quality = []
    for path in table.loc[table["label"] == 0, "path"][:6]:
        photo = read_picture(str(BENCH / "train" / path))
        (shown,) = latent.reconstructed(network, [photo], MACHINE)
        quality.append(cv2.PSNR(photo, shown))
    assert np.mean(quality) > 27


def test_counterparts_keep_any_size_alone_and_in_company(
    autoencoder_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    network = latent.load_autoencoder("taef2")
    shapes = [(40, 48), (33, 57), (39, 47), (7, 9), (40, 48)]
    pictures = [scene(number, shape) for number, shape in enumerate(shapes)]
    alone = [latent.reconstructed(network, [picture], MACHINE)[0] for picture in pictures]
    assert [picture.shape for picture in alone] == [(*shape, 3) for shape in shapes]
    assert all(picture.dtype == np.uint8 for picture in alone)
    monkeypatch.setattr(latent, "PIXELS", 2 * 40 * 48)
    batches: list[int] = []
    forward = latent._forward
    monkeypatch.setattr(latent, "_forward", lambda n, p, m: (batches.append(len(p)), forward(n, p, m))[1])
    together = latent.reconstructed(network, pictures, MACHINE)
    assert batches == [2, 1, 1, 1], "three pictures are padded to one size, two fit into a batch"
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(alone, together, strict=True))


def test_bytes_hang_neither_on_threads_nor_on_company(
    autoencoder_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine = Machine(torch.device("cpu"), torch.bfloat16)
    network = machine.place(latent.load_autoencoder("taef2"))
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(photos):
        latent.save_picture(path, scene(number, (64, 96)))
    threads: set[int] = set()
    forward = latent._forward
    monkeypatch.setattr(
        latent, "_forward", lambda *args: (threads.add(torch.get_num_threads()), forward(*args))[1]
    )

    def make(name: str, chosen: list[Path]) -> bytes:
        jobs = [latent.Job(str(path), 1, tmp_path / f"{name}-{path.name}") for path in chosen]
        latent.remake(network, jobs, machine, "made", lambda: None)
        return jobs[-1].made.read_bytes()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert make("many", photos) == make("few", photos[-1:])
        assert threads == {1} and torch.get_num_threads() == 2, "what comes after has its threads back"
    finally:
        torch.set_num_threads(before)


def test_latents_are_eight_times_smaller(autoencoder_weights: Path):
    network = latent.load_autoencoder("taef2")
    latents = network.encode(torch.rand(2, 3, 64, 48))
    assert latents.shape == (2, 32, 8, 6)
    shown = network.decode(latents)
    assert shown.shape == (2, 3, 64, 48) and shown.min() >= 0 and shown.max() <= 1


@pytest.mark.parametrize(("channels", "branched"), [(4, False), (16, False), (32, True)])
def test_its_shape_is_read_off_its_weights(channels: int, branched: bool, tmp_path: Path):
    made = latent.LatentAutoencoder(channels, branched).eval()
    for half in ("encoder", "decoder"):
        save_file(getattr(made, half).state_dict(), tmp_path / f"own_{half}.safetensors")
    with places.weights_in(tmp_path):
        network = latent.load_autoencoder("own")
    pixels = torch.rand(1, 3, 32, 24)
    assert network.encode(pixels).shape == (1, channels, 4, 3)
    assert torch.equal(network(pixels), made(pixels))


def test_absent_or_other_weights_are_refused(autoencoder_weights: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"no other_encoder\.safetensors; put it"):
        latent.load_autoencoder("other")
    shutil.copy(autoencoder_weights / "taef2_encoder.safetensors", tmp_path)
    save_file({"0.weight": torch.zeros(1)}, tmp_path / "taef2_decoder.safetensors")
    refused = pytest.raises(UserError, match=r"taef2_decoder\.safetensors: do not fit \(KeyError")
    with places.weights_in(tmp_path), refused:
        latent.load_autoencoder("taef2")


def test_the_verb_writes_pairs_and_goes_on(autoencoder_weights: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=4, sources=["a"])
    command = ["reconstruct", str(folder), "out", "--weights", str(autoencoder_weights)]
    assert main([*command, "--limit", "2"]) == 0
    first = {path.name: path.stat().st_mtime_ns for path in Path("out/images").iterdir()}
    assert len(first) == 4
    assert main(command) == 2 and "manifest.csv already" in capsys.readouterr().err
    Path("out/manifest.csv").unlink()
    assert main(command) == 0
    table = pd.read_csv("out/manifest.csv")
    assert len(table) == 8 and (table.groupby("pair")["label"].apply(sorted).map(tuple) == (0, 1)).all()
    assert set(table["source"]) == {"photo-a", "reconstruction-taef2"}
    kept = {path.name: path.stat().st_mtime_ns for path in Path("out/images").iterdir()}
    assert all(kept[name] == stamp for name, stamp in first.items()), "what was written is kept"
    sizes = [read_picture(f"out/{path}").shape for path in table["path"]]
    assert set(sizes) == {(48, 64, 3)}
