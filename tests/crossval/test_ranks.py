"""The same command under torchrun: folds dealt out to two processes, or one fold's data shared by them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import humanmade
from humanmade.commands import main
from tests.conftest import MakeFolder

PLAIN = ["backbone=test_vit", "drop_rate=0", "optimiser=sgd", "clip_grad=0", "lr=0.05"]
EXACT = [part for setting in PLAIN for part in ("--set", setting)]
"""Without batch norm and dropout steps do not depend on how a batch is cut; plain SGD shows their size."""


def torchrun(*arguments: object, kill_after: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`humanmade cv` on two processes of this machine, one thread each.

    Args:
        kill_after: the file at whose appearance the second process is killed.
    """
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command = [*launch, "--nproc-per-node", "2", "-m", "humanmade", "cv", *map(str, arguments)]
    package = Path(humanmade.__file__).parents[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(package)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        deadline = time.monotonic() + 120
        while kill_after and not kill_after.is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        if kill_after:
            listed = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True)
            os.kill(int(listed.split()[1]), signal.SIGKILL)
        out, errors = process.communicate(timeout=240)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def alone(*arguments: object) -> None:
    assert main(["cv", *map(str, arguments)]) == 0


def losses(run: str) -> list[float]:
    lines = Path(run, "fold0/log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_folds_over_ranks_give_the_rows_and_logits_of_one_process(
    tiny_network: Path, competition_folder: MakeFolder
):
    folder = competition_folder(pairs=9, test=4)
    done = torchrun(tiny_network, "--data", folder, "--out", "two")
    assert done.returncode == 0, done.stderr
    alone(tiny_network, "--data", folder, "--out", "one")
    assert Path("two/folds.csv").read_bytes() == Path("one/folds.csv").read_bytes()
    for name in ("oof.csv", "test.csv"):
        two, one = pd.read_csv(f"two/{name}"), pd.read_csv(f"one/{name}")
        assert two.drop(columns="logit").equals(one.drop(columns="logit"))
        assert np.abs(two["logit"] - one["logit"]).max() < 1e-3
    assert len(json.loads(Path("two/scores.json").read_text())["folds"]) == 3
    assert done.stdout.count("run folder: two") == 1, "one rank speaks for all"
    assert main(["check", "two/submission.csv", "--data", str(folder)]) == 0


def test_a_fold_shared_by_ranks_learns_as_by_one_process(tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=9, test=2)
    small = ["--set", "batch_size=4", "--set", "accumulate=2", "--set", "epochs=4"]
    arguments = [tiny_network, "--data", folder, *EXACT, "--fold", 0, *small, "--out"]
    alone(*arguments, "one")
    stopped = torchrun(*arguments, "two", "--hours", 1e-9)
    assert stopped.returncode == 0 and "time budget is used up" in stopped.stderr, stopped.stderr
    done = torchrun(*arguments, "two")
    assert done.returncode == 0, done.stderr
    assert losses("two") == pytest.approx(losses("one"), rel=1e-4)
    two, one = pd.read_csv("two/oof.csv"), pd.read_csv("one/oof.csv")
    assert two["id"].tolist() == one["id"].tolist()
    assert np.abs(two["logit"] - one["logit"]).max() < 1e-3
    assert not list(Path("two").rglob("last.pt"))


def test_a_failing_rank_ends_all_with_one_line(tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=9)
    diverging = ["lr=100", "optimiser=sgd", "clip_grad=0", "epochs=40"]
    settings = [part for value in diverging for part in ("--set", value)]
    done = torchrun(tiny_network, "--data", folder, "--out", "r", "--fold", 0, *settings)
    assert done.returncode == 1, "as torchrun ends when a rank does"
    said = [line for line in done.stderr.splitlines() if line.startswith("humanmade:")]
    assert len(said) == 1 and "training diverged" in said[0]
    assert "cli.py" not in done.stderr, "no traceback of ours"


def killed_in_the_middle(*arguments: object) -> None:
    """Kill the second process in a fold's training; the first ends with one line."""
    killed = torchrun(*arguments, "killed", kill_after=Path("killed/fold0/log.jsonl"))
    said = [line for line in killed.stderr.splitlines() if line.startswith("humanmade:")]
    assert killed.returncode == 1 and len(said) == 1, killed.stderr
    assert "the same command goes on" in said[0]
    assert str(Path(humanmade.__file__).parent) not in killed.stderr, "no traceback of ours"
    assert Path("killed/fold0").is_dir() and not Path("killed/fold0/scores.json").exists(), "in the middle"


def test_a_killed_rank_ends_all_with_one_line(tiny_network: Path, manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=9, test=2)
    killed_in_the_middle(tiny_network, "--data", folder, "--fold", 0, "--set", "epochs=12", "--out")


@pytest.mark.slow
def test_after_a_killed_rank_the_same_command_ends_with_the_same_bytes(
    tiny_network: Path, manifest_folder: MakeFolder
):
    folder = manifest_folder(pairs=9, test=2)
    arguments = [tiny_network, "--data", folder, "--fold", 0, "--set", "epochs=12", "--out"]
    whole = torchrun(*arguments, "whole")
    assert whole.returncode == 0, whole.stderr
    killed_in_the_middle(*arguments)
    done = torchrun(*arguments, "killed")
    assert done.returncode == 0, done.stderr
    for name in ("oof.csv", "test.csv", "fold0/model.safetensors"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes()
