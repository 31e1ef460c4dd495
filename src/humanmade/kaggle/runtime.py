"""What runs inside a Kaggle kernel: its inputs found, its GPUs tried, its verbs run, its outputs listed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from humanmade import files, places, provenance, run
from humanmade import recipe as recipes
from humanmade.data.defaults import Choice, data_or_demo
from humanmade.errors import COMPLAINT, UserError
from humanmade.kaggle import SMALL, archives, whole_run
from humanmade.kaggle.inputs import Inputs
from humanmade.kaggle.outputs import CACHE, OutputFolder
from humanmade.progress import warn
from humanmade.run import RUNS, Run

MOST_BROKEN = 0.01
"""Share of the train pictures that may be unreadable; more means that something else is wrong."""
KEPT = (run.RECIPE, run.FOLDS, run.PICTURES, run.OOF, run.SCORES)
"""What a run under other views keeps of the run that it is of."""


@dataclass
class Session:
    """One run of a kernel."""

    inputs: Inputs
    working: Path
    """What is left here is kept as output."""
    scratch: Path
    ranks: int = 1
    """Processes that training is spread over: one a GPU."""
    unfinished: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def cache(self) -> Path:
        """What is computed once, by this session's verbs and the next session's."""
        return self.scratch / "cache"

    @property
    def environment(self) -> dict[str, str]:
        """What its verbs are told of the machine."""
        return {"HUMANMADE_CACHE": str(self.cache), "HF_HUB_OFFLINE": "1"}

    def train(
        self,
        recipe: str,
        settings: Sequence[str],
        hours: float,
        resume: str,
        options: Sequence[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        """Train all folds of a recipe, then predict the test set.

        A few unreadable pictures do not end it. A run on a part of the data has a name of its own and says
        at its end what the whole would take.

        Args:
            hours: from the session's begin; what is not trained by then is left unfinished.
            resume: `owner/slug` of an earlier session whose run is gone on with; may be empty.
            options: more of `cv`, as on its command line.
            extra: `owner/slug` of datasets with labelled pictures that join every training part.
        """
        job, small = recipes.load(recipe, settings), "--limit" in options
        data, more = self.inputs.data(extra), [self.inputs.labelled(name) for name in extra]
        out = self.working / RUNS / f"{job.name}{SMALL * small}"
        if resume:
            self._take_up(resume, out)
        left = max(hours - (time.monotonic() - self.began) / 3600, 1e-6)
        given = [*_words("--data", data), *_words("--extra", more), *_words("--set", settings), *options]
        bound = [] if "--skip-broken" in options else ["--most-broken", str(MOST_BROKEN)]
        ends = ["--out", str(out), "--hours", f"{left:.6f}", *bound]
        began = time.monotonic()
        self._humanmade(["cv", recipe, *given, *ends], self.ranks)
        if small:
            seconds = time.monotonic() - began
            print("\n".join(whole_run.lines(Run(out), job, data, more, seconds, self.ranks)), flush=True)
        self.unfinished = Run(out).scores.unfinished
        if (out / run.SUBMISSION).is_file():
            shutil.copyfile(out / run.SUBMISSION, self.working / run.SUBMISSION)

    def _take_up(self, reference: str, out: Path) -> None:
        """Copy the run that an earlier session left, to go on with it."""
        earlier = [folder for folder in self.inputs.runs_of(reference) if folder.name == out.name]
        if not earlier:
            raise UserError(f"{reference}: no run {out.name} of it among the inputs")
        archives.copy(earlier[0], out)
        kept = (folder / CACHE for folder in self.inputs.folders_of(reference))
        if archive := next(filter(Path.is_file, kept), None):
            try:
                archives.unpack(archive, self.cache)
            except UserError as error:  # it only spares time
                warn(f"{error}; what it holds is computed again")
        print(f"going on with {earlier[0]}", flush=True)

    def predict(self, recipe: str, references: Sequence[str], settings: Sequence[str]) -> None:
        """Predict the test set with the runs of other kernels, into `runs/<name>-predict/`.

        Args:
            recipe: its TTA views are what the runs predict with.
            references: `owner/slug` of kernels whose runs are attached.
        """
        views = recipes.load(recipe, settings).views
        made: list[Path] = []
        for reference in references:
            for source in self.inputs.runs_of(reference):
                made.append(self.working / RUNS / f"{source.name}-predict")
                self._predict(source, made[-1], views)
        self._blend(made, [])

    def blend(self, references: Sequence[str], settings: Sequence[str]) -> None:
        """Blend the runs of other kernels into a submission.

        Args:
            settings: options of the verb, such as `method=rank`.
        """
        members = [folder for reference in references for folder in self.inputs.runs_of(reference)]
        pairs = [setting.partition("=") for setting in settings]
        self._blend(members, [part for key, _, value in pairs for part in (f"--{key}", value)])

    def _predict(self, source: Path, out: Path, views: list[str]) -> None:
        """Predict with a run under other views, and keep what blending needs of it."""
        if out.exists():
            raise UserError(f"run {source.name}: of this name there are two; predict with them apart")
        viewed = Run(self.scratch / out.name)
        archives.copy(source, viewed.folder)
        recipes.save(recipes.change(Run(source).recipe, views=views), viewed.folder / run.RECIPE)
        given = [*_words("--data", self.inputs.data()), "--out", str(out / run.TEST), "--skip-broken"]
        self._humanmade(["predict", str(viewed.folder), *given], self.ranks)
        for name in KEPT:
            if (viewed.folder / name).is_file():
                shutil.copyfile(viewed.folder / name, out / name)
        self.unfinished |= viewed.scores.unfinished

    def _blend(self, members: Sequence[Path], options: Sequence[str]) -> None:
        given = [*_words("--data", self.inputs.data()), *options]
        self._humanmade(["blend", *map(str, members), *given, "--out", str(self.working / run.SUBMISSION)])

    def _humanmade(self, arguments: Sequence[str], ranks: int = 1) -> None:
        """Run a verb in a process of its own, or in several that torchrun starts."""
        launch = [sys.executable, "-m"]
        if ranks > 1:
            launch += ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
            launch += ["--nproc-per-node", str(ranks), "-m"]
        environment = os.environ | self.environment
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // ranks)))
        print("humanmade " + " ".join(arguments), flush=True)
        command = [*launch, "humanmade", *arguments]
        reason = "what it said stands above"
        with subprocess.Popen(
            command, cwd=self.scratch, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as child:
            assert child.stderr
            for line in child.stderr:
                sys.stderr.write(line)
                if line.startswith(COMPLAINT):
                    reason = line.removeprefix(COMPLAINT).strip()
        if child.returncode:
            raise UserError(f"{arguments[0]} ended with exit code {child.returncode}: {reason}")


def _words(option: str, values: Iterable[object]) -> list[str]:
    """An option that is given once for each value."""
    return [word for value in values for word in (option, str(value))]


@contextlib.contextmanager
def session(run_id: str, gpu: bool = True) -> Iterator[Session]:
    """Begin a kernel's work, and list its outputs as folds are finished and at the end, also after a failure.

    For runs elsewhere than on Kaggle, `HUMANMADE_KAGGLE` stands for /kaggle, and `HUMANMADE_RANKS` asks
    for that many processes without GPUs.

    Args:
        run_id: of the push; tells this session's outputs from those of the one before.
        gpu: whether one is needed.

    Raises:
        SystemExit: 2, after one line that says why.
    """
    root = places.kaggle()
    scratch = Path(tempfile.mkdtemp(prefix="humanmade-scratch-"))
    current = Session(Inputs(root / "input", scratch), files.make_folder(root / "working"), scratch)
    outputs = OutputFolder(current.working, run_id)
    try:
        # One that is ended before its time leaves its id all the same.
        outputs.write([], unfinished=True)
        print(", ".join(f"{name} {version}" for name, version in provenance.versions().items()), flush=True)
        ranks = os.environ.get("HUMANMADE_RANKS")
        if ranks:
            current.ranks = int(ranks)
        elif gpu:
            current.ranks = len(working_gpus())
        with outputs.watched():
            yield current
    except BaseException as error:
        current.unfinished = True
        if not isinstance(error, UserError):
            raise
        print(f"{COMPLAINT}{error}", file=sys.stderr, flush=True)
        sys.exit(2)
    finally:
        outputs.close(current.unfinished, current.cache)
        shutil.rmtree(scratch, ignore_errors=True)
    if current.unfinished:
        print("unfinished: push with --resume goes on from here", flush=True)


def begin_notebook(run_id: str) -> tuple[Choice, contextlib.ExitStack]:
    """In a kernel find what is attached, and work where outputs are kept; at home take data/ or the demo.

    Args:
        run_id: of the push; empty at home.

    Returns:
        The data, and what has to be closed at the end: in a kernel, what was left then is listed for `pull`.

    Raises:
        SystemExit: 2, in a kernel without the competition's data, after one line that says why.
    """
    with contextlib.ExitStack() as opened:
        if not run_id:
            return data_or_demo(()), opened
        current = opened.enter_context(session(run_id, gpu=False))
        data = Choice(current.inputs.data())
        os.environ |= current.environment
        os.chdir(current.working)
        return data, opened.pop_all()


def working_gpus() -> list[str]:
    """Compute on every GPU, in a process of its own; their names.

    Raises:
        UserError: there is none, or one does not work.
    """
    command = [sys.executable, "-c", _TRY_GPUS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n")[:-1]
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"the GPU does not work ({reason}); Kaggle may have given an older kind: push again")
    if not names:
        raise UserError("this session has no GPU, though kernel-metadata.json asks for one; push again")
    print(f"GPUs: {', '.join(names)}", flush=True)
    return names


_TRY_GPUS = """
import torch
for number in range(torch.cuda.device_count()):
    square = torch.ones(64, 64, device=f"cuda:{number}", dtype=torch.float16)
    assert float((square @ square).float().sum()) == 64**3, "wrong results"
    print(torch.cuda.get_device_name(number))
"""
