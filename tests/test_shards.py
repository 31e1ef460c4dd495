import errno
from pathlib import Path

import numpy as np
import pytest

from humanmade import shards
from humanmade.errors import UserError
from humanmade.shards import Shards

ROWS = np.arange(12, dtype=np.float16).reshape(6, 2)


def written(folder: Path) -> Shards:
    made = Shards(folder)
    made.write(["c", "a", "b"], ROWS[:3])
    made.write(["d", "e", "f"], ROWS[3:])
    return made


def test_rows_come_back_under_their_names(tmp_path: Path):
    for found in (written(tmp_path / "a"), Shards(tmp_path / "a")):
        assert set(found.places) == set("abcdef") and "a" in found and "g" not in found
        assert (found.get(list("fcabdea")) == ROWS[[5, 0, 1, 2, 3, 4, 1]]).all()
    assert Shards(tmp_path / "nothing").get([]).shape == (0, 0)


def test_rows_are_written_into_a_part_of_a_larger_matrix(tmp_path: Path):
    matrix = np.full((4, 2), -1, np.float32)
    written(tmp_path).fill(["f", "a"], matrix[1:3])
    assert matrix.tolist() == [[-1, -1], [10, 11], [2, 3], [-1, -1]]


def test_a_file_is_read_once_however_its_rows_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made, opened, plain = written(tmp_path), [], shards.safe_open
    monkeypatch.setattr(shards, "safe_open", lambda path, kind: opened.append(path) or plain(path, kind))
    made.get(list("afbecd"))
    assert sorted(opened) == sorted(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("kept", [0, 50, -1])
def test_a_damaged_file_is_removed_and_the_others_stand(tmp_path: Path, kept: int):
    Shards(tmp_path).write(["a"], np.ones((1, 2)))
    (whole,) = tmp_path.glob("*.safetensors")
    Shards(tmp_path).write(["b"], np.zeros((1, 2)))
    (other,) = set(tmp_path.glob("*.safetensors")) - {whole}
    other.write_bytes(other.read_bytes()[:kept])
    found = Shards(tmp_path)
    assert (found.get(["a"]) == 1).all() and not other.exists()
    with pytest.raises(KeyError):
        found.get(["b"])


def test_a_file_that_cannot_be_opened_now_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Shards(tmp_path).write(["a"], np.ones((1, 2)))

    def short(path: Path, framework: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(shards, "safe_open", short)
    with pytest.raises(UserError, match=r"cannot be read .*Too many open files"):
        Shards(tmp_path)
    monkeypatch.undo()
    assert "a" in Shards(tmp_path)
