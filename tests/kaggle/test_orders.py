"""What a push asks of Kaggle."""

import pytest

from humanmade.commands import main
from humanmade.kaggle.orders import order


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train"], "needs --recipe"),
        (["blend", "--recipe", "spectrum"], "takes no --recipe"),
        (["predict", "--recipe", "spectrum"], "needs --run"),
        (["train", "--recipe", "spectrum", "--run", "x"], "takes no --run"),
        (["predict", "--recipe", "spectrum", "--run", "x", "--resume"], "push predict: takes no --resume"),
        (["train", "--recipe", "nonsense"], "recipe 'nonsense': not found"),
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
    assert predict.weights == (*train.weights, "me/c", "you/d")
