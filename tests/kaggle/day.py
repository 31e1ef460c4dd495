"""A competitor's day against the stand-in, with the real client and the real kernel scripts.

`python -m tests.kaggle.day` prints its transcript: the day, then each way in which Kaggle's success lies.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from humanmade import metrics
from humanmade.competition import CURRENT
from tests.conftest import TINY_PROBE, write_competition
from tests.kaggle.standin import ROOT, Json, StandIn, State

SLUG, DATASET = CURRENT.slug, CURRENT.dataset


def open_competition(standin: StandIn, folder: Path, pairs: int = 12, test: int = 8) -> Path:
    """Make a competition that the stand-in offers, scores, and runs kernels on.

    Returns:
        Its folder, as the organisers have it.
    """
    write_competition(folder, pairs, test)
    standin.archives[SLUG] = zipped({name: (folder / name).read_bytes() for name in CURRENT.tables})
    everything = (path for path in sorted(folder.rglob("*")) if path.is_file())
    standin.archives[DATASET] = zipped({p.relative_to(folder).as_posix(): p.read_bytes() for p in everything})
    truth = {name: 1 - n % 2 for n, name in enumerate((folder / "test.csv").read_text().split()[1:])}
    standin.score = lambda content: (f"{_f1(truth, content):.5f}", "")
    standin.run_kernel = lambda asked: run_kernel(asked, folder)
    return folder


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive of names and contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _f1(truth: dict[str, int], submission: bytes) -> float:
    rows = dict(line.split(",") for line in submission.decode().split()[1:])
    return float(metrics.f1([truth[name] for name in rows], [int(label) for label in rows.values()]))


def run_kernel(asked: Json, competition: Path, ranks: int = 1) -> list[State]:
    """Run a pushed script in processes of its own, as Kaggle would; its states over time."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tables, pictures = (
            root / "input" / place for place in (f"competitions/{SLUG}", f"datasets/{DATASET}")
        )
        working = root / "working"
        for place in (tables, pictures, working):
            place.mkdir(parents=True)
        for name in CURRENT.tables:
            shutil.copy(competition / name, tables)
        for name in CURRENT.pictures:
            (pictures / name).symlink_to(competition / name)
        notebook = asked["kernelType"] == "notebook"
        script = working / "__notebook__.ipynb" if notebook else root / "script.py"
        run = ["-c", "from nbclient.cli import main; main()"] * notebook
        script.write_text(asked["text"])
        passed = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        done = subprocess.run(
            [sys.executable, *run, script],
            cwd=working,
            env=passed
            | dict.fromkeys(("HUMANMADE_KAGGLE", "TMPDIR", "HOME"), scratch)
            | {"HUMANMADE_RANKS": str(ranks)},
            capture_output=True,
            text=True,
            check=False,
        )
        made = {p.relative_to(working).as_posix(): p.read_bytes() for p in working.rglob("*") if p.is_file()}
    status = "ERROR" if done.returncode else "COMPLETE"
    return [State("QUEUED"), State("RUNNING"), State(status, made, done.stdout + done.stderr)]


def run(standin: StandIn, home: Path, *command: str, module: str = "humanmade") -> tuple[int, str]:
    """Give a command in `home/day` against the stand-in: its exit code, and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", module, *command],
        cwd=home / "day",
        env=standin.environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> None:
    """Print the transcript."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "day").mkdir()
        (home / "day/tiny.toml").write_text(TINY_PROBE)
        standin = StandIn()
        open_competition(standin, home / "kaggle")

        def say(text: str, *command: str, module: str = "humanmade") -> None:
            if text:
                print(f"\n# {text}")
            print("$ humanmade " + " ".join(command), flush=True)
            code, said = run(standin, home, *command, module=module)
            print(re.sub(re.escape(scratch), "/...", said).rstrip())
            print(f"[exit code {code}]", flush=True)

        train = ("push", "train", "--recipe", "spectrum", "--set", "folds=3", "--set", "workers=0")
        standin.accepted_rules = False
        say("the rules are not accepted yet", "data")
        standin.accepted_rules = True
        say("the day", "data")
        say("", *train, "--hours", "1", "--wait")
        say("", "pull", "train")
        say("", "cv", "tiny.toml", "--set", "folds=3")
        say("", "compare")
        blend = "submissions/two.csv"
        say("", "blend", "spectrum", "tiny", "--data", "data", "--out", blend, "--prevalence", "0.4")
        say("", "submit", blend, "-m", "two small ones")
        say("", "submit", "runs/spectrum/submission.csv")
        say("", "compare")
        print("\n$ cat submissions/ledger.csv\n" + (home / "day/submissions/ledger.csv").read_text().rstrip())
        _lies(standin, say)
        print(f"\n{len(standin.calls)} calls came to the stand-in; to other hosts: {len(standin.strays)}")
        standin.close()


def _lies(standin: StandIn, say: object) -> None:
    """Each of the client's false successes, one after another; building is quick from here on."""
    assert callable(say)
    quick = "tests.kaggle.quick"
    push = ("push", "train", "--recipe", "spectrum", "--hours", "1")
    name = "tester/humanmade-train-spectrum"
    standin.push_error = "Maximum batch GPU session count of 2 reached."
    say("a push refused in the answer's error", *push, module=quick)
    standin.push_error, standin.known_sources = "", {SLUG}
    say("a push with an unknown data source", *push, module=quick)
    standin.known_sources = None
    standin.fail("SaveKernel", 429, headers={"Retry-After": "1"})
    standin.fail("GetAcceleratorQuotaStatistics", 503, page=True)
    standin.fail("GetKernelSessionStatus", 0)
    old = standin.kernels[name][-1]
    fresh = standin.run_kernel
    standin.run_kernel = lambda asked: [old, old, State("RUNNING"), State("ERROR", {}, "no such module\n")]
    say(
        "429, 5xx, a dropped connection, the run before's COMPLETE; then it fails",
        *push,
        "--wait",
        module=quick,
    )
    standin.run_kernel = fresh
    say("", "push", "train", "--recipe", "spectrum", "--set", "folds=3", "--set", "workers=0", "--wait")
    standin.fail("GET oof.csv", 404, times=9, page=True)
    say("a dead output link", "pull", "train", "--force")
    standin.faults.clear()
    standin.fail("GET oof.csv", 200, page=True)
    say("an error page in place of an output, once", "pull", "train", "--force")
    standin.fail("PUT two.csv", 500, times=9)
    say("an upload that fails", "submit", "submissions/two.csv", "--again", "--patience", "3")
    standin.faults.clear()
    standin.fail("CreateSubmission", 503, after=True)
    say("an answer that is lost: nothing is sent twice", "submit", "submissions/two.csv", "--again")
    standin.score = lambda _: ("", "Evaluation metric raised an error")
    say("a submission that Kaggle cannot score", "submit", "submissions/two.csv", "--again")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
