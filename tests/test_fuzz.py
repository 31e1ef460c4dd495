"""The fuzzer itself: its targets take what it begins with, and it finds what is wrong."""

import random
from pathlib import Path

import pytest

from humanmade.errors import UserError
from tests import fuzz


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "found"
    folder.mkdir()
    monkeypatch.setattr(fuzz, "FOUND", folder)
    fuzz._good_run.cache_clear()  # each test has a working folder of its own
    return folder


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_a_few_damaged_files_end_in_the_kits_own_errors(target: str, found: Path):
    watch, corpus = fuzz.Watch(target), list(fuzz.TARGETS[target][1]())
    for data in corpus:
        watch.attempt(data)
    assert watch.refused < len(corpus) / 2, "most of what it begins with is whole"
    rng = random.Random(0)
    for _ in range(20):
        watch.attempt(fuzz.damaged(rng.choice(corpus), corpus, rng))
    assert not watch.seen and not list(found.iterdir())
    assert watch.inputs == len(corpus) + 20 and watch.refused > 3


def test_what_is_wrong_is_found_and_kept_once(found: Path, monkeypatch: pytest.MonkeyPatch):
    def target(data: bytes) -> None:
        if data == b"refused":
            raise UserError("no")
        if data == b"slow":
            monkeypatch.setattr(fuzz, "CPU_SECONDS", -1.0)
        if data.startswith(b"broken"):
            raise fuzz.BrokenPictureError("two\nlines")
        if data.startswith(b"x"):
            raise IndexError

    monkeypatch.setitem(fuzz.TARGETS, "own", (target, list))
    watch = fuzz.Watch("own")
    for data in (b"good", b"refused"):
        watch.attempt(data)
    assert not watch.seen and watch.refused == 1
    for data in (b"x1", b"x2", b"broken", b"slow"):
        watch.attempt(data)
    assert sorted(path.read_bytes() for path in found.iterdir()) == [b"broken", b"slow", b"x1"]
    assert len(watch.seen) == 3
