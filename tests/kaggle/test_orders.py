"""What a push is asked to do."""

import pytest

from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.kaggle.orders import Request


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request("train"), "needs --recipe"),
        (Request("blend", "spectrum", runs=("x",)), "takes no --recipe"),
        (Request("predict", "spectrum"), "needs --run"),
        (Request("train", "spectrum", runs=("x",)), "takes no --run"),
        (Request("predict", "spectrum", runs=("x",), resume=True), "only train can --resume"),
    ],
)
def test_requests_that_make_no_sense(request_: Request, says: str):
    with pytest.raises(UserError, match=f"push {request_.kernel}: {says}"):
        request_.check()


def test_the_verb_refuses_before_anything_is_built(capsys):
    for words, says in ((["blend", "--recipe", "spectrum"], "takes no --recipe"),
                        (["train", "--recipe", "nonsense"], "recipe 'nonsense': not found")):  # fmt: skip
        assert main(["push", *words, "--dry-run"]) == 2
        assert says in capsys.readouterr().err


def test_an_order_names_owners_and_finds_the_weights_that_its_recipe_wants():
    order = Request("train", "vit", ("epochs=1",), 2.0, resume=True).order("me")
    assert (order.settings, order.hours, order.resume) == (("epochs=1",), 2.0, "me/humanmade-train-vit")
    assert order.weights and all(name.startswith("me/humanmade-weights-") for name in order.weights)
    assert len(order.run_id) == 16 and order.run_id != Request("train", "vit").order("me").run_id
    order = Request("predict", "vit", runs=("a", "you/b"), attach=("c", "you/d")).order("me")
    assert (order.runs, order.weights, order.resume) == (("me/a", "you/b"), ("me/c", "you/d"), "")
