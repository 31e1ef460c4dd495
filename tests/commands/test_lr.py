import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanmade.commands import main
from humanmade.evaluation import rate_test
from humanmade.evaluation.rate_test import RateTest
from humanmade.training.sweep import sweep
from tests.conftest import MakeFolder
from tests.training.test_loop import trainer


def fastai_valley(losses: list[float]) -> int:
    """The index of fastai's `valley`, as its own code has it."""
    n, max_start, max_end, lds = len(losses), 0, 0, [1] * len(losses)
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return max_start + int(sections) + int(sections / 2)


@pytest.mark.parametrize("seed", range(20))
def test_the_valley_is_fastais(seed: int):
    rng = np.random.default_rng(seed)
    losses = np.concatenate([np.linspace(1, 0.9, 30), np.linspace(0.9, 0.4, 30), np.linspace(0.4, 2, 20)])
    losses += rng.normal(0, 0.02, len(losses))
    found = RateTest(np.geomspace(1e-6, 1, len(losses)).tolist(), losses.tolist())
    assert found.suggestion == found.rates[max(0, fastai_valley(losses.tolist()))]


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
