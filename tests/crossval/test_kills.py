"""A training that is ended at random moments, and two processes that want one folder."""

import hashlib
import itertools
import os
import random
import re
import signal
import threading
import time
from pathlib import Path

from humanmade import files
from humanmade.commands import main
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
    Path("r/.scores.json.ab12_xyz.humanmade").write_text("half")
    assert main(command) == 0, "what a killed process held is free"
    assert not list(Path("r").rglob(".*")), "and what it left half written is gone"


STAGES = ("reading pictures", "making counterparts", "computing features")


def test_a_second_process_waits_for_what_both_need_and_uses_it(
    tiny_probe: Path, manifest_folder: MakeFolder, tmp_path: Path, autoencoder_weights: Path
):
    data = manifest_folder(pairs=8)
    words = ["cv", str(tiny_probe), "--data", str(data), "--set", "counterparts.scales=[1.0]", "--out", "r"]
    environment = {"HUMANMADE_CACHE": str(tmp_path / "shared"), "HUMANMADE_WEIGHTS": str(autoencoder_weights)}
    processes, both = [], soak.CHILDREN.Barrier(2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        arguments = (both, tmp_path / name, words, tmp_path / name / "log.txt", environment)
        processes.append(soak.CHILDREN.Process(target=slowly, args=arguments))
        processes[-1].start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    logs = [(tmp_path / name / "log.txt").read_text() for name in ("one", "two")]
    for stage in STAGES:
        holders = [rf"process ({it.pid}|\(which .+\)) is {stage}; waiting for its end" for it in processes]
        assert re.search(holders[1], logs[0]) or re.search(holders[0], logs[1]), (stage, logs)
        done = [line for log in logs for line in log.splitlines() if line.startswith(f"done {stage}")]
        assert len(done) == len(set(done)) >= 4, f"{stage}: nothing twice"
    for name in ("oof.csv", "folds.csv"):
        assert (tmp_path / "one/r" / name).read_bytes() == (tmp_path / "two/r" / name).read_bytes()
    soak.check_whole(tmp_path / "shared")
    assert not list((tmp_path / "shared").rglob(".*")), "no lock and nothing half written stays"


def slowly(both: threading.Barrier, *arguments) -> None:
    """A start whose stages take their time, and which says what it does in each."""
    from humanmade.data import inventory
    from humanmade.detectors import counterparts
    from humanmade.detectors.probe import Probe

    def slow(function, stage, name):
        begun = threading.Event()

        def told(*given):
            if not begun.is_set():
                begun.set()
                time.sleep(2)
            os.write(1, f"done {stage} {name(given)}\n".encode())
            return function(*given)

        return told

    inventory._examine = slow(inventory._examine, STAGES[0], lambda given: given[0])
    counterparts._remake = slow(counterparts._remake, STAGES[1], lambda given: given[1][0].made)
    Probe.extract = slow(  # type: ignore[method-assign]
        Probe.extract, STAGES[2], lambda given: hashlib.sha256(given[1].numpy().tobytes()).hexdigest()
    )
    both.wait()
    soak._command(*arguments)
