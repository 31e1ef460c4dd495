"""A training that is ended at random moments, and two processes that want one folder."""

import hashlib
import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from humanmade import files
from humanmade.commands import main
from humanmade.errors import UserError
from tests import soak
from tests.conftest import MakeFolder


def test_five_kills_end_with_the_same_bytes(tmp_path: Path):
    soak.make_world(tmp_path / "world")
    words = ["cv", "network.toml", "--data", "data", "--folds", "2", "--set", "workers=0"]
    whole = soak.train(soak.alone, tmp_path / "world", words)
    blows = itertools.cycle([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    made = soak.disturb(soak.alone, tmp_path / "world", words, whole, blows, random.Random(0), fewest=5)
    assert made.same and len(made.moments) >= 5, made


def holding(folder: Path, ready: Path) -> None:
    with files.held(folder, "training here"):
        ready.write_text("")
        time.sleep(600)


def test_two_processes_on_one_run_folder(
    tiny_probe: Path, manifest_folder: MakeFolder, tmp_path: Path, capsys
):
    command = ["cv", str(tiny_probe), "--data", str(manifest_folder(pairs=8)), "--out", "r"]
    first = soak.CHILDREN.Process(target=holding, args=(Path("r").resolve(), tmp_path / "ready"), daemon=True)
    first.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.05)
    assert main(command) == 2
    assert f"r: process {first.pid} is training here; wait for its end" in capsys.readouterr().err
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    Path("r/.scores.json.ab12_xyz").write_text("half")
    assert main(command) == 0, "what a killed process held is free"
    assert not list(Path("r").rglob(".*")), "and what it left half written is gone"


def test_a_second_process_waits_for_features_and_uses_them(
    tiny_probe: Path, manifest_folder: MakeFolder, tmp_path: Path
):
    data = manifest_folder(pairs=8)
    words = ["cv", str(tiny_probe), "--data", str(data), "--out"]
    processes, environment = [], {"HUMANMADE_CACHE": str(tmp_path / "shared")}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        arguments = (tmp_path / name, [*words, "r"], tmp_path / name / "log.txt", environment)
        processes.append(soak.CHILDREN.Process(target=slowly, args=arguments))
        processes[-1].start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    logs = [(tmp_path / name / "log.txt").read_text() for name in ("one", "two")]
    holders = [f"process {process.pid} is computing features; waiting for its end" for process in processes]
    assert holders[1] in logs[0] or holders[0] in logs[1], logs
    computed = [line for log in logs for line in log.splitlines() if line.startswith("computed")]
    assert computed and len(computed) == len(set(computed)), "nothing twice"
    assert (tmp_path / "one/r/oof.csv").read_bytes() == (tmp_path / "two/r/oof.csv").read_bytes()


def slowly(*arguments) -> None:
    """A start whose features take their time, and which says that it computes any."""
    from humanmade.detectors.probe import Probe

    extract = Probe.extract

    def slow(self, pixels):
        time.sleep(0.3)
        print(f"computed {hashlib.sha256(pixels.numpy().tobytes()).hexdigest()}", flush=True)
        return extract(self, pixels)

    Probe.extract = slow  # type: ignore[method-assign]
    soak._command(*arguments)


def test_a_folder_that_nobody_could_write_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with (
        pytest.raises(UserError, match=r"\.lock0: cannot be written \(Permission denied\)"),
        files.held(tmp_path, "x"),
    ):
        pass
