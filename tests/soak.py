"""Kill trainings again and again; what comes out must be what an undisturbed run gives.

`python -m tests.soak --rounds 3` trains each kind of detector on a few pictures, ends it at random moments
(Ctrl-C, the end of a session, a pulled plug), starts the same command again until it is done, and compares
the bytes. Two processes of torchrun lose one of them in the same way. After every blow each table, JSON file
and safetensors file of the run folder must be whole. It prints one row of a table a round, whatever happens
in it: what failed is named there, and its log goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image
from safetensors import safe_open

from humanmade.commands import main as humanmade
from tests.conftest import TINY_NETWORK, TINY_PROBE, scene, softened

BLOWS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SMALL = "image_size = 32\nfolds = 3\nworkers = 0\nshrinkage = [0.01]\n"
TINY_VAE = f'detector = "vae"\nepochs = 3\nbatch_size = 4\nprecision = "fp32"\n{SMALL}'
RECIPES = {
    "network": TINY_NETWORK.replace("workers = 0", "workers = 1"),
    "probe": TINY_PROBE + 'histories = ["identity", "history_1"]\n',
    "spectrum": f'detector = "spectrum"\n{SMALL}',
    "vae": TINY_VAE,
    "ensemble": 'detector = "ensemble"\nmembers = ["network.toml", "spectrum.toml", "vae.toml"]\nfolds = 3\n',
}
SHARED = ("--set", "backbone=test_vit", "--fold", "0")
"""Options under which two processes share the pictures of one fold."""

RESULTS = ("folds.csv", "oof.csv", "test.csv", "submission.csv")
PATIENCE = 600.0
"""Seconds that one start may take."""

# Children are forked from a process that has imported everything, so that blows fall into the work.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(
    ["humanmade.crossval.command", "humanmade.pretrained", "tests.conftest"]
    + [f"humanmade.detectors.{kind}" for kind in RECIPES]
)


class UnexpectedError(Exception):
    """A start that ended otherwise than it should: how, and in further lines its log."""


@dataclass(frozen=True)
class Start:
    """How one start of a command ended."""

    seconds: float
    code: int
    text: str
    struck: bool = False
    """Whether the blow fell before it ended by itself."""

    @property
    def said(self) -> list[str]:
        """Its last words: lines that begin as errors of the kit do."""
        return [line for line in self.text.splitlines() if line.startswith("humanmade: ")]

    @property
    def fell(self) -> bool:
        """Whether a traceback of ours is in its log."""
        return "/humanmade/" in self.text and "Traceback" in self.text


def make_world(folder: Path, pairs: int = 6, test: int = 2) -> None:
    """Write a small data folder and a recipe of each kind of detector."""
    (folder / "data").mkdir(parents=True)
    rows = []
    for number in range(pairs + test):
        for label, picture in enumerate((scene(number), softened(scene(number)))):
            name = f"{number}_{label}.png"
            Image.fromarray(picture).save(folder / "data" / name)
            rows.append((name, label, "train" if number < pairs else "test", f"p{number}"))
    columns = ["path", "label", "split", "pair"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "data" / "manifest.csv", index=False)
    for name, recipe in RECIPES.items():
        (folder / f"{name}.toml").write_text(recipe)


def _command(folder: Path, words: Sequence[str], log: Path, environment: dict[str, str]) -> None:
    """What a child does: the command line, its output in a file."""
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ |= environment
    os.chdir(folder)
    multiprocessing.set_start_method("fork", force=True)  # for workers, as in a process of the command line
    sys.argv[1:] = words
    sys.exit(humanmade())


def alone(folder: Path, words: Sequence[str], cache: str, blow: int = 0, after: float = math.inf) -> Start:
    """Start a command of the kit, and end it after so many seconds."""
    log, began = folder / "log.txt", time.monotonic()
    environment = {"HUMANMADE_CACHE": str(folder / cache)}
    process = CHILDREN.Process(target=_command, args=(folder, words, log, environment))
    process.start()
    process.join(min(after, PATIENCE))
    if struck := process.is_alive() and after < PATIENCE:
        os.kill(process.pid or 0, blow)
        process.join(PATIENCE)
    text = log.read_text(errors="replace") if log.exists() else ""
    if process.exitcode is None:
        process.kill()
        raise UnexpectedError(f"it did not end in {PATIENCE:.0f} s\n{text}")
    return Start(time.monotonic() - began, process.exitcode, text, struck)


def in_two(folder: Path, words: Sequence[str], cache: str, blow: int = 0, after: float = math.inf) -> Start:
    """Start a command under torchrun, and end one of its two processes after so many seconds."""
    log, began = folder / "log.txt", time.monotonic()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    environment = os.environ | {"HUMANMADE_CACHE": str(folder / cache), "OMP_NUM_THREADS": "1"}
    with log.open("w") as sink:
        process = subprocess.Popen(
            [*launch, "--nproc-per-node", "2", "-m", "humanmade", *words],
            stdout=sink,
            stderr=sink,
            cwd=folder,
            env=environment,
        )
        try:
            struck = after < PATIENCE and _outlives(process, after) and _strike(process, blow, after)
            if _outlives(process, PATIENCE):
                text = log.read_text(errors="replace")
                raise UnexpectedError(f"it did not end in {PATIENCE:.0f} s\n{text}")
        finally:
            process.terminate()  # torchrun ends its processes then
            process.wait()
    return Start(time.monotonic() - began, process.returncode, log.read_text(errors="replace"), struck)


def _outlives(process: subprocess.Popen[bytes], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is None


def _strike(launcher: subprocess.Popen[bytes], blow: int, seed: float) -> bool:
    """End one of the processes that torchrun started; whether there was one."""
    listed = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True)
    ranks = [int(pid) for pid in listed.stdout.split()]
    with contextlib.suppress(IndexError, ProcessLookupError):  # none has begun, or it ended meanwhile
        os.kill(random.Random(seed).choice(ranks), blow)
        return True
    return False


def check_whole(out: Path) -> None:
    """Read what a run folder holds."""
    for path in sorted(out.rglob("[!.]*.*")):
        if path.suffix == ".csv":
            pd.read_csv(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                list(file.keys())


def train(start: Callable[..., Start], folder: Path, words: Sequence[str]) -> tuple[list[bytes], float]:
    """An undisturbed run: what it ends with, and how many seconds it takes."""
    start(folder, ["--version"], "none")  # the first start of all is slower
    done = start(folder, [*words, "--out", "whole"], "whole-cache")
    if done.code:
        raise UnexpectedError(f"exit code {done.code} of an undisturbed run\n{done.text}")
    results = [
        (folder / "whole" / name).read_bytes() for name in RESULTS if (folder / "whole" / name).exists()
    ]
    shutil.rmtree(folder / "whole")
    shutil.rmtree(folder / "whole-cache")
    return results, done.seconds


@dataclass(frozen=True)
class Round:
    """A training that was ended again and again until it was done."""

    moments: list[float]
    """Seconds after which it was ended."""
    ends: list[str]
    """How each start ended: its exit code, and whether it said one line."""
    same: bool
    """Whether it ended with the bytes of an undisturbed run."""


def disturb(
    start: Callable[..., Start],
    folder: Path,
    words: Sequence[str],
    whole: tuple[list[bytes], float],
    blows: Iterator[int],
    rng: random.Random,
    fewest: int = 1,
) -> Round:
    """Start a command until it is done, ending each start but the last.

    Where it was done before `fewest` blows fell, the training is begun anew.

    Raises:
        UnexpectedError: a start ended otherwise than by what ended it.
    """
    results, length = whole
    out, moments, ends, same = folder / "disturbed", list[float](), list[str](), True
    while not ends or ends[-1] != "0" or len(moments) < fewest:
        # Later blows come later on the whole, so that every round gets somewhere.
        latest = 0.3 if len(moments) < fewest else 0.6 + 0.2 * (len(moments) - fewest)
        blow, after = next(blows), rng.uniform(0.05, latest) * length
        done = start(folder, [*words, "--out", str(out)], "disturbed-cache", blow, after)
        expected = {0, 1 if start is in_two else 130, -blow} if done.struck else {0}
        if done.fell or len(done.said) > 1 or done.code not in expected:
            how = f"after signal {blow} at {after:.1f} s" if done.struck else "by itself"
            raise UnexpectedError(f"exit code {done.code} {how}\n{done.text}")
        check_whole(out)
        ends.append(f"{done.code}{' and one line' * len(done.said)}")
        if done.code:
            moments.append(after)
            continue
        same &= results == [(out / name).read_bytes() for name in RESULTS if (out / name).exists()]
        shutil.rmtree(out)
        shutil.rmtree(folder / "disturbed-cache")
    return Round(moments, ends, same)


def row(*cells: str) -> None:
    """Print a row of the table."""
    print(f"| {' | '.join(cells)} |", flush=True)


@contextlib.contextmanager
def told(*cells: str) -> Iterator[None]:
    """Whatever ends what is done in the block, print a row of it, and its log; a stop goes on stopping."""
    try:
        yield
    except BaseException as error:
        how, _, log = str(error).partition("\n")
        row(*cells, f"{type(error).__name__}: {how}", "NO")
        print(log, file=sys.stderr, flush=True)
        if not isinstance(error, Exception):
            raise


def soak(folder: Path, kind: str, rounds: int, rng: random.Random) -> int:
    """Disturb one kind of training, so many rounds a signal; how many ended as they should."""
    start = alone if kind in RECIPES else in_two
    recipe = kind if kind in RECIPES else "network"
    more = SHARED if kind == "one fold shared" else ()
    words = ["cv", f"{recipe}.toml", "--data", "data", "--folds", "2", *more]
    good, whole = 0, None
    with told(kind, "none", "undisturbed"):
        whole = train(start, folder, words)
    for blow in BLOWS if kind in RECIPES else (signal.SIGKILL,):
        for _ in range(rounds if whole else 0):
            assert whole
            with told(kind, blow.name, f"of {whole[1]:.1f}"):
                made = disturb(start, folder, words, whole, itertools.repeat(blow), rng)
                moments = ", ".join(f"{moment:.1f}" for moment in made.moments)
                ends = "; ".join(dict.fromkeys(made.ends))
                row(kind, blow.name, f"{moments} of {whole[1]:.1f}", ends, "yes" if made.same else "NO")
                good += made.same
            for left in ("disturbed", "disturbed-cache"):
                shutil.rmtree(folder / left, ignore_errors=True)
    return good


def main() -> None:
    """Run the soak and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=[*RECIPES, "two folds at once", "one fold shared"])
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rng = random.Random(chosen.seed)
    print("| detector | signal | moments (s) | ended how | bytes equal |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        make_world(Path(scratch))
        good = [soak(Path(scratch), kind, chosen.rounds, rng) for kind in chosen.kinds]
    signals = sum(len(BLOWS) if kind in RECIPES else 1 for kind in chosen.kinds)
    sys.exit(sum(good) < signals * chosen.rounds)


if __name__ == "__main__":
    main()
