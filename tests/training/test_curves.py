import errno
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from humanmade.training import curves
from humanmade.training.budget import Budget, OutOfTimeError
from humanmade.training.curves import Curves
from tests.training.test_loop import StopAfter, evaluate, trainer


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard draws of a folder."""
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    drawn = defaultdict(list)
    for name in read.Tags()["scalars"]:
        drawn[name] = [(event.step, event.value) for event in read.Scalars(name)]
    return drawn


def test_a_training_that_was_stopped_goes_on_in_the_same_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(curves, "SECONDS", 0.0)
    whole = trainer()
    whole.run(tmp_path / "whole", Budget(), evaluate, "fold")
    for step in (4, 2):
        with pytest.raises(OutOfTimeError):
            trainer().run(tmp_path / "parts", StopAfter(step), evaluate, "fold")
    # One that was killed wrote more than it saved.
    with closing(Curves(tmp_path / "parts")) as lost:
        lost.add(7, {"train/loss": 99.0})
    trainer().run(tmp_path / "parts", Budget(), evaluate, "fold")
    drawn = points(tmp_path / "parts")
    assert set(drawn) == {"train/epoch", "train/lr", "train/loss", "valid/selection"}
    assert {step for step, _ in drawn["train/loss"]} == set(range(1, 10)), "3 epochs of 3 steps"
    assert drawn == points(tmp_path / "whole")
    ends = dict(drawn["train/loss"])
    assert [ends[step] for step in (3, 6, 9)] == pytest.approx([line["loss"] for line in whole.log])


def test_points_are_there_while_the_training_runs_and_not_too_many(tmp_path: Path):
    seen: list[dict] = []

    def look(model: torch.nn.Module) -> dict[str, float]:
        seen.append(points(tmp_path))
        return evaluate(model)

    trainer().run(tmp_path, Budget(), look, "fold")
    assert [len(drawn["train/loss"]) for drawn in seen] == [0, 1, 2]


def test_without_tensorboard_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    trainer().run(tmp_path / "none", Budget(), evaluate, "fold")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    trainer().run(tmp_path / "broken", Budget(), evaluate, "fold")
    for name in ("none", "broken"):
        assert [path.name for path in (tmp_path / name).iterdir() if path.name != "last.pt"] == ["log.jsonl"]
    assert capsys.readouterr().err.count("no curves for TensorBoard (ModuleNotFoundError: ") == 1


def test_a_full_disk_costs_the_curves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: RecordWriter, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    trainer().run(tmp_path, Budget(), evaluate, "fold")
    assert not points(tmp_path) and len((tmp_path / "log.jsonl").read_text().splitlines()) == 3
