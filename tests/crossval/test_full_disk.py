"""A disk that refuses a file, each kind once: one line, nothing half there, and the same command goes on."""

import errno
from pathlib import Path

import pytest

from humanmade.commands import main
from humanmade.errors import UserError
from humanmade.files import whole_file
from tests.conftest import MakeFolder

KINDS = {
    *("recipe.toml", "folds.csv", "pictures.csv", "scores.json", "head.safetensors", "log.jsonl"),
    *(
        "trained.json",
        "oof.csv",
        "test.csv",
        "corrupted.csv",
        "canaries.json",
        "submission.csv",
    ),
    *("a shard of the cache", "a table of the cache"),
}


def kind(path: Path) -> str:
    if "cache" in path.parts:
        return "a table of the cache" if path.suffix == ".csv" else "a shard of the cache"
    return path.name


def test_a_file_of_each_kind_that_cannot_be_written(
    tiny_probe: Path,
    manifest_folder: MakeFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    command = ["cv", str(tiny_probe), "--data", str(manifest_folder(pairs=10, test=20)), "--folds", "2"]
    assert main([*command, "--out", "whole"]) == 0
    monkeypatch.setenv("HUMANMADE_CACHE", str(tmp_path / "cache2" / "cache"))
    replace, refused, renamed = Path.replace, list[str](), set[Path]()

    def refuse_each_kind_once(scratch: Path, target: Path) -> Path:
        renamed.add(target.resolve())
        if kind(target) in refused:
            return replace(scratch, target)
        refused.append(kind(target))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse_each_kind_once)
    code = 2
    while code and len(refused) < len(KINDS) + 1:
        capsys.readouterr()
        seen = len(refused)
        code = main([*command, "--out", "broken"])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanmade: ")]
        if code == 0:
            break
        # Canaries that cannot be kept are warned of; the run goes on to its next file.
        assert code == 2 and len(lines) == 1 and {*refused[seen:-1]} <= {"canaries.json"}
        assert "cannot be written (No space left on device)" in lines[0], refused[-1]
        assert not list(Path("broken").rglob(".*")), "no scratch file stays"
    assert code == 0 and set(refused) == KINDS
    written = {*Path("broken").resolve().rglob("*.*"), *(tmp_path / "cache2").rglob("*.*")}
    written = {path for path in written if "tfevents" not in path.name}
    assert written == renamed, "each file but TensorBoard's was written aside and renamed"
    for name in ("oof.csv", "test.csv", "submission.csv", "folds.csv"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_a_library_that_says_it_in_words_is_understood(tmp_path: Path):
    path = tmp_path / "new" / "x.pt"
    with pytest.raises(UserError, match=r"x\.pt: cannot be written"), whole_file(path):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
    with pytest.raises(ValueError, match="ours"), whole_file(path):
        raise ValueError("ours")
    assert not list(path.parent.iterdir())
