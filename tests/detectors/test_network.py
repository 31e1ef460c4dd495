import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from humanmade import detectors, places
from humanmade import recipe as recipes
from humanmade.data import inventory, manifest
from humanmade.detectors.network import CHECKPOINT, Network
from humanmade.detectors.weights import create_backbone
from humanmade.errors import UserError
from humanmade.schema import BackboneRecipe, NetworkRecipe
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import load_weights, save_weights
from humanmade.training.optimiser import prepare
from tests.conftest import MakeFolder


def network(path: Path, *changes: str) -> Network:
    made = detectors.create(recipes.load(str(path), changes))
    assert isinstance(made, Network)
    return made


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    return inventory.attach(manifest.load([manifest_folder(pairs=8)]))


def test_what_fit_leaves_predicts_on_its_own(rows: pd.DataFrame, tiny_network: Path, tmp_path: Path):
    made = network(tiny_network)
    assert made.fit(rows, rows[:4], 0, tmp_path / "fold0", Budget()) == 2 * len(rows)
    before = made.logits(tmp_path / "fold0", rows, ["identity", "hflip"])
    left = sorted(path.name for path in (tmp_path / "fold0").glob("[!e]*"))
    assert left == ["log.jsonl", "model.safetensors"], "beside the events of TensorBoard"
    shutil.move(tmp_path / "fold0", tmp_path / "elsewhere")
    logits = network(tiny_network).logits(tmp_path / "elsewhere", rows, ["identity", "hflip"])
    assert logits.shape == (len(rows), 2) and (logits == before).all() and logits.std(axis=0).min() > 0


def test_a_logit_depends_on_its_picture_alone(rows: pd.DataFrame, tiny_network: Path, tmp_path: Path):
    made = network(tiny_network, "inference_batch=6")
    made.fit(rows, rows[:0], 0, tmp_path, Budget())
    whole = made.logits(tmp_path, rows, ["identity"])
    part = made.logits(tmp_path, rows[::-1][3:8], ["identity"])
    assert np.allclose(whole[::-1][3:8], part, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_weights(rows: pd.DataFrame, tiny_network: Path, tmp_path: Path):
    for name, seed, workers in (("a", 0, 0), ("b", 0, 2), ("c", 1, 0)):
        network(tiny_network, f"workers={workers}").fit(rows, rows[:2], seed, tmp_path / name, Budget())
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b and a != c


def test_checkpointed_gradients_compute_blocks_again_and_give_the_same_weights(
    rows: pd.DataFrame, tiny_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    passes = dict.fromkeys(("false", "true"), 0)
    forward = timm.models.vision_transformer.Block.forward
    for setting in passes:

        def counted(block, *arguments, setting: str = setting, **options):
            passes[setting] += block.training
            return forward(block, *arguments, **options)

        monkeypatch.setattr(timm.models.vision_transformer.Block, "forward", counted)
        made = network(tiny_network, "backbone=test_vit", "image_size=160", f"grad_checkpointing={setting}")
        made.fit(rows, rows[:0], 0, tmp_path / setting, Budget())
    weights = [(tmp_path / setting / "model.safetensors").read_bytes() for setting in passes]
    assert weights[0] == weights[1] and passes["true"] == 2 * passes["false"] > 0


def test_a_network_without_checkpointed_gradients_is_refused(
    rows: pd.DataFrame, tiny_network: Path, tmp_path: Path
):
    made = network(tiny_network, "backbone=cifake_cnn", "grad_checkpointing=true")
    with pytest.raises(UserError, match="cannot checkpoint gradients of cifake_cnn"):
        made.fit(rows, rows[:0], 0, tmp_path, Budget())


def test_a_checkpoint_of_another_preprocessing_is_refused(
    rows: pd.DataFrame, tiny_network: Path, tmp_path: Path
):
    network(tiny_network).fit(rows, rows[:0], 0, tmp_path, Budget())
    with pytest.raises(UserError, match="image_size"):
        network(tiny_network, "image_size=48").logits(tmp_path, rows, ["identity"])


def test_a_checkpoint_that_lacks_a_layer_is_refused(rows: pd.DataFrame, tiny_network: Path, tmp_path: Path):
    network(tiny_network, "epochs=1").fit(rows, rows[:0], 0, tmp_path, Budget())
    tensors, facts = load_weights(tmp_path / CHECKPOINT)
    tensors.popitem()
    save_weights(tmp_path / CHECKPOINT, tensors, facts)
    with pytest.raises(UserError, match=r"model.safetensors: damaged \("):
        network(tiny_network).logits(tmp_path, rows, ["identity"])


def test_a_checkpoint_from_other_pretrained_weights_is_refused(
    rows: pd.DataFrame, tiny_network: Path, tmp_path: Path
):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        model = timm.create_model("test_efficientnet", num_classes=1000)
        save_file(model.state_dict(), tmp_path / name / "test_efficientnet.safetensors")
    recipe = recipes.load(str(tiny_network), ["pretrained=true", "epochs=1"])
    with places.weights_in(tmp_path / "a"):
        one = detectors.create(recipe)
        one.fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
        one.verify(tmp_path / "fold0")
    refused = pytest.raises(UserError, match=r"start: .* use the same preprocessing and weights")
    with places.weights_in(tmp_path / "b"), refused:
        detectors.create(recipe).verify(tmp_path / "fold0")


def test_an_unknown_optimiser_is_refused_before_anything_starts(tiny_network: Path):
    with pytest.raises(UserError, match="optimiser 'adamm'"):
        network(tiny_network, "optimiser=adamm")


def test_networks_without_stochastic_depth_can_be_tuned(tiny_network: Path):
    made = network(tiny_network, "backbone=ghostnet_050", "drop_path_rate=0")
    assert made.build(pretrained=False)(torch.zeros(2, 3, 32, 32)).shape == (2, 1)
    with pytest.raises(UserError, match="drop_path_rate"):
        network(tiny_network, "backbone=ghostnet_050", "drop_path_rate=0.1").build(pretrained=False)


def test_training_starts_at_logit_zero(tiny_network: Path):
    made = network(tiny_network)
    assert (made.build(pretrained=False).eval()(torch.rand(2, 3, 32, 32)) == 0).all()


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "test_efficientnet"])
def test_layer_decay_reaches_every_depth(tiny_network: Path, backbone: str):
    model = network(tiny_network, f"backbone={backbone}").build(pretrained=False)
    recipe = recipes.load(str(tiny_network), ["lr=1.0", "weight_decay=0.1", "layer_decay=0.5"])
    assert isinstance(recipe, NetworkRecipe)
    optimiser, *_ = prepare(model, recipe, 1)
    scale = {id(p): g["lr_scale"] for g in optimiser.param_groups for p in g["params"]}
    scales = [scale[id(p)] for p in model.parameters()]
    assert max(scales) == 1 and min(scales) < 0.3 and scale[id(list(model.parameters())[-1])] == 1
    assert scales[0] == min(scales)


CPU = [name for name in recipes.shipped() if name.endswith("_cpu") and name != "robust_cpu"] + ["demo"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CPU)
def test_recipes_for_the_processor_take_three_real_steps(name: str, rows: pd.DataFrame, tmp_path: Path):
    # Weights that no package ships are not here.
    random = ["pretrained=false"] if name == "vit_cpu" else []
    recipe = recipes.load(name, ["epochs=3", "batch_size=16", "workers=0", *random])
    assert isinstance(recipe, NetworkRecipe)
    made = detectors.create(recipe)
    made.fit(rows, rows[:4], 0, tmp_path, Budget())
    logits = made.logits(tmp_path, rows[:2], ["identity"])
    assert np.isfinite(logits).all() and (logits != 0).all(), "three steps moved the head"


BACKBONES = {name for name in recipes.shipped() if isinstance(recipes.load(name), BackboneRecipe)}


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_recipe_with_a_backbone_builds_its_model(name: str):
    recipe = recipes.change(recipes.load(name), pretrained=False)
    assert isinstance(recipe, BackboneRecipe)
    with torch.device("meta"):
        pixels = torch.empty(2, 3, recipe.image_size, recipe.image_size)
        if isinstance(recipe, NetworkRecipe):
            assert Network(recipe).build(pretrained=False).eval()(pixels).shape == (2, 1)
        else:
            model = create_backbone(recipe.backbone, False, recipe.image_size, 0).eval()
            last, maps = model.forward_intermediates(pixels)
            assert len(maps) > 1 and all(each.ndim == 4 for each in maps)
            assert model.forward_head(last, pre_logits=True).shape == (2, model.num_features)


@pytest.mark.parametrize("name", sorted(set(recipes.shipped()) - set(BACKBONES)))
def test_every_other_recipe_makes_its_detector(name: str):
    recipe = recipes.load(name)
    made = detectors.create(recipe)
    assert made.recipe == recipe and type(made).__name__.lower().startswith(recipe.detector[:3])


def test_low_rank_tuning_leaves_a_plain_network(rows: pd.DataFrame, tmp_path: Path):
    path = tmp_path / "vit.toml"
    path.write_text(
        'detector = "network"\nbackbone = "test_vit"\npretrained = false\nimage_size = 160\nepochs = 1\n'
        'batch_size = 4\nworkers = 0\nprecision = "fp32"\nema = 0.5\nlora = 2\nlr = 1e-2\n'
    )
    made = network(path)
    made.fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    tuned = made.network(tmp_path / "fold0")
    torch.manual_seed(0)
    assert set(tuned.state_dict()) == set(made.build(pretrained=False).state_dict())
    assert made.logits(tmp_path / "fold0", rows, ["identity"]).std() > 0
