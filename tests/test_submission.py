from pathlib import Path

import pytest

from humanmade import submission
from humanmade.errors import UserError

IDS = ["test_data_v2/aa.jpg", "test_data_v2/bb.jpg", "test_data_v2/cc.jpg"]
GOOD = "id,label\ntest_data_v2/aa.jpg,1\ntest_data_v2/bb.jpg,0\ntest_data_v2/cc.jpg,1\n"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        submission.check(path, IDS)
    return str(error.value)


def test_what_is_written_passes(tmp_path: Path):
    path = tmp_path / "s.csv"
    submission.write(path, IDS, [1, 0, 1])
    assert path.read_text() == GOOD
    assert submission.check(path, IDS) == dict(zip(IDS, [1, 0, 1], strict=True))


def test_crlf_passes(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert submission.check(path, IDS)[IDS[0]] == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace("id,label", ",id,label"), "index column"),
        (lambda t: t.replace("id,label\n", ""), "line 1: found header"),
        (
            lambda t: t.replace("test_data_v2/bb", "bb"),
            "line 3: id 'bb.jpg' is not in test.csv; it is written",
        ),
        (
            lambda t: t.replace("test_data_v2/bb", "/kaggle/input/test_data_v2/bb"),
            "it is written 'test_data_v2/bb",
        ),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,0.3"), "line 3: label '0.3'; expected 0 or 1"),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,"), "line 3: label ''"),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,0,1"), "line 3: 3 values"),
        (lambda t: t.replace("bb.jpg", "aa.jpg"), "line 3: id 'test_data_v2/aa.jpg' stands twice"),
        (lambda t: t.replace("test_data_v2/bb.jpg,0\n", ""), "2 rows for 3 test ids; the first missing is"),
        (lambda t: "\n".join([t.split("\n")[0], *sorted(t.split("\n")[1:4])[::-1]]), "test.csv's order"),
        (lambda t: "", "line 1"),
    ],
)
def test_the_gate_names_what_is_wrong(tmp_path: Path, change, says: str):
    assert says in refused(tmp_path, change(GOOD))


def test_a_submission_that_is_not_text(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="not a readable CSV"):
        submission.check(path, IDS)


def test_a_byte_order_mark_is_named(tmp_path: Path):
    assert "byte-order mark" in refused(tmp_path, "\ufeff" + GOOD)


def test_a_refused_write_leaves_no_file(tmp_path: Path):
    with pytest.raises(UserError):
        submission.write(tmp_path / "s.csv", IDS, [0, 1, 2])
    assert not (tmp_path / "s.csv").exists()


def test_flips():
    before, after = dict.fromkeys(IDS, 0), dict.fromkeys(IDS, 0) | {IDS[1]: 1}
    assert submission.flips(after, before) == [IDS[1]]
