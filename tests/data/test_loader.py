import os
import signal
import threading
import warnings
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from humanmade.data import inventory, loader, manifest
from humanmade.errors import UserError
from humanmade.images.augment import Augmentation
from humanmade.images.views import Frame
from humanmade.schema import Augment
from tests.conftest import MakeFolder


@given(
    st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=40),
    st.integers(2, 9), st.integers(1, 3), st.integers(0, 5), st.integers(0, 3),
)  # fmt: skip
def test_a_plan_takes_every_row_once_in_equal_batches(units, batch, accumulate, seed, epoch):
    plan = loader.plan_epoch(units, batch, accumulate, seed, epoch)
    flat = [index for step in plan for part in step for index in part]
    assert sorted(flat) == list(range(len(units)))
    sizes = [len(part) for step in plan for part in step]
    assert max(sizes) <= batch and max(sizes) - min(sizes) <= 1
    assert all(len(step) == accumulate for step in plan[:-1])
    order = [units[index] for index in flat]
    runs = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert len(runs) == len(set(units)), "rows of one unit stay side by side"
    assert plan == loader.plan_epoch(units, batch, accumulate, seed, epoch)


def test_epochs_and_seeds_shuffle_differently():
    plans = [loader.plan_epoch([str(i) for i in range(50)], 8, 1, s, e) for s in (0, 1) for e in (0, 1)]
    assert len({str(plan) for plan in plans}) == 4


AUGMENT = Augmentation(Frame(32), Augment(chain=2, severity=0.8, scale_range=[0.7, 1.3]))


def batches(folder, workers: int, epoch: int = 0, pair_sync: bool = True) -> list[torch.Tensor]:
    rows = manifest.load([folder])
    dataset = loader.TrainingDataset(rows, AUGMENT, 3, pair_sync)
    plan = loader.plan_epoch(dataset.keys, 6, 1, 3, epoch)
    draws = [[(epoch, row) for row in batch] for step in plan for batch in step]
    return [pixels for pixels, _ in loader.training_batches(dataset, draws, workers)]


def test_draws_do_not_depend_on_workers(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=8)
    alone, two = batches(folder, 0), batches(folder, 2)
    assert all(torch.equal(a, b) for a, b in zip(alone, two, strict=True))


def test_no_process_decodes_beside_a_network_on_the_same_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for gpu, ranks, processes in (
        (False, 1, (0, 4)),
        (True, 1, (4, 4)),
        (True, 2, (2, 2)),
        (False, 2, (0, 2)),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
        assert (loader.worker_count(-1), loader.worker_count(-1, feeding_network=False)) == processes
        assert loader.worker_count(3) == 3, "as asked"


def test_threads_are_gone_with_their_batches(manifest_folder: MakeFolder):
    folder, before = manifest_folder(pairs=3), {*threading.enumerate()}
    batches(folder, 0)
    assert {*threading.enumerate()} <= before


def test_reading_in_threads_leaves_warnings_as_they_were(manifest_folder: MakeFolder):
    before = [*warnings.filters]
    for _ in range(5):
        batches(manifest_folder(f"data{_}", pairs=6), 0)
    assert warnings.filters == before, "catch_warnings is not for threads"


def test_each_epoch_draws_anew(manifest_folder: MakeFolder):
    rows = manifest.load([manifest_folder(pairs=3)])
    dataset = loader.TrainingDataset(rows, AUGMENT, 3, True)
    assert not any(torch.equal(dataset[0, row][0], dataset[1, row][0]) for row in range(6))


def test_members_of_a_pair_share_their_draws_only_when_asked(manifest_folder: MakeFolder):
    rows = manifest.load([manifest_folder(pairs=6)])
    for sync, seeds in ((True, 6), (False, 12)):
        drawn = Counter[int]()
        dataset = loader.TrainingDataset(
            rows, lambda p, seed, drawn=drawn: drawn.update([seed]) or p, 0, sync
        )
        for row in range(len(dataset)):
            dataset[0, row]
        assert len(drawn) == seeds


def test_views_stay_with_their_rows(manifest_folder: MakeFolder):
    rows = inventory.attach(manifest.load([manifest_folder(pairs=5)]))
    dataset = loader.ViewDataset(rows, ["identity", "hflip"], Frame(32))
    shown = torch.cat(list(loader.view_batches(dataset, 4, 2)))
    assert shown.shape == (10, 2, 3, 32, 32) and shown.dtype == torch.uint8
    assert torch.equal(shown[:, 0], shown[:, 1].flip(-1))
    assert torch.equal(shown[7], dataset[7])


def test_padding_keeps_what_is_there():
    batch = torch.ones(3, 2, 3, 4, 4)
    padded = loader.fixed_size(batch, 5)
    assert padded.shape[0] == 5 and torch.equal(padded[:3], batch) and not padded[3:].any()


def test_a_picture_that_vanished_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png"):
        loader.read_picture(str(tmp_path / "gone.png"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanishes_before_training_ends_it_in_a_line(manifest_folder: MakeFolder, workers: int):
    folder = manifest_folder(pairs=4)
    inventory.attach(manifest.load([folder]))
    # The table knows the picture still, as when it goes after the inventory.
    dataset = loader.TrainingDataset(manifest.load([folder]), AUGMENT, 0, True)
    (folder / "images/002_1.png").unlink()
    with pytest.raises(UserError) as error:
        list(loader.training_batches(dataset, [[(0, row) for row in range(8)]], workers))
    said = str(error.value)
    assert said.startswith(f"{folder}/images/002_1.png: cannot be read any more (No such file or directory)")
    assert "\n" not in said and "Traceback" not in said


class Failing(torch.utils.data.Dataset[torch.Tensor]):
    """Rows of which one fails in its way."""

    def __init__(self, error: Exception | int) -> None:
        self.error = error

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 3:
            if isinstance(self.error, int):
                os.kill(os.getpid(), self.error)
            else:
                raise self.error
        return torch.zeros(1)


FULL = "unable to write to file </torch_7_1>: No space left on device (28)"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (signal.SIGBUS, "exited unexpectedly"),  # how a /dev/shm that is too small ends a worker
        (signal.SIGKILL, "exited unexpectedly"),  # how the system ends one for its memory
        (RuntimeError(FULL), "No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_worker_that_is_ended_is_told_in_one_line(error: Exception | int, says: str):
    with pytest.raises(UserError, match=rf"{says}.*; set workers = 0 \(--set workers=0\)") as told:
        list(loader._batches(Failing(error), 1, batch_size=2))
    assert "\n" not in str(told.value)


def test_what_a_worker_finds_wrong_is_said_as_without_it():
    for workers in (0, 1):
        with pytest.raises(UserError) as told:
            list(loader._batches(Failing(UserError("a.png: cannot be read (x)")), workers, batch_size=2))
        assert str(told.value) == "a.png: cannot be read (x)"
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            list(loader._batches(Failing(RuntimeError("a mistake of ours")), workers, batch_size=2))


@pytest.mark.parametrize("kept", [0, 30, 0.5])
def test_a_picture_that_was_cut_short_is_named(manifest_folder: MakeFolder, kept: float):
    path = manifest_folder(pairs=1) / "images" / "000_0.png"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data) if kept < 1 else kept)])
    with pytest.raises(UserError, match=r"000_0\.png: cannot be read any more .*; repair or remove it"):
        loader.read_picture(str(path))
