import subprocess
import sys
from pathlib import Path

import pytest

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.schema import EnsembleRecipe, NetworkRecipe, ProbeRecipe


@pytest.mark.parametrize("name", recipes.shipped())
def test_every_shipped_recipe_survives_a_round_trip(name: str, tmp_path: Path):
    recipe = recipes.load(name)
    recipes.save(recipe, tmp_path / "recipe.toml")
    assert recipes.load(str(tmp_path / "recipe.toml")) == recipe
    assert recipe.name == name


def test_overrides_are_typed():
    recipe = recipes.load(
        "efficientnet_lite0", ["lr=1", "seeds=[1, 2]", "views=hflip", "augment.flips=false"]
    )
    assert isinstance(recipe, NetworkRecipe)
    assert (recipe.lr, recipe.seeds, recipe.views, recipe.augment.flips) == (1.0, [1, 2], ["hflip"], False)
    assert isinstance(recipe.lr, float)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("learning_rate=1", "no key 'learning_rate'"),
        ("epoch=3", "did you mean 'epochs'"),
        ("chain=3", "no key 'chain'; did you mean 'augment.chain'?"),
        ("augment.chains=3", "did you mean 'augment.chain'?"),
        ("epochs=2.5", "efficientnet_lite0: epochs = 2.5; expected a valid integer"),
        ("epochs=0", "epochs = 0; expected greater than or equal to 1"),
        ("ema=2", "ema = 2"),
        ("crop=wide", "crop = \"wide\"; expected 'native', 'resize' or 'squash'"),
        ("augment.flips=1", "augment.flips = 1; expected a valid boolean"),
        ("seeds=[]", "seeds = []; expected at least 1"),
        ("seeds=[1, 1]", "no seed twice"),
        ("lr=nan", "a finite number"),
        ("name=a/b", "a plain name"),
        ("counterparts=1.0", "counterparts = 1.0; expected a table"),
        ("augment.scale_range=[2, 1]", "augment.scale_range = [2, 1]; expected two numbers"),
        ("counterparts.scales=[1, 9]", "counterparts.scales = 9; expected less than or equal to 2"),
        ("epochs", "expected key=value"),
        ("shrinkage=[1]", "detector 'network' has no key 'shrinkage'"),
        ("detector=cnn", "known: network, probe"),
    ],
)
def test_bad_overrides_name_key_and_expectation(override: str, says: str):
    with pytest.raises(UserError) as error:
        recipes.load("efficientnet_lite0", [override])
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'probe_lite0'"):
        recipes.load("probe_light0")


def test_difference_names_key_and_values():
    one, two = recipes.load("probe_lite0"), recipes.load("probe_lite0", ["image_size=256"])
    assert recipes.difference(one, one) is None
    assert recipes.difference(one, two) == "image_size: 224 there, 256 now"
    assert isinstance(one, ProbeRecipe)


def test_broken_toml_is_a_user_error(tmp_path: Path):
    (tmp_path / "x.toml").write_text("detector = ")
    with pytest.raises(UserError, match="not valid TOML"):
        recipes.load(str(tmp_path / "x.toml"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 5000, "not valid TOML"),
        ("detector = 2020-01-01", 'detector = "2020-01-01"; known: '),
        ('detector = "probe"\nname = "a\\u007fb"', "expected a plain name"),
        ('detector = "probe"\nname = "a\\u0000b"', "expected a plain name"),
        (f'detector = "ensemble"\nmembers = ["{"x" * 300}"]', "not found"),
        (f'detector = "ensemble"\nmembers = ["{"x" * 300}.toml"]', "not found"),
    ],
)
def test_a_hostile_file_is_a_user_error(tmp_path: Path, text: str, says: str):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UserError, match=says):
        recipes.load(str(tmp_path / "x.toml"))


def test_a_hostile_override_is_a_user_error():
    with pytest.raises(UserError, match="expected key=value"):
        recipes.load("probe_lite0", ["a.b.=" + "[" * 5000])
    with pytest.raises(UserError, match="lr"):
        recipes.load("efficientnet_lite0", ["lr=" + "[" * 5000])


def test_what_an_ensemble_decides_is_not_set_for_a_member():
    with pytest.raises(UserError, match="an ensemble's folds holds for all members; set folds="):
        recipes.load("robust_cpu", ["members.traces_lite0.folds=9"])
    named = ['members=["traces_lite0", "spectrum"]', "members.traces_lite0.views=hflip"]
    both = recipes.load("robust_cpu", named)
    assert both.member_names == ["traces_lite0", "spectrum"]
    assert both.members["traces_lite0"].views == ["hflip"]  # type: ignore[attr-defined]


def test_an_ensembles_file_needs_no_other(tmp_path: Path):
    (tmp_path / "own.toml").write_text('detector = "spectrum"\nshrinkage = 0.5\n')
    (tmp_path / "both.toml").write_text('detector = "ensemble"\nmembers = ["traces_lite0", "own.toml"]\n')
    recipe = recipes.load(str(tmp_path / "both.toml"))
    assert recipe.member_names == ["traces_lite0", "own"], "by name, and by path from the ensemble's file"
    text = recipes.to_toml(recipe)
    assert "[members.own]\n" in text and "[members.traces_lite0.counterparts]\n" in text
    (tmp_path / "own.toml").unlink()
    (tmp_path / "both.toml").write_text(text)
    assert recipes.load(str(tmp_path / "both.toml")) == recipe
    changed = recipes.load(str(tmp_path / "both.toml"), ["members.own.shrinkage=[1.0]", "folds=3"])
    assert isinstance(changed, EnsembleRecipe)
    assert changed.members["own"].shrinkage == [1.0] and changed.folds == 3
    assert changed.members["traces_lite0"] == recipe.members["traces_lite0"]  # type: ignore[attr-defined]


def test_names_that_toml_must_quote_survive(tmp_path: Path):
    members = {name: {"detector": "spectrum", "name": name} for name in ("own.v2", 'a "b" ü')}
    recipe = recipes.build({"detector": "ensemble", "members": members}, "test")
    recipes.save(recipe, tmp_path / "x.toml")
    assert recipes.load(str(tmp_path / "x.toml"), ["name=unnamed"]) == recipe


def test_a_recipe_names_the_weights_it_needs():
    assert recipes.load("probe_dinov2_s").pretrained_weights() == ["vit_small_patch14_dinov2"]
    assert recipes.load("resnet_cpu").pretrained_weights() == [], "it starts from random ones"
    assert recipes.load("reconstruction").pretrained_weights() == ["taef2"]
    assert recipes.load("robust_cpu").pretrained_weights() == ["tf_efficientnet_lite0", "taef2"]


def test_help_reads_no_recipe():
    code = (
        "import sys; from humanmade.commands import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    )
    code += "print(sorted({'pydantic', 'torch', 'pandas'} & {*sys.modules}))"
    for words in (["--help"], ["push", "--help"]):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


def test_options_change_a_recipe_last_and_a_source_split_counts_its_own_folds():
    recipe = recipes.with_options("probe_lite0", ["folds=3", "seeds=7"], folds=4, split="pairs", seed=None)
    assert (recipe.folds, recipe.split, recipe.seeds) == (4, "pairs", [7])
    with pytest.raises(UserError, match="--folds: a source split has as many folds"):
        recipes.with_options("probe_lite0", ["split=source"], folds=4, split=None, seed=None)


KAGGLE = [
    *("convnext_tiny", "efficientnet", "efficientnet_lite0", "resnet", "swin", "vit"),
    *("lora_dinov2", "lora_dinov2_l", "degraded_dinov3_l", "degraded_pe_core_l", "probe_clip_l"),
    *("probe_dinov2_b", "probe_dinov3_b", "probe_dinov3_l", "probe_pe_core_b", "probe_pe_core_l"),
    *("probe_siglip2_b", "robust_kaggle"),
]


@pytest.mark.parametrize("name", KAGGLE)
def test_recipes_for_kaggle_keep_both_gpus_busy_and_heads_in_memory(name: str):
    recipe = recipes.load(name)
    assert recipe.folds % 2 == 0, "the odd fold would leave one of two GPUs idle"
    if isinstance(recipe, ProbeRecipe):
        blocks, width = (24, 1024) if "large" in recipe.backbone else (12, 768)
        assert 3 <= len(recipe.layers) <= 4 and blocks / 3 <= min(recipe.layers) < blocks
        rows = 79_950 * 3 / 4 * len(recipe.histories)
        assert rows * (len(recipe.layers) + 1) * width * 4 * 1.3 < 6e9, (
            "with the output, and what fitting takes"
        )


def test_a_summary_is_the_first_sentence_of_the_comment():
    found = recipes.summary("robust_cpu")
    assert found["what"].startswith("For shifted test sets") and found["what"].endswith("docs/protocol.md")
    assert (found["needs"], found["machine"]) == (["tf_efficientnet_lite0", "taef2"], "CPU")
    assert recipes.summary("probe_clip_l")["what"].endswith("three depths"), "'et al. 2021' ends no sentence"
    machines = {name: recipes.summary(name)["machine"] for name in recipes.shipped()}
    assert all(machines[name] == "CPU" for name in machines if name.endswith("_cpu"))
    assert all(machines[name] == "GPU" for name in machines if name.endswith(("_l", "_kaggle")))


def test_all_differences_are_told_with_none_for_an_absent_key():
    lite, spectrum = recipes.load("probe_lite0"), recipes.load("spectrum")
    found = recipes.differences([lite, spectrum, lite])
    assert found["pool"] == ["mean", None, "mean"] and "folds" not in found
    assert recipes.difference(lite, lite) is None
