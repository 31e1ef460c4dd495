import json
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade import recipe as recipes
from humanmade.data import loader
from humanmade.data.loader import TrainingDataset, training_batches
from humanmade.detectors.network import Network
from humanmade.errors import UserError
from humanmade.schema import NetworkRecipe
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.device import DTYPES, Machine
from humanmade.training.loop import Trainer
from humanmade.training.optimiser import average

MACHINE = Machine(torch.device("cpu"), torch.float32)
HALF = Machine(torch.device("cpu"), torch.float16)


class Rows(TrainingDataset):
    """Eleven tiny "pictures" whose brightness is their label."""

    def __init__(self) -> None:
        rows = pd.DataFrame(
            {"path": [""] * 11, "label": [i % 2 for i in range(11)], "pair": "", "id": map(str, range(11))}
        )
        super().__init__(rows, lambda picture, seed: picture, 0, True)

    def __getitem__(self, draw: tuple[int, int]) -> tuple[torch.Tensor, float]:
        _, row = draw
        value = 200 if self.labels[row] else 40
        return torch.full((3, 4, 4), value + row, dtype=torch.uint8), float(self.labels[row])


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


def trainer(machine: Machine = MACHINE, **changes: object) -> Trainer:
    recipe = recipe_of(precision={v: k for k, v in DTYPES.items()}[machine.dtype], **changes)
    return Trainer(machine.place(network()), Rows(), recipe, machine, 0, Network(recipe)._loss)


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
        next(made.steps(0, training_batches(made.dataset, made.draws(0, 1), 0)))
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


def overflowing(made: Trainer, steps: Collection[int]) -> None:
    """Let the loss of these steps overflow."""
    plain = made.loss
    made.loss = lambda *shown: plain(*shown) * (torch.inf if made.step in steps else 1)


def test_a_step_that_overflows_in_fp16_is_skipped(tmp_path: Path):
    made = trainer(HALF, epochs=2)
    made.scaler = torch.amp.GradScaler("cpu", init_scale=64)  # which these gradients bear
    overflowing(made, {1})
    before: list[bytes] = []
    update = made._update

    def watched() -> None:
        before.append(weights(torch.nn.ParameterList(made.network.parameters())))
        update()

    made._update = watched  # type: ignore[method-assign]
    made.run(tmp_path, Budget(), evaluate, "fold")
    same = [one == two for one, two in pairwise(before)]
    assert same == [False, True, False, False, False]
    assert all(np.isfinite(line["loss"]) for line in made.log) and made.skipped == 0


def test_a_training_begun_in_another_precision_goes_on(tmp_path: Path):
    with pytest.raises(OutOfTimeError):
        trainer(epochs=2).run(tmp_path, StopAfter(1), evaluate, "fold")
    resumed = trainer(epochs=2)
    resumed.scaler = torch.amp.GradScaler("cpu", init_scale=64)
    resumed.run(tmp_path, Budget(), evaluate, "fold")
    assert len(resumed.log) == 2 and resumed.scaler.get_scale() == 64


def test_fp16_that_overflows_again_and_again_is_given_up(tmp_path: Path):
    made = trainer(HALF, epochs=40)
    overflowing(made, range(2, 1000))
    with pytest.raises(UserError, match=r'in 50 steps in a row, to step 5[02]; set precision = "fp32"'):
        made.run(tmp_path, Budget(), evaluate, "fold")


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path):
    made = trainer()
    overflowing(made, {1})
    with pytest.raises(UserError, match="training diverged by step 3"):
        made.run(tmp_path, Budget(), evaluate, "fold")


def test_batches_are_halved_where_memory_is_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def steady() -> Trainer:
        """Neither batch norm nor dropout: steps do not hang on how a batch is cut."""
        made = trainer(batch_size=8, ema=0.0)
        for name, layer in (("1", torch.nn.Identity()), ("2", torch.nn.Identity())):
            setattr(made.network, name, layer)
        return made

    def short(made: Trainer, most: int) -> list[int]:
        plain, sizes = made.loss, list[int]()
        # The second is what cuDNN makes of it.
        errors = (
            torch.OutOfMemoryError("CUDA out of memory."),
            RuntimeError("FIND was unable to find an engine to execute this computation"),
        )

        def loss(network: torch.nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            sizes.append(len(pixels))
            if len(pixels) > most:
                raise errors[len(sizes) % 2]
            return plain(network, pixels, labels)

        made.loss = loss
        return sizes

    whole, halved = steady(), steady()
    whole.run(tmp_path / "whole", Budget(), evaluate, "fold")
    sizes = short(halved, most=2)
    halved.run(tmp_path / "halved", Budget(), evaluate, "fold")
    assert sizes[:3] == [6, 3, 2] and max(sizes[2:]) == 2
    said = capsys.readouterr().err
    assert "memory is too short for batches of 8; going on with 4" in said and "of 4; going on with 2" in said
    for one, two in zip(whole.network.parameters(), halved.network.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5), "each step learnt from the same pictures"
    assert [line["loss"] for line in halved.log] == pytest.approx(
        [line["loss"] for line in whole.log], rel=1e-4
    )
    parts = steady()
    short(parts, most=2)
    with pytest.raises(OutOfTimeError):
        parts.run(tmp_path / "parts", StopAfter(3), evaluate, "fold")
    resumed = steady()
    sizes = short(resumed, most=2)
    resumed.run(tmp_path / "parts", Budget(), evaluate, "fold")
    assert max(sizes) == 2, "a resumed training knows"
    assert weights(resumed.network) == weights(halved.network)
    hopeless = steady()
    short(hopeless, most=0)
    with pytest.raises(UserError, match="memory is too short for batches of 1; lower batch_size"):
        hopeless.run(tmp_path / "hopeless", Budget(), evaluate, "fold")


def test_the_average_reaches_the_decay_of_the_recipe():
    for decay, steps in ((0.999, 5000), (0.95, 120), (0.5, 9)):
        made = average(network(), decay, steps)
        assert made.get_decay(steps // 2 + 2) == pytest.approx(decay, abs=1e-9)
        assert made.get_decay(steps // 4) < decay
    assert 0.98 < average(network(), 0.9999, 100).get_decay(100) < 0.9999, "the mean of all 100 steps"


def test_workers_serve_all_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started = []
    plain = loader.DataLoader
    monkeypatch.setattr(loader, "DataLoader", lambda *a, **k: started.append(k) or plain(*a, **k))
    two, none = trainer(workers=2), trainer()
    two.run(tmp_path / "two", Budget(), evaluate, "fold")
    none.run(tmp_path / "none", Budget(), evaluate, "fold")
    assert len(started) == 2 and weights(two.result) == weights(none.result)
    with pytest.raises(OutOfTimeError):
        trainer(workers=2).run(tmp_path / "parts", StopAfter(4), evaluate, "fold")
    resumed = trainer(workers=2)
    resumed.run(tmp_path / "parts", Budget(), evaluate, "fold")
    assert weights(resumed.result) == weights(none.result)


@pytest.mark.cuda
@pytest.mark.parametrize("deterministic", [False, True])
def test_an_epoch_in_fp16_on_a_gpu(tmp_path: Path, deterministic: bool):
    made = trainer(Machine.pick("fp16"), epochs=1, deterministic=deterministic)
    made.run(tmp_path, Budget(), evaluate, "fold")
    assert np.isfinite(made.log[0]["loss"]) and made.scaler.is_enabled()
    assert torch.backends.cudnn.benchmark != deterministic
    assert all(value.isfinite().all() for value in made.result.state_dict().values())


@pytest.mark.cuda
def test_the_scaler_skips_a_step_on_a_gpu(tmp_path: Path):
    made = trainer(Machine.pick("fp16"), epochs=2)
    made.scaler = torch.amp.GradScaler("cuda", init_scale=64)
    overflowing(made, {1})
    made.run(tmp_path, Budget(), evaluate, "fold")
    assert made.scaler.get_scale() == 32
    assert all(np.isfinite(line["loss"]) for line in made.log)
