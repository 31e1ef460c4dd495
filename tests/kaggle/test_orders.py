"""What a push asks of Kaggle."""

import pytest

from humanmade.commands import main
from humanmade.kaggle.orders import Part, order


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train"], "needs --recipe"),
        (["blend", "--recipe", "spectrum"], "takes no --recipe"),
        (["predict", "--recipe", "spectrum"], "needs --run"),
        (["train", "--recipe", "spectrum", "--run", "x"], "takes no --run"),
        (["predict", "--recipe", "spectrum", "--run", "x", "--resume"], "push predict: takes no --resume"),
        (["train", "--recipe", "nonsense"], "recipe 'nonsense': not found"),
        (["blend", "--run", "x", "--limit", "9"], "push blend: takes no --limit, --fold, --folds, --seed or"),
        (["predict", "--recipe", "spectrum", "--run", "x", "--extra", "y"], "takes no --extra"),
        (
            ["train", "--recipe", "spectrum", "--folds", "3", "--fold", "3"],
            "--fold 3: expected 0 to 2, or all",
        ),
        (
            ["train", "--recipe", "spectrum", "--set", "split=source", "--folds", "3"],
            "a source split has as many",
        ),
    ],
)
def test_orders_that_make_no_sense(capsys, words: list[str], says: str):
    assert main(["push", *words, "--dry-run"]) == 2
    assert says in capsys.readouterr().err


def test_an_order_names_owners_and_finds_the_weights_that_its_recipe_wants():
    train = order("me", "train", "vit", ("epochs=1",), 2.0, resume=True)
    assert (train.settings, train.hours, train.resume) == (("epochs=1",), 2.0, "me/humanmade-train-vit")
    assert train.weights and all(name.startswith("me/humanmade-weights-") for name in train.weights)
    assert len(train.run_id) == 16 and train.run_id != order("me", "train", "vit").run_id
    predict = order("me", "predict", "vit", runs=("a", "you/b"), attach=("c", "you/d"))
    assert (predict.runs, predict.resume) == (("me/a", "you/b"), "")
    of_recipe, forecast = train.weights[:-2], train.weights[-2:]
    assert predict.weights == (*of_recipe, "me/c", "you/d")
    assert forecast == ("me/humanmade-weights-tf-efficientnet-lite0", "me/humanmade-weights-taef2")


def test_a_part_of_the_work_travels_to_the_kernels_cv_under_a_name_of_its_own():
    part = Part(limit=500, fold="all", seed=3, skip_broken=True)
    small = order("me", "train", "spectrum", resume=True, part=part, extra=["mine", "friend/more"])
    assert small.options == ("--limit", "500", "--fold", "all", "--seed", "3", "--skip-broken")
    assert small.extra == ("me/mine", "friend/more")
    assert small.reference == small.resume == "me/humanmade-train-spectrum-smoke"
    assert order("me", "train", "spectrum", part=Part(fold=0)).reference == "me/humanmade-train-spectrum"


def test_a_smoke_run_is_two_folds_of_2000_pictures():
    assert Part().smoke("spectrum", ()).options == ("--limit", "2000", "--folds", "2")
    assert Part(folds=3, limit=50).smoke("spectrum", ()).options == ("--limit", "50", "--folds", "3")
    assert Part().smoke("spectrum", ["split=source"]).options == ("--limit", "2000")


def test_hours_memory_and_what_is_attached_are_told():
    told = order(
        "me", "train", "robust_kaggle", hours=9, resume=True, extra=["more"], models=["a/b/c/d/1"]
    ).told
    assert "ends within: 9 hours\n" in told and "takes: 5.5 hours on two T4" in told and "memory: " in told
    (attached,) = [line for line in told.splitlines() if line.startswith("  attached: ")]
    every = ["humanmade-weights-taef2", "more", "humanmade-train-robust-kaggle"]
    assert all(f"me/{name}" in attached for name in every) and "a/b/c/d/1" in attached
    unknown = order("me", "train", "spectrum").told
    assert "memory: not known; --smoke tells" in unknown
    assert order("me", "blend", runs=["a"]).told == "  attached: me/a"
