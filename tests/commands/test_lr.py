import bisect
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from humanmade import pretrained
from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.evaluation import rate_test
from humanmade.evaluation.rate_test import RateTest, _longest_fall
from humanmade.training.sweep import sweep
from tests.conftest import MakeFolder
from tests.training.test_loop import trainer


def longest(losses: list[float]) -> int:
    """Length of the longest strictly falling subsequence, by patience sorting."""
    ends: list[float] = []
    for loss in losses:
        place = bisect.bisect_left(ends, -loss)
        ends[place : place + 1] = [-loss]
    return len(ends)


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_fall_is_found_where_it_first_ends(seed: int):
    rng = np.random.default_rng(seed)
    losses = np.concatenate([np.linspace(1, 0.9, 30), np.linspace(0.9, 0.4, 30), np.linspace(0.4, 2, 20)])
    noisy = (losses + rng.normal(0, 0.02, len(losses))).round(2).tolist()
    start, end = _longest_fall(noisy)
    length = longest(noisy)
    assert longest(noisy[:end]) == length - 1 and longest(noisy[: end + 1]) == length
    assert start == max(0, end - length)


def test_the_suggestion_lies_in_the_fall_right_of_its_start():
    losses = [*np.linspace(0.9, 0.9, 30), *np.linspace(0.89, 0.4, 30), *np.linspace(0.41, 2, 20)]
    found = RateTest(np.geomspace(1e-6, 1, 80).tolist(), losses)
    assert found.rates.index(found.suggestion) == 45, "of 33, where a tenth is lost, to 59: half"


def test_a_flat_start_that_falls_by_nothing_is_no_fall():
    losses = [*np.linspace(0.6933, 0.6931, 40), *np.linspace(0.69, 0.6, 12), *np.linspace(0.61, 2, 20)]
    found = RateTest(np.geomspace(1e-6, 1, 72).tolist(), losses)
    assert 42 <= found.rates.index(found.suggestion) <= 50, "of 0 to 51, of which 40 are flat"


def test_a_sweep_steps_at_each_rate_and_gives_each_loss():
    made = trainer(epochs=1, layer_decay=0.5)
    before = [group["lr"] for group in made.optimiser.param_groups]
    scales = [group.get("lr_scale", 1.0) for group in made.optimiser.param_groups]
    rates = np.geomspace(1e-4, 1e-1, 8).tolist()
    seen = []
    for loss in sweep(made, rates):
        seen.append([group["lr"] for group in made.optimiser.param_groups])
        assert math.isfinite(loss) and loss > 0
    assert made.steps_per_epoch < len(rates) == made.step == len(seen), "it goes through the data again"
    assert seen == [[rate * scale for scale in scales] for rate in rates] and before != seen[-1]


def test_memory_that_is_too_short_for_a_sweep_is_said():
    def loss(*_) -> torch.Tensor:
        raise torch.OutOfMemoryError

    made = trainer(epochs=1)
    made.loss = loss
    with pytest.raises(UserError, match="memory is too short for batches of"):
        list(sweep(made, [1e-4] * 4))


def test_a_rate_is_suggested_and_drawn(
    tiny_network: Path, manifest_folder: MakeFolder, capsys, monkeypatch: pytest.MonkeyPatch
):
    folder = manifest_folder(pairs=8)
    words = ["lr", str(tiny_network), "--data", str(folder), "--steps", "40", "--set", "lr=0.002"]
    outs = ("one.png", "two.png")
    for out in outs:
        assert main([*words, "--out", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lr = ") and lines[0].endswith("; tiny has 2.0e-03 (one.png)")
    assert 1e-7 < float(lines[0].split()[2]) < 10
    assert Path(outs[0]).read_bytes() == Path(outs[1]).read_bytes(), "the same seed, the same plot"
    assert Image.open(outs[0]).size == (700, 400)
    monkeypatch.setattr(rate_test, "RUNAWAY", 0.0)
    assert main([*words, "--out", "three.png"]) == 2
    assert "the loss ran away after 1 of 40 steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("probe_lite0", "lr: recipe 'probe_lite0' trains no network, so it has no learning rate; those with"),
        ("robust_kaggle", "its member lora_dinov2 does"),
    ],
)
def test_a_recipe_that_trains_no_network_is_refused(recipe: str, says: str, capsys):
    assert main(["lr", recipe]) == 2
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and not told.out


def test_missing_weights_are_said_before_any_data_is_read(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pretrained, "_hub_answers", lambda: False)
    assert main(["lr", "convnext_tiny", "--data", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("humanmade: no weights for convnext_tiny.fb_in22k_ft_in1k in ")
