import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from humanmade import files, ledger, recipe, submission
from humanmade.detectors import counterparts
from humanmade.errors import UserError
from humanmade.shards import Shards
from humanmade.training import checkpoint


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


def test_a_hash_is_of_the_bytes(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


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
        (b"id,b,id,b\n1,2,3,4\n", "'id' stands twice"),
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


def write_shard(folder: Path, value: int) -> None:
    Shards(folder).write(["a", "b"], np.full((2, 3), value, np.float16))


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "model.safetensors": lambda path, value: checkpoint.save_weights(path, {"w": torch.tensor(value)}, {}),
    "last.pt": lambda path, value: checkpoint.save_state(path, {"step": value}),
    "oof.csv": lambda path, value: files.write_csv(path, pd.DataFrame({"logit": [value]})),
    "scores.json": lambda path, value: files.write_json(path, {"auc": value}),
    "recipe.toml": lambda path, value: recipe.save(recipe.load("probe_lite0", [f"folds={value}"]), path),
    "shard.safetensors": lambda path, value: write_shard(path.parent, value),
    "counterpart.png": lambda path, value: counterparts.save_picture(
        path, np.full((8, 8, 3), value, np.uint8)
    ),
    "ledger.csv": lambda path, value: ledger.record([{"ref": "1", "public": str(value)}], path),
    "submission.csv": lambda path, value: submission.write(path, ["a", "b"], np.array([0, value % 2])),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "failure", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["disk", "stop"]
)
def test_a_failed_rename_leaves_the_old_file_whole_and_the_next_write_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failure: BaseException
):
    path, write = tmp_path / "folder" / name, WRITERS[name]

    def contents() -> list[bytes]:
        return [file.read_bytes() for file in sorted(path.parent.iterdir())]

    def fail(scratch: Path, target: Path) -> Path:
        assert scratch.parent == target.parent and scratch.stat().st_size, "written before it is renamed"
        raise failure

    write(path, 2)
    old = contents()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises((UserError, KeyboardInterrupt)) as said:
            write(path, 3)
    assert contents() == old and len(old) == 1, "the old file, and no scratch beside it"
    if isinstance(failure, OSError):
        assert "cannot be written (Input/output error)" in str(said.value)
    write(path, 3)
    new = contents()
    assert len(new) == 1 and new != old


def test_a_folder_is_held_by_one_process(tmp_path: Path):
    folder = tmp_path / "r"
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with files.held(folder, "training here"):
            os.write(writing, b"x")
            time.sleep(600)
        os._exit(0)
    os.read(reading, 1)
    try:
        with pytest.raises(UserError, match=f"r: process {child} is training here"):
            files.held(folder, "training here").__enter__()

        def enough() -> None:
            raise TimeoutError

        with pytest.raises(TimeoutError):
            files.held(folder, "training here", enough).__enter__()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    with files.held(folder, "training here"):
        assert (folder / ".lock0").read_text() == str(os.getpid())
    assert not folder.exists(), "where nothing was written, nothing stays"


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = [tmp_path / name for name in (".env.template", ".a.20240101", ".b.humanmade/.c", "d.12345678")]
    for path in own:
        files.write_text(path, "mine")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # as if the process were killed
    files.write_text(tmp_path / "sub/x", "half")
    with pytest.raises(ValueError), files.whole_file(tmp_path / "sub/x"):
        raise ValueError
    monkeypatch.undo()
    left = list(tmp_path.glob("sub/.x.*"))
    monkeypatch.setenv("RANK", "0")
    with files.held(tmp_path, "training here"):
        assert left and all(path.is_file() for path in left), "another rank may be writing"
    monkeypatch.delenv("RANK")
    with files.held(tmp_path, "training here"):
        assert not any(path.exists() for path in left)
    assert all(path.is_file() for path in own)


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is no ordinary file"):
        files.write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_that_comes_and_goes_is_held_by_one_process_at_a_time(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: os.sched_yield())
    children = []
    for _ in range(3):
        children.append(os.fork())
        if not children[-1]:
            code = 1
            try:
                for _ in range(300):
                    with files.held(tmp_path / "r", "training here", lambda: None):
                        (tmp_path / "inside").touch(exist_ok=False)
                        (tmp_path / "inside").unlink()
                code = 0
            finally:
                os._exit(code)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"not readable \(.*No such file"),
        (b"{", "not readable"),
        (b"\xff", "not readable"),
        (b"[" * 100_000, "not readable"),
        (b"[1]", r"damaged \('a' is missing\)"),
        (b'{"b": 1}', r"damaged \('a' is missing\)"),
    ],
)
def test_bad_json_is_refused_by_name(tmp_path: Path, content: bytes | None, says: str):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says + ".*; make it again$"):
        files.read_json(path, ("a", "c"), "make it again")


def test_json_keeps_what_it_has_words_for(tmp_path: Path):
    values = {"a": [float("nan"), {"b": float("-inf")}], "c": 1 / 3, "d": None}
    files.write_json(tmp_path / "x.json", values)
    assert files.read_json(tmp_path / "x.json", ("a", "c"), "") == {
        "a": [None, {"b": None}],
        "c": 1 / 3,
        "d": None,
    }


def test_numbers_are_finite_and_ids_unique(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("id,logit\na,1\nb,2.5\n")
    assert files.read_numbers(path, ("id", "logit")).to_dict("list") == {"id": ["a", "b"], "logit": [1, 2.5]}
    for text, says in (
        ("id,logit\na,1\nb,inf\n", "line 3: column 'logit' is not a finite number"),
        ("id,logit\na,1\nb\n", "line 3: column 'logit' is not a finite number"),
        ("id,logit\na,1\nb,2\na,3\n", "line 4: this id stands there twice"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=says):
            files.read_numbers(path, ("id", "logit"))


def test_what_is_there_is_replaced_by_force_alone(tmp_path: Path):
    files.refuse_existing(None, False)
    files.refuse_existing(tmp_path / "x", False)
    files.refuse_existing(tmp_path, True)
    with pytest.raises(UserError, match="exists; give another --out, or --force"):
        files.refuse_existing(tmp_path, False)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("os error 28\nsecond line"),
        OSError(errno.ENOENT, "x"),
    ],
)
def test_a_disk_that_takes_no_file_is_told_from_other_errors(tmp_path: Path, error: Exception):
    of_the_disk = not (isinstance(error, OSError) and error.errno == errno.ENOENT)
    with pytest.raises(UserError if of_the_disk else OSError) as told, files.whole_file(tmp_path / "x"):
        raise error
    assert ("cannot be written" in str(told.value)) == of_the_disk and not list(tmp_path.glob("*x*"))
    assert "second line" not in str(told.value)


def test_a_file_can_be_read_by_others(tmp_path: Path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "")
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640 and os.umask(0o027) == 0o027
    finally:
        os.umask(before)
