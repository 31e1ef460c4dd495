"""Feed damaged files to whatever reads files that others wrote; only the kit's own errors may come out.

`python -m tests.fuzz --seconds 60` changes files of each target at random, guided by the lines that they
reach where atheris is installed. What comes out otherwise than as one line of the kit's own errors, takes
more than `CPU_SECONDS` or more memory than `MEMORY` is a finding: its input is kept in `build/fuzz`, and the
exit code is 1. `docs/reliability.md` says how to read what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.util
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

GUIDED = __name__ == "__main__" and importlib.util.find_spec("atheris") is not None
ATHERIS: Any = importlib.import_module("atheris") if GUIDED else None

with (
    ATHERIS.instrument_imports(include=["humanmade", "PIL", "zipfile"])
    if GUIDED
    else contextlib.nullcontext()
):
    import numpy as np
    import pandas as pd
    from PIL import Image

    from humanmade import files, ledger, looks, submission
    from humanmade import recipe as recipes
    from humanmade.data import manifest
    from humanmade.errors import KaggleError, UserError
    from humanmade.evaluation import blend, compare, significance
    from humanmade.evaluation.blend import read_member
    from humanmade.images.decode import BrokenPictureError, decode
    from humanmade.images.facts import shown_facts, stored_facts
    from humanmade.kaggle import archives as packed_folders
    from humanmade.kaggle import download, outputs
    from humanmade.run import Run
    from humanmade.scores import CorruptedScores, Distance, FoldScores, Forecast, Scores, Steadiness

OWN_ERRORS = (UserError, KaggleError, BrokenPictureError)
FOUND = Path(__file__).parents[1] / "build/fuzz"
CPU_SECONDS = 10.0
MEMORY = 3 * 2**30
"""Bytes that the process may hold at its largest; a picture of the most pixels allowed is 300 MB."""
LONGEST = 2**15
"""Bytes of an input."""


def picture(data: bytes) -> None:
    """A picture's bytes: decoded both ways to the same shape, and its facts for the audit."""
    shown = decode(data)
    assert shown.ndim == 3 and shown.shape[2] == 3 and shown.dtype == np.uint8
    assert decode(data, trusted=True).shape == shown.shape
    image = Image.fromarray(shown)
    stored_facts(data), shown_facts(image, image.convert("L"))


def pictures() -> Iterable[bytes]:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = ("RGB JPEG", "RGB PNG", "RGB WEBP", "RGB GIF", "RGB TIFF", "RGB BMP", "RGB AVIF")
    kinds: dict[str, dict[str, Any]] = {name: {} for name in plain}
    kinds |= {"RGB  JPEG": {"exif": exif.tobytes()}, "L JPEG": {"progressive": True}}
    kinds |= {name: {} for name in ("CMYK JPEG", "CMYK TIFF", "RGBA PNG", "LA PNG", "I;16 PNG", "F TIFF")}
    kinds |= {"P PNG": {"transparency": 0}, "RGB  TIFF": {"compression": "tiff_lzw"}}
    for name, options in kinds.items():
        (mode, kind), out = name.split(), io.BytesIO()
        with contextlib.suppress(KeyError, OSError):  # this Pillow cannot write the format
            small.convert("L" if mode == "I;16" else mode).convert(mode).save(out, kind, **options)
            yield out.getvalue()


TABLES = ("manifest.csv", "train.csv", "test.csv", "groups.csv")


def table(data: bytes) -> None:
    """One of a data folder's tables, named by the first byte, beside good ones."""
    name = TABLES[data[0] % len(TABLES)] if data else TABLES[0]
    folder = Path("data")
    folder.mkdir(exist_ok=True)
    for other in TABLES:
        (folder / other).unlink(missing_ok=True)
    if name != "manifest.csv":
        for other, content in zip(TABLES[1:], GOOD_TABLES[1:], strict=True):
            (folder / other).write_bytes(content)
    (folder / name).write_bytes(data[1:])
    rows = manifest.load([folder], limit=3, pictures=False)
    if b"root" not in data:
        assert all(Path(os.path.normpath(path)).is_relative_to(folder) for path in rows["path"])
    assert rows["id"].is_unique and set(rows["label"]) <= {-1, 0, 1}
    assert (rows.loc[rows["split"] == "test", "label"] == -1).all()
    manifest.check_trainable(rows)
    if (rows["split"] == "test").any():
        manifest.submission_ids(rows)


GOOD_TABLES = (
    b"path,label,split,pair,source,group\nimages/0.png,0,train,p,a,\nimages/1.png,1,train,p,b,g\nimages/2.png,,test,,,\n",
    b",file_name,label\r\n0,train_data/0.png,1\r\n1,train_data/1.png,0\r\n2,train_data/2.png,1\r\n3,train_data/3.png,0\r\n",
    b"id\r\ntest_data_v2/0.png\r\ntest_data_v2/1.png\r\n",
    b"id,group\ntrain_data/0.png,g\ntest_data_v2/1.png,g\n",
)


def tables() -> Iterable[bytes]:
    quoted = b'\xef\xbb\xbfpath,label,root\r\n"images/0.png",0,\r\n"a ""b"", c.png",1,/tmp\r\n'
    return [*(bytes([place]) + content for place, content in enumerate(GOOD_TABLES)), b"\0" + quoted]


def recipe(data: bytes) -> None:
    """A recipe's file and, behind zero bytes, `--set` options; what is read is written and read back."""
    text, *options = data.split(b"\0")
    Path("own.toml").write_bytes(text)
    read = recipes.load("own.toml", [option.decode("utf-8", "replace") for option in options])
    recipes.save(read, Path("again.toml"))
    assert recipes.load("again.toml") == read


def recipe_files() -> Iterable[bytes]:
    yield from ((recipes.SHIPPED / f"{name}.toml").read_bytes() for name in recipes.shipped()[::3])
    yield b'detector = "ensemble"\nmembers = ["probe_lite0", "spectrum"]\0members.spectrum.shrinkage=[1.0]'
    yield b"a = " + b"[" * 5000
    yield b'detector = "network"\n[augment]\nchain = 2\nscale_range = [0.5, 1]\0lr=1e-4\0views=["hflip"]'


RUN_FILES = {
    "runs/r": ("recipe.toml", "folds.csv", "oof.csv", "test.csv", "scores.json"),
    "runs/r/fold0": ("scores.json", "corrupted.csv", "test.csv"),
    ".": ("submissions/ledger.csv", "looks.csv", "submission.csv"),
}
PLACES = [Path(folder) / name for folder, names in RUN_FILES.items() for name in names]


def run_file(data: bytes) -> None:
    """One file of a run, or of what is kept of runs, named by the first byte; then all that reads it."""
    good = _good_run()
    place = PLACES[data[0] % len(PLACES)] if data else PLACES[0]
    place.write_bytes(data[1:])
    try:
        _read_all()
    finally:
        for path, content in good.items():
            if path.read_bytes() != content:
                path.write_bytes(content)


def _read_all() -> None:
    run = Run.find("r")
    for key in run.finished():
        run.finished_fold(key), run.fold_stages(key)
        run.fold_logits(key, "test.csv", pd.Series(["t0", "t1"]))
    member, other = read_member("r"), read_member("other.csv")
    blended = blend.Blend([member, other], "mean").test
    assert np.isfinite(blended).all()
    assert run.oof is not None and run.test is not None
    rows = ledger.read()
    ledger.record(rows)
    compare.report([run, Run.find("s")], rows)
    looks.read(Path("looks.csv"))
    submission.check(Path("submission.csv"), ["t0", "t1"])


@functools.cache
def _good_run() -> dict[Path, bytes]:
    """Two runs and what is kept of runs, written into the working folder once."""
    significance.RESAMPLES = 50  # fewer are as good for this, and sooner
    for name in ("r", "s"):
        folder = Path("runs") / name
        (folder / "fold0").mkdir(parents=True, exist_ok=True)
        ids, numbers = [f"p{i}" for i in range(8)], np.arange(8)
        rows = pd.DataFrame(
            {"id": ids, "label": numbers % 2, "fold": numbers // 4, "logit": numbers % 3 - 1.0}
        )
        tested = pd.DataFrame({"id": ["t0", "t1"], "logit": [0.5, -1.0]})
        recipes.save(recipes.load("probe_lite0", ["folds=2"]), folder / "recipe.toml")
        files.write_csv(folder / "folds.csv", rows[["id", "fold"]].assign(group=numbers // 2))
        files.write_csv(folder / "oof.csv", rows)
        files.write_csv(folder / "test.csv", tested)
        files.write_csv(folder / "fold0/test.csv", tested)
        files.write_csv(
            folder / "fold0/corrupted.csv", rows[["id"]][:4].assign(clean=rows["logit"], jpeg50=0.1)
        )
        fold = {"fold": 0, "f1": 0.8, "auc": 0.9, "logloss": 0.4, "seconds": 1.0, "images_per_second": 2.0}
        files.write_json(folder / "fold0/scores.json", fold | {"stages": {"training": 1.0}})
        Scores(
            data="d",
            folds=[FoldScores(0, 1.0, 2.0, 0.8, 0.9, 0.4)],
            **{"f1": 0.8, "auc": 0.9, "logloss": 0.4, "scale": 1.5},
            sources={"a": 0.9, "worst": 0.8},
            corrupted={name: CorruptedScores(0.8, 0.7) for name in ("jpeg50", "mean", "worst")},
            steadiness=Steadiness(0.5, 0.1),
            distance=Distance(0.7, 0.1),
            forecast=Forecast(0.7, 0.6, 0.5, 0.9),
        ).write(folder / "scores.json")
    files.write_csv(Path("other.csv"), tested[::-1])
    Path("submissions").mkdir(exist_ok=True)
    ledger.LEDGER.unlink(missing_ok=True)
    ledger.record([{"ref": "1", "sha256": "x", "runs": "r", "public": "0.7", "forecast": "0.6"}])
    look = looks.Look("2026-01-01", "bench", "wild", "s", "r", "h", 2, 0.7, 0.6, 0.02)
    files.write_csv(Path("looks.csv"), pd.DataFrame([look]))
    Path("submission.csv").write_text("id,label\nt0,1\nt1,0\n")
    return {path: path.read_bytes() for path in PLACES}


def run_files() -> Iterable[bytes]:
    good = _good_run()
    numbered = {name: bytes([number]) for number, name in enumerate(map(str, PLACES))}
    yield from (numbered[str(path)] + content for path, content in good.items())
    yield from (numbered[f"runs/r{fold}/scores.json"] + b"[" * 100_000 for fold in ("", "/fold0"))
    yield numbered["submissions/ledger.csv"] + b"ref,sha256\n" + b"x" * 200_000 + b",y\n"


def archive(data: bytes) -> None:
    """What comes from Kaggle: an outputs.json, an archive, or an archive of the names in the input."""
    kind, content = (data[0] % 4, data[1:]) if data else (0, b"")
    if kind == 0:
        try:
            told = dict(json.loads(content))
        except (ValueError, TypeError, RecursionError):
            return  # the client makes one line of it
        listing = outputs.read(told, "me/kernel")
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in listing.files)
        return
    shutil.rmtree("out", ignore_errors=True)
    packed, folder = Path("a.zip"), Path("out/inner")
    folder.mkdir(parents=True)
    if kind == 3:
        with zipfile.ZipFile(packed, "w") as made:
            for name in content.decode("utf-8", "replace").split("\n"):
                made.writestr(zipfile.ZipInfo(name), name)
    else:
        packed.write_bytes(content)
    try:
        if kind == 2:
            download._unpack(packed, folder, ["train.csv"], "tables")
        else:
            packed_folders.unpack(packed, folder)
    finally:
        assert [path.name for path in Path("out").iterdir()] == ["inner"], "something landed outside"


def archives() -> Iterable[bytes]:
    listed = {"run_id": "1", "files": {"runs/r/recipe.toml": "0" * 64}, "unfinished": False, "bytes": 9}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("fold0/scores.json", "{}")
        made.writestr("data/train.csv", "file_name,label\n")
    yield b"\0" + json.dumps(listed).encode()
    yield b"\0" + b"[" * 100_000
    yield from (bytes([kind]) + packed.getvalue() for kind in (1, 2))
    yield b"\3fold0/a\nfold0/b/c\n../x\n/y\nfold0"


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "picture": (picture, pictures),
    "table": (table, tables),
    "recipe": (recipe, recipe_files),
    "run": (run_file, run_files),
    "archive": (archive, archives),
}
"""What each target does with an input, and inputs to begin with."""


@dataclass
class Watch:
    """One target, attempted over and over in the working folder."""

    target: str
    inputs: int = 0
    refused: int = 0
    seen: set[str] = field(default_factory=set)
    """Findings, by what went wrong where: each is told once."""

    def attempt(self, data: bytes) -> None:
        """Try an input, and tell of what is wrong with what came out."""
        self.inputs += 1
        began = time.process_time()
        try:
            with (
                Path(os.devnull).open("w") as sink,
                contextlib.redirect_stdout(sink),
                contextlib.redirect_stderr(sink),
            ):
                TARGETS[self.target][0](data)
        except OWN_ERRORS as error:
            self.refused += 1
            if len(str(error).splitlines()) != 1:
                self._tell(data, f"{type(error).__name__} of {len(str(error).splitlines())} lines", error)
        except Exception as error:
            self._tell(data, f"{type(error).__name__}", error)
        spent, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if spent > CPU_SECONDS:
            self._tell(data, f"{spent:.0f} s of CPU")
        if peak > MEMORY:
            self._tell(data, f"{peak / 2**30:.1f} GB of memory")

    def _tell(self, data: bytes, what: str, error: Exception | None = None) -> None:
        frames = traceback.extract_tb(error.__traceback__) if error else []
        own = [frame for frame in frames if "humanmade" in frame.filename] or frames[-1:]
        key = f"{what} {f'{own[-1].filename}:{own[-1].lineno}' if own else ''}" if error else what.split()[-1]
        if key in self.seen:
            return
        self.seen.add(key)
        kept = FOUND / f"{self.target}-{sha256(data).hexdigest()[:12]}"
        kept.write_bytes(data)
        print(f"{kept}: {what}", file=sys.stderr, flush=True)
        if error:
            traceback.print_exception(error, file=sys.stderr)


def damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """An input with a few bytes changed, cut, repeated, or taken from another one."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        start = rng.randrange(len(out) + 1)
        end = min(len(out), start + rng.choice((0, 1, 1, 2, 8, 64)))
        other = rng.choice(others)
        place = rng.randrange(len(other) + 1)
        pieces = (
            rng.randbytes(end - start),
            b"",
            out[start:end] * 2,
            other[place : place + 16],
            rng.choice(WORDS),
        )
        out[start:end] = rng.choice(pieces)
    return bytes(out[:LONGEST])


WORDS = [
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b",",
    b"-1",
    b"1e400",
    b"nan",
    b"9" * 30,
    b"null",
    b"[]",
    b"{}",
    b"\xff",
    b"../",
]


def fuzz(target: str, seconds: float, seed: int) -> None:
    """Attempt inputs for so long, and exit with 1 if there was a finding."""
    FOUND.mkdir(parents=True, exist_ok=True)
    watch, began = Watch(target), time.monotonic()
    corpus = list(TARGETS[target][1]())
    for data in corpus:
        watch.attempt(data)
    refused = watch.refused

    def told() -> None:
        kind = "guided" if GUIDED else "random"
        print(
            f"{target}: {watch.inputs} {kind} inputs in {time.monotonic() - began:.0f} s, "
            f"{watch.refused} refused (of the first {len(corpus)}: {refused}), {len(watch.seen)} findings",
            flush=True,
        )

    if not GUIDED:
        rng = random.Random(seed)
        while time.monotonic() < began + seconds:
            watch.attempt(damaged(rng.choice(corpus), corpus, rng))
    else:
        Path("corpus").mkdir()
        for number, data in enumerate(corpus):
            Path(f"corpus/{number}").write_bytes(data)

        def attempt(data: bytes) -> None:
            watch.attempt(data)
            if time.monotonic() > began + seconds:
                told()
                os._exit(bool(watch.seen))

        limits = [
            f"-seed={seed + 1}",
            f"-max_len={LONGEST}",
            "-timeout=120",
            "-rss_limit_mb=0",
            "-verbosity=0",
        ]
        ATHERIS.Setup([sys.argv[0], "corpus", *limits, f"-artifact_prefix={FOUND}/{target}-"], attempt)
        ATHERIS.Fuzz()
    told()
    sys.exit(bool(watch.seen))


def main() -> None:
    """Fuzz targets, each in a process and a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", default=[*TARGETS], help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="in this process and the working folder")
    chosen = parser.parse_args()
    if chosen.here:
        fuzz(chosen.targets[0], chosen.seconds, chosen.seed)
    worst = 0
    for target in chosen.targets:
        with tempfile.TemporaryDirectory() as scratch:
            options = ["--seconds", str(chosen.seconds), "--seed", str(chosen.seed), "--here"]
            paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
            command = [sys.executable, "-m", "tests.fuzz", target, *options]
            worst = max(
                worst, abs(subprocess.run(command, cwd=scratch, env=environment, check=False).returncode)
            )
    sys.exit(worst)


if __name__ == "__main__":
    main()
