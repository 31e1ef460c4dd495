from pathlib import Path

import pytest

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.recipe import NetworkRecipe, ProbeRecipe


@pytest.mark.parametrize("name", recipes.shipped())
def test_every_shipped_recipe_survives_a_round_trip(name: str, tmp_path: Path):
    recipe = recipes.load(name)
    recipes.save(recipe, tmp_path / "recipe.toml")
    assert recipes.load(str(tmp_path / "recipe.toml")) == recipe
    assert recipe.name == name


def test_overrides_are_typed():
    recipe = recipes.load("efficientnet_lite0", ["lr=1", "seeds=[1, 2]", "views=hflip", "flips=false"])
    assert isinstance(recipe, NetworkRecipe)
    assert (recipe.lr, recipe.seeds, recipe.views, recipe.flips) == (1.0, [1, 2], ["hflip"], False)
    assert isinstance(recipe.lr, float)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("learning_rate=1", "no key 'learning_rate'"),
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs=2.5", "epochs = 2.5 is float, not int"),
        ("epochs=0", "epochs = 0; expected at least 1"),
        ("ema=2", "ema = 2"),
        ("crop=wide", "known: native, resize, squash"),
        ("flips=1", "is int, not bool"),
        ("seeds=[]", "at least one seed"),
        ("scale_range=[2, 1]", "scale_range"),
        ("epochs", "expected key=value"),
        ("shrinkage=[1]", "detector 'network' has no key 'shrinkage'"),
        ("detector=cnn", "known: network, probe"),
    ],
)
def test_bad_overrides_name_key_and_expectation(override: str, says: str):
    with pytest.raises(UserError) as error:
        recipes.load("efficientnet_lite0", [override])
    assert says in str(error.value)


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


def test_recipes_of_older_kits_are_read_unless_they_used_what_is_gone(tmp_path: Path):
    old = tmp_path / "recipe.toml"
    keys = 'counterpart_blend = 0.0\ninner_split = "groups"\ntraining_views = ["identity", "jpeg_60"]\n'
    old.write_text('detector = "probe"\ncounterpart_compression = 0.0\n' + keys)
    recipe = recipes.load(str(old))
    assert isinstance(recipe, ProbeRecipe) and recipe.histories == ["identity", "jpeg_60"]
    old.write_text('detector = "probe"\ncounterparts = [1.0]\ncounterpart_compression = 0.7\n')
    with pytest.raises(UserError, match="uses counterpart_compression, which the kit no longer has"):
        recipes.load(str(old))


def test_options_change_a_recipe_last_and_a_source_split_counts_its_own_folds():
    recipe = recipes.with_options("probe_lite0", ["folds=3", "seeds=7"], folds=4, split="pairs", seed=None)
    assert (recipe.folds, recipe.split, recipe.seeds) == (4, "pairs", [7])
    with pytest.raises(UserError, match="--folds: a source split has as many folds"):
        recipes.with_options("probe_lite0", ["split=source"], folds=4, split=None, seed=None)
