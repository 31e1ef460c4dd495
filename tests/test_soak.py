"""The soak itself: every round has its row, and what is wrong is not taken for what ended a start."""

import math
import random
from pathlib import Path

import pytest

from tests import soak

KILLED = soak.Start(1, 1, "humanmade: another process of this run ended\n", struck=True)
DONE = soak.Start(1, 0, "")


def one_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *ends: soak.Start | type[BaseException]
) -> int:
    """A round whose starts end like this, all with the same bytes: whether it ended well."""
    left = iter(ends)

    def start(folder: Path, words: list[str], cache: str, blow: int = 0, after: float = math.inf):
        (folder / cache).mkdir(exist_ok=True)
        if "--out" not in words:
            return DONE
        out = folder / words[words.index("--out") + 1]
        out.mkdir(exist_ok=True)
        (out / "oof.csv").write_text(f"id,logit\na,{len(ends)}\n")
        end = DONE if out.name == "whole" else next(left)
        if isinstance(end, soak.Start):
            return end
        raise end("so")

    monkeypatch.setattr(soak, "in_two", start)
    return soak.soak(tmp_path, "two folds at once", 1, random.Random(0))


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ([soak.Start(1, 1, "no port")], "UnexpectedError: exit code 1 by itself | NO |"),
        ([KILLED, soak.Start(1, -11, "", struck=True)], "UnexpectedError: exit code -11 after signal 9 at"),
        ([soak.Start(1, 0, 'File "/humanmade/a.py"\nTraceback')], "UnexpectedError: exit code 0 by itself"),
        ([FileNotFoundError], "FileNotFoundError: so | NO |"),
    ],
)
def test_a_round_that_fails_has_its_row(monkeypatch, capsys, tmp_path: Path, ends, says: str):
    assert not one_round(monkeypatch, tmp_path, *ends)
    said = capsys.readouterr()
    (row,) = said.out.splitlines()
    assert says in row and row.startswith("| two folds at once | SIGKILL | of ")
    assert said.err.strip() == (ends[-1].text if isinstance(ends[-1], soak.Start) else "")


def test_a_round_that_ends_well_has_its_row(monkeypatch, capsys, tmp_path: Path):
    assert one_round(monkeypatch, tmp_path, KILLED, KILLED, DONE) == 1
    (row,) = capsys.readouterr().out.splitlines()
    assert row.endswith("| 1 and one line; 0 | yes |")
    assert not list(tmp_path.glob("disturbed*"))


def test_a_soak_that_is_stopped_says_in_which_round(monkeypatch, capsys, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        one_round(monkeypatch, tmp_path, KILLED, KeyboardInterrupt)
    assert "| KeyboardInterrupt: so | NO |" in capsys.readouterr().out
    monkeypatch.setattr(soak, "in_two", lambda *_: soak.Start(1, 3, "why"))
    assert soak.soak(tmp_path, "one fold shared", 1, random.Random(0)) == 0
    said = capsys.readouterr()
    assert "| none | undisturbed | UnexpectedError: exit code 3" in said.out and "why" in said.err
