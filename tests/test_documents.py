"""What README.md and docs/ tell the reader to type works: it is run on the demo, or at least parsed."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

import humanmade
from humanmade import commands, places, recipe
from humanmade.commands import main
from humanmade.data import demo
from tests.commands.test_commands import verb_of
from tests.conftest import TINY_NETWORK, TINY_PROBE, scene

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NOT_RUN = {
    "data": "asks Kaggle; tests/kaggle/test_download.py runs it against a stand-in",
    "push": "asks Kaggle; tests/kaggle/test_kernels.py",
    "pull": "asks Kaggle; tests/kaggle/test_kernels.py",
    "submit": "asks Kaggle; tests/kaggle/test_submissions.py",
    "scores": "asks Kaggle; tests/kaggle/test_submissions.py",
    "weights": "asks Kaggle; tests/kaggle/test_weights.py",
    "bench": "takes hours, and its data is not in the repository",
    "make test": "is what runs this",
    "make test-slow": "is what runs this",
    "make speed": "takes long, and measures",
    "make soak": "takes long; tests/crossval/test_kills.py",
    "make fuzz": "takes long; tests/test_fuzz.py",
    "torchrun": "takes several processes; tests/crossval/test_ranks.py",
    "python -m": "measures or prints for a document",
}
"""Commands that are parsed only, and why."""

FENCED = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
INLINE = re.compile(r"`((?:humanmade|make|torchrun|python -m) [^`]+)`")
TARGET = re.compile("make ([a-z-]+)")
TINY = {"demo": TINY_NETWORK, "convnext_tiny": TINY_NETWORK, "probe_lite0": TINY_PROBE}
"""Recipes that the documents name, as small as the test wants them: what is tried is the commands."""


def blocks(document: Path, *languages: str) -> Iterator[str]:
    return (code for language, code in FENCED.findall(document.read_text()) if language in languages)


def typed(document: Path) -> list[str]:
    """Commands of a document's fenced blocks, a line each."""
    lines = "\n".join(blocks(document, "sh", "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.split("#")[0].strip()]


def mentioned(document: Path) -> list[str]:
    """Commands that stand in a sentence, with what they need; a target of make may be named without."""
    prose = FENCED.sub("", document.read_text())
    found = [" ".join(words.split()) for words in INLINE.findall(prose)]
    return [line for line in found if "VERB" not in line and not TARGET.fullmatch(line)]


@cache
def kit_command(line: str) -> tuple[str, ...]:
    """The words of the `humanmade` command behind a line; of others the line's own.

    `make` itself says what it would run.
    """
    words = shlex.split(line, comments=True)
    if words[0] == "torchrun":
        return tuple(words[words.index("-m") + 1 :])
    if words[0] != "make":
        return tuple(words)
    asked = ["make", "--dry-run", "--old-file", ".venv/.ready", "RUN_KIT=humanmade", *words[1:]]
    # Not what `make test ARGS=...` hands down to the makes below it.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "ARGS")}
    done = subprocess.run(asked, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    ours = [made for made in done.stdout.splitlines() if made.startswith("humanmade ")]
    message = next((word.removeprefix("MSG=") for word in words if word.startswith("MSG=")), "")
    return tuple(shlex.split(ours[0].replace("$MSG", message))) if ours else tuple(words)


def reason(line: str) -> str:
    """Why a line is not run; empty where it is."""
    words = kit_command(line)
    names = [words[1] if words[0] == "humanmade" else " ".join(words[:2]), line.split()[0]]
    return next((NOT_RUN[name] for name in names if name in NOT_RUN), "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_parses(document: Path):
    for line in [*typed(document), *mentioned(document)]:
        words = kit_command(line)
        if words[:2] == ("python", "-m"):
            assert importlib.util.find_spec(words[2]), line
        elif words[0] == "humanmade":
            assert words[1] in commands.humanmade.commands or verb_of(words[1])
            with verb_of(words[1]).make_context(words[1], list(words[2:])):
                pass
        else:
            assert reason(line), f"{line}: is no command of the kit"


def test_targets_that_are_named_are_there():
    named = {name for document in DOCUMENTS for name in re.findall("`make ([a-z-]+)`", document.read_text())}
    targets = set(re.findall(r"(?m)^([a-z-]+):.*##", (ROOT / "Makefile").read_text()))
    assert {"cv", "notebook", "twin"} <= named <= targets


def test_reasons_are_of_commands_that_the_documents_have():
    lines = [line for document in DOCUMENTS for line in [*typed(document), *mentioned(document)]]
    assert {reason(line) for line in lines} - {""} == set(NOT_RUN.values())


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small demo, small recipes, and the photographs that the README asks about."""
    monkeypatch.setattr(demo, "TRAIN_CROPS", 2)
    monkeypatch.setattr(demo, "TEST_CROPS", 2)
    demo.make(places.cache("demo") / demo.VERSION)
    shelf = tmp_path / "recipes"
    shutil.copytree(recipe.SHIPPED, shelf)
    for name, text in TINY.items():
        folds = f"folds = {recipe.load(name).folds}"  # runs of other folds do not blend
        (shelf / f"{name}.toml").write_text(re.sub("(?m)^folds = .*$", folds, text))
    monkeypatch.setattr(recipe, "SHIPPED", shelf)
    Path("holiday").mkdir()
    Image.fromarray(scene(1)).save("photo.jpg")
    Image.fromarray(scene(2)).save("holiday/one.jpg")


def left_by_kaggle(words: tuple[str, ...]) -> None:
    """What a command that asks Kaggle would have left here."""
    if words[1] == "data":
        demo.make(places.DATA)
    if words[1] == "pull":
        assert main(["cv", "convnext_tiny", "--data", "data", "--set", "epochs=1"]) == 0


def test_a_readers_day(desk: None, capsys: pytest.CaptureFixture[str]):
    ran = []
    for line in typed(ROOT / "README.md"):
        words = kit_command(line)
        if reason(line):
            left_by_kaggle(words)
        else:
            assert main(list(words[1:])) == 0, f"{line}: {capsys.readouterr().err}"
            ran.append(words[1])
    assert {"audit", "cv", "show", "lr", "compare", "blend", "report", "explain", "predict"} <= set(ran)
    for code in blocks(ROOT / "README.md", "python"):
        exec(compile(code, "README.md", "exec"), {})
    assert "holiday/one.jpg" in capsys.readouterr().out
    assert all(hasattr(humanmade, name) for name in ("cv", "compare", "blend", "audit", "report"))


@pytest.mark.parametrize("document", DOCUMENTS[1:], ids=lambda path: path.name)
def test_other_documents_commands_are_the_readmes_or_not_run(document: Path):
    known = {kit_command(line) for line in typed(ROOT / "README.md")}
    assert [line for line in typed(document) if not reason(line) and kit_command(line) not in known] == []
