"""Pretrained weights as private datasets."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from humanmade import places, pretrained
from humanmade.errors import UserError
from humanmade.kaggle import weights
from humanmade.kaggle.weights import dataset
from tests.kaggle.conftest import Kit
from tests.kaggle.standin import Dataset, StandIn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "weights"
    place.mkdir()
    save_file({"x": torch.ones(5)}, place / "resnet18.safetensors")
    for half in ("encoder", "decoder"):
        save_file({"x": torch.ones(3)}, place / f"taef2_{half}.safetensors")
    return place


def test_weights_become_private_datasets_and_then_versions(kit: Kit, standin: StandIn, folder: Path):
    said = kit("weights", "push", "resnet18", "--weights", folder)
    assert "resnet18: ready in tester/humanmade-weights-resnet18" in said
    pushed = standin.datasets["tester/humanmade-weights-resnet18"]
    assert pushed.private and pushed.files == {
        "resnet18.safetensors": (folder / "resnet18.safetensors").read_bytes()
    }
    # Just after a new version Kaggle still shows the one before as ready.
    standin.new_dataset_statuses = ["READY", "BLOBS_RECEIVED", "READY"]
    kit("weights", "push", "resnet18", "taef2", "--weights", folder)
    versioned = standin.datasets["tester/humanmade-weights-resnet18"]
    assert versioned.version == 2 and versioned.statuses == ["READY"]
    halves = {"taef2_encoder.safetensors", "taef2_decoder.safetensors"}
    assert set(standin.datasets["tester/humanmade-weights-taef2"].files) == halves


def test_weights_that_did_not_arrive_are_no_success(kit: Kit, standin: StandIn, folder: Path):
    standin.fail("PUT taef2_decoder.safetensors", 500, times=99)
    line = kit("weights", "push", "taef2", "--weights", folder, "--patience", "1", code=3)
    assert "upload taef2: the upload failed; try again later" in line and not standin.datasets


def test_weights_that_are_nowhere_or_damaged(kit: Kit, standin: StandIn, folder: Path):
    (folder / "resnet18.safetensors").write_bytes(b"cut")
    with places.weights_in(folder), pytest.raises(UserError, match="damaged weights"):
        weights.find("resnet18")
    assert "'nonsense' is not in timm" in kit("weights", "push", "nonsense", "--weights", folder, code=2)
    assert standin.calls == []


def test_a_push_needs_its_weights_ready(kit: Kit, standin: StandIn):
    push = ("push", "train", "--recipe", "probe_dinov2_s")
    assert "humanmade weights push --recipe probe_dinov2_s uploads" in kit(*push, code=2)
    name = "tester/humanmade-weights-vit-small-patch14-dinov2"
    standin.datasets[name] = Dataset({}, statuses=["BLOBS_RECEIVED"])
    assert f"dataset {name}: is blobs_received" in kit(*push, code=2)
    standin.datasets[name] = Dataset({})
    kit(*push)
    kit(*push, "--attach", "friend/weights")
    attached = [asked["datasetDataSources"] for method, asked in standin.calls if method == "SaveKernel"]
    assert attached[0][1:] == [name] and attached[1][1:] == [name, "friend/weights"]


def test_attached_weights_may_stand_for_those_that_were_not_uploaded(kit: Kit, standin: StandIn):
    kit("push", "train", "--recipe", "probe_dinov2_s", "--attach", "friend/weights")
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert asked["datasetDataSources"][1:] == ["friend/weights"]


def test_the_forecasts_weights_are_attached_where_they_are(kit: Kit, standin: StandIn):
    push = ("push", "train", "--recipe", "spectrum")
    lites = "tester/humanmade-weights-tf-efficientnet-lite0"
    warned = kit(*push, shown="stderr")
    assert "warning: the forecast goes without tf_efficientnet_lite0, not among your datasets" in warned
    assert "humanmade weights push tf_efficientnet_lite0 uploads" in warned
    standin.datasets[lites] = Dataset({})
    warned = kit(*push, "--attach-model", "timm/vit/pyTorch/base/1", shown="stderr")
    assert (
        warned.count("warning") == 1
        and "version 1 of tester/humanmade-train-spectrum was not pulled" in warned
    )
    first, second = (asked for method, asked in standin.calls if method == "SaveKernel")
    assert first["datasetDataSources"][1:] == [] and second["datasetDataSources"][1:] == [lites]
    assert second["modelDataSources"] == ["timm/vit/pyTorch/base/1"]
    assert "expected owner/model/framework" in kit(*push, "--attach-model", "timm/vit", code=2)


def test_all_that_a_recipe_and_its_forecast_need(kit: Kit, standin: StandIn, folder: Path):
    shutil.copy(folder / "resnet18.safetensors", folder / "vit_small_patch14_dinov2.safetensors")
    shutil.copy(folder / "resnet18.safetensors", folder / "tf_efficientnet_lite0.safetensors")
    kit("weights", "push", "--recipe", "probe_dinov2_s", "--weights", folder)
    wanted = ("vit-small-patch14-dinov2", "tf-efficientnet-lite0")
    assert list(standin.datasets) == [f"tester/humanmade-weights-{name}" for name in wanted]
    assert "name weights, or a recipe" in kit("weights", "push", code=2)


def test_an_autoencoder_is_taken_from_diffusers_layout(random_autoencoder: Path, tmp_path: Path):
    halves = {half: load_file(random_autoencoder / f"taef2_{half}.safetensors") for half in pretrained.HALVES}
    layers = {f"encoder.layers.{key}": tensor for key, tensor in halves["encoder"].items()}
    for key, tensor in halves["decoder"].items():
        layer, rest = key.split(".", 1)
        layers[f"decoder.layers.{int(layer) - 1}.{rest}"] = tensor
    place = tmp_path / "taef2"
    place.mkdir()
    with places.weights_in(place):
        with pytest.raises(
            UserError, match=r"no taesd_encoder\.safetensors and taesd_decoder.*with --weights"
        ):
            weights.find("taesd")
        with pytest.raises(UserError, match=r"nor diffusion_pytorch_model\.safetensors of madebyollin/taef2"):
            weights.find("taef2")
        save_file(layers, place / weights.DIFFUSERS)
        for half, path in zip(pretrained.HALVES, weights.find("taef2"), strict=True):
            made = load_file(path)
            assert path.name == f"taef2_{half}.safetensors" and made.keys() == halves[half].keys()
            assert all(torch.equal(made[key], halves[half][key]) for key in made)
            path.unlink()
        save_file({"encoder.layers.0.weight": torch.ones(3)}, place / weights.DIFFUSERS)
        with pytest.raises(UserError, match="is not taef2 in diffusers' layout"):
            weights.find("taef2")


def test_one_slug_a_weight_with_timms_default_tag_or_without():
    assert dataset("vit_small_patch14_dinov2.lvd142m") == dataset("vit_small_patch14_dinov2")
    assert dataset("resnet50.fb_swsl_ig1b_ft_in1k") != dataset("resnet50")


def test_slugs_of_weights_fit_and_differ():
    long = "vit_large_patch14_reg4_dinov2_with_a_long_name.lvd142m"
    slugs = {dataset(name) for name in (long, long + "b", "vit.a", "vit_b.a")}
    assert len(slugs) == 4 and all(6 <= len(slug) <= 50 for slug in slugs)
