"""What a push asks of Kaggle."""

from dataclasses import replace

import pytest

from humanmade.commands import main
from humanmade.kaggle.push_request import CvOptions, PushRequest


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
        (["train", "--recipe", "spectrum", "--set", "views=bogus"], "unknown view 'bogus'"),
        (["predict", "--recipe", "spectrum", "--run", "x", "--set", "views=bogus"], "unknown view 'bogus'"),
        (
            ["blend", "--run", "x", "--set", "methods=rank"],
            "a blend is told method=, prevalence=, threshold=",
        ),
        (["blend", "--run", "x", "--set", "method=bogus"], "expected one of mean, rank"),
        (["train", "--recipe", "spectrum", "--hours", "12"], "at most 11.5"),
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
def test_requests_that_make_no_sense(capsys, words: list[str], says: str):
    assert main(["push", *words, "--dry-run"]) == 2
    assert says in capsys.readouterr().err


def test_a_request_names_owners_and_finds_the_weights_that_its_recipe_wants():
    train = PushRequest("train", "vit", "me")
    assert len(train.run_id) == 16 and train.run_id != PushRequest("train", "vit", "me").run_id
    assert len(train.recipe_weights) == 1 and train.datasets[:1] == [*train.recipe_weights]
    assert train.datasets[1:] == ["me/humanmade-weights-tf-efficientnet-lite0"]
    predict = PushRequest("predict", "vit", "me", attach=("c", "you/d"))
    assert predict.datasets == [*train.recipe_weights, "me/c", "you/d"]
    assert predict.owned(("a", "you/b")) == ("me/a", "you/b")
    of_runs = replace(predict, attach=(), run_recipes=("probe_lite0", "spectrum"))
    assert of_runs.datasets == ["me/humanmade-weights-tf-efficientnet-lite0"], "the runs' weights, not vit's"


def test_a_part_of_the_work_travels_to_the_kernels_cv_under_a_name_of_its_own():
    chosen = CvOptions(limit=500, fold="all", seed=3, skip_broken=True)
    assert chosen.words == ("--limit", "500", "--fold", "all", "--seed", "3", "--skip-broken")
    assert (
        PushRequest("train", "spectrum", "me", options=chosen).reference
        == "me/humanmade-train-spectrum-smoke"
    )
    whole = PushRequest("train", "spectrum", "me", options=CvOptions(fold=0))
    assert whole.reference == "me/humanmade-train-spectrum"


def test_a_smoke_run_is_two_folds_of_2000_pictures():
    assert CvOptions().smoke("spectrum", ()).words == ("--limit", "2000", "--folds", "2")
    assert CvOptions(folds=3, limit=50).smoke("spectrum", ()).words == ("--limit", "50", "--folds", "3")
    assert CvOptions().smoke("spectrum", ["split=source"]).words == ("--limit", "2000")


def test_hours_memory_and_what_is_attached_are_told():
    models = ("a/b/c/d/1",)
    whole = PushRequest(
        "train", "robust_kaggle", "me", hours=9, resume=True, extra=("more",), models=models
    ).told
    assert "ends within: 9 hours\n" in whole and "takes: 5.7 hours on two T4" in whole and "memory: " in whole
    (attached,) = [line for line in whole.splitlines() if line.startswith("  attached: ")]
    every = ["humanmade-weights-taef2", "more", "humanmade-train-robust-kaggle"]
    assert all(f"me/{name}" in attached for name in every) and "a/b/c/d/1" in attached
    assert "memory: not known; --smoke tells" in PushRequest("train", "spectrum", "me").told
    assert PushRequest("blend", "", "me", runs=("a",)).told == "  attached: me/a"
