from pathlib import Path

import pandas as pd
import pytest

from humanmade import files
from humanmade.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_scratch(tmp_path: Path):
    path = tmp_path / "new" / "x.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.whole_file(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_floats_survive_a_csv(tmp_path: Path):
    values = pd.DataFrame({"id": ["a"], "logit": [1 / 3]})
    files.write_csv(tmp_path / "x.csv", values)
    assert float(files.read_csv(tmp_path / "x.csv")["logit"][0]) == 1 / 3


def test_ids_stay_text(tmp_path: Path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfid,label\r\n0012,NA\r\n")
    table = files.read_csv(tmp_path / "x.csv", ("id", "label"))
    assert table.to_dict("list") == {"id": ["0012"], "label": ["NA"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "not a readable CSV"),
        (b"\xff\xfe\x00", "not a readable"),
        (b"a,b\n1,2\n", "'id'"),
        (b"id,id\n1,2\n", "'id' stands twice"),
        (b"id,b\n1,2,\n", "not a readable CSV"),
    ],
)
def test_bad_tables_are_refused_by_name(tmp_path: Path, content: bytes | None, says: str):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        files.read_csv(path, ("id",))
    assert str(path) in str(error.value)


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        files.write_text(tmp_path / "file" / "x.txt", "")


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        files.write_text(tmp_path / "x", "")
