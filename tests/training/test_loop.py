import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade import recipe as recipes
from humanmade.data.loader import TrainingDataset
from humanmade.detectors.network import Network
from humanmade.schema import NetworkRecipe
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.device import Machine
from humanmade.training.loop import Trainer

MACHINE = Machine(torch.device("cpu"), torch.float32)


class Rows(TrainingDataset):
    """Eleven tiny "pictures" whose brightness is their label."""

    def __init__(self) -> None:
        rows = pd.DataFrame(
            {"path": [""] * 11, "label": [i % 2 for i in range(11)], "pair": "", "id": map(str, range(11))}
        )
        super().__init__(rows, lambda picture, seed: picture, 0, True)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        value = 200 if self.labels[index] else 40
        return torch.full((3, 4, 4), value + index, dtype=torch.uint8), float(self.labels[index])


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Dropout(0.3),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 1),
    )


def recipe_of(**changes: object) -> NetworkRecipe:
    base = {"detector": "network", "workers": 0, "epochs": 3, "batch_size": 4, "lr": 0.01, "ema": 0.5}
    built = recipes.build(base | changes, "test")
    assert isinstance(built, NetworkRecipe)
    return built


def trainer(**changes: object) -> Trainer:
    detector = Network(recipe_of(precision="fp32", **changes))
    return Trainer(network(), Rows(), detector.recipe, MACHINE, 0, detector._loss)


def evaluate(model: torch.nn.Module) -> dict[str, float]:
    return {"selection": 0.0}


def weights(model: torch.nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


class StopAfter(Budget):
    """A budget that is over at the n-th question."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    @property
    def over(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8])
def test_resuming_at_any_step_gives_the_same_bytes(tmp_path: Path, step: int):
    whole = trainer()
    whole.run(tmp_path / "whole", Budget(), evaluate, "fold")
    with pytest.raises(OutOfTimeError):
        trainer().run(tmp_path / "parts", StopAfter(step), evaluate, "fold")
    torch.manual_seed(123)  # whatever else the process drew in between
    resumed = trainer()
    resumed.run(tmp_path / "parts", Budget(), evaluate, "fold")
    assert weights(resumed.result) == weights(whole.result)
    assert weights(resumed.network) == weights(whole.network)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1] and len(logs[0].splitlines()) == 3


def test_the_network_learns(tmp_path: Path):
    trained = trainer(epochs=30, lr=0.02)
    trained.run(tmp_path, Budget(), evaluate, "fold")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.3 * losses[0]
    trained.result.eval()
    levels = [20, 30, 60, 70, 180, 190, 220, 240]  # of brightness, none of which it was trained on
    pixels = torch.stack([torch.full((3, 4, 4), level, dtype=torch.uint8) for level in levels])
    logits = trained.result(MACHINE.pixels(pixels)).flatten()
    assert (logits > 0).tolist() == [level > 128 for level in levels]


def test_accumulated_batches_make_the_gradient_of_one_large_batch():
    plain = {"ema": 0.0, "clip_grad": 0.0, "label_smoothing": 0.1}

    def gradient(batch_size: int, accumulate: int) -> torch.Tensor:
        made = trainer(batch_size=batch_size, accumulate=accumulate, **plain)
        made.network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 1))
        torch.nn.init.zeros_(made.network[1].weight)
        made._update = lambda: None  # type: ignore[method-assign]
        next(made._epoch(0))
        return made.network[1].weight.grad.clone()

    # Batches of 4, 4 and 3: the tail weighs by its pictures, not as a whole batch.
    assert torch.allclose(gradient(4, 3), gradient(11, 1), atol=1e-6)


def test_the_schedule_warms_up_and_falls_as_a_function_of_the_step():
    made = trainer(epochs=20, warmup=0.2)
    total = 20 * made.steps_per_epoch
    rates = []
    for step in range(total):
        made.schedule.step(step)
        rates.append(made.optimiser.param_groups[-1]["lr"])
    peak = int(np.argmax(rates))
    assert peak == pytest.approx(0.2 * total, abs=1)
    assert (
        max(rates) == pytest.approx(0.01, rel=0.15) and rates[0] == pytest.approx(1e-4) and rates[-1] < 2e-4
    )
    made.schedule.step(peak)
    assert made.optimiser.param_groups[-1]["lr"] == rates[peak]


def test_patience_keeps_the_best_epoch(tmp_path: Path):
    scores = iter([0.5, 0.9, 0.7, 0.6, 0.95])
    kept: list[bytes] = []

    def watch(model: torch.nn.Module) -> dict[str, float]:
        kept.append(weights(model))
        return {"selection": next(scores)}

    made = trainer(epochs=5, patience=2)
    made.run(tmp_path, Budget(), watch, "fold")
    assert len(kept) == 4, "two epochs without a better one end it"
    assert weights(made.result) == kept[1]


def test_the_average_predicts_only_when_it_is_on():
    on, off = trainer(ema=0.9), trainer(ema=0.0)
    assert on.result is not on.network and off.result is off.network


def test_patience_without_held_out_rows_trains_all_epochs(tmp_path: Path):
    patient, plain = trainer(epochs=4, patience=1), trainer(epochs=4)
    patient.run(tmp_path / "patient", Budget(), lambda model: {}, "fold")
    plain.run(tmp_path / "plain", Budget(), lambda model: {}, "fold")
    assert len(patient.log) == 4 and weights(patient.result) == weights(plain.result)
