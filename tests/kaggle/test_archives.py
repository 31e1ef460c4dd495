"""Folders as archives, and nothing that comes out of one where it should not."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from humanmade.errors import UserError
from humanmade.kaggle import archives


def test_folds_come_back_as_they_were(tmp_path: Path):
    run = tmp_path / "run"
    for name in ("fold0/model.bin", "fold0/seed1/log", "foldall/x", "oof.csv"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(name.encode() * 1000)
    archives.pack_folds(run)
    assert sorted(path.name for path in run.iterdir()) == ["fold0.zip", "foldall.zip", "oof.csv"]
    archives.unpack_folds(run)
    there = {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert there == {
        name: name.encode() * 1000 for name in ("fold0/model.bin", "fold0/seed1/log", "foldall/x", "oof.csv")
    }


def test_what_a_killed_process_left_half_written_is_not_packed(tmp_path: Path):
    for name in (
        "features/abc/1.npy",
        "features/abc/.lock0",
        "features/abc/.2.npy.half",
        "features/.part/3.npy",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    archives.pack([tmp_path / "features"], tmp_path / "cache.zip")
    archives.unpack(tmp_path / "cache.zip", tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").rglob("*") if path.is_file()] == ["1.npy"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "fold0/../../evil", "C:evil", ".hidden", "a\\b", ""]
)
def test_nothing_leaves_its_folder(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fold0/good", "good")
        archive.writestr(zipfile.ZipInfo(name), "evil")
    with pytest.raises(UserError, match="nothing was unpacked"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "work"]


def test_a_link_comes_out_as_the_file_that_it_is_not(tmp_path: Path):
    link = zipfile.ZipInfo("fold0/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    archives.unpack(tmp_path / "a.zip", tmp_path / "run")
    made = tmp_path / "run/fold0/link"
    assert not made.is_symlink() and made.read_text() == "/etc/passwd"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x" * 300, "")
    with pytest.raises(UserError, match=r"damaged .*name too long"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "run")


def test_no_archive_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fold0/zeros", bytes(10**6))
    with pytest.raises(UserError, match="'fold0/zeros' is not stored as it is"):
        archives.unpack(tmp_path / "bomb.zip", tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("fold0/a", bytes(10**6))
        archive.filelist.append(archive.filelist[0])
    with pytest.raises(UserError, match="claims more bytes than it has"):
        archives.unpack(tmp_path / "twice.zip", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_archive_is_named(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("fold0/a", bytes(1000))
    whole = (tmp_path / "whole.zip").read_bytes()
    place = struct.unpack("<I", whole[-6:-2])[
        0
    ]  # of the list of files; too large a one leads before the start
    for damaged in (
        whole[:-40],
        whole[:-6] + struct.pack("<I", place + 10) + whole[-2:],
        whole.replace(b"PK\1\2", b"PK\1\3"),
    ):
        (tmp_path / "cut.zip").write_bytes(damaged)
        with pytest.raises(UserError, match=r"cut\.zip: damaged .*; make it again"):
            archives.unpack(tmp_path / "cut.zip", tmp_path / "run")


def test_a_full_disk_is_told_before(tmp_path: Path):
    archives.require_space(tmp_path / "not/yet", 1, "to write")
    with pytest.raises(UserError, match=r"1000000000\.0 GB to write and .* GB free; make room"):
        archives.require_space(tmp_path / "not/yet", 10**18, "to write")
