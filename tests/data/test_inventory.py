from pathlib import Path

import pytest

from humanmade.data import inventory, manifest
from humanmade.errors import UserError
from humanmade.images.decode import BrokenPictureError
from tests.conftest import MakeFolder


def test_pictures_are_read_once(manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    table = manifest.load([manifest_folder(pairs=3)])
    first = inventory.attach(table)
    assert first["digest"].is_unique and (first["phash"] != 0).all() and not first["broken"].any()
    monkeypatch.setattr(inventory, "upright", lambda data: pytest.fail("read again"))
    assert inventory.attach(table).equals(first)


def test_a_changed_picture_is_read_again(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=2)
    table = manifest.load([folder])
    before = inventory.attach(table)
    one, other = folder / "images/000_0.png", folder / "images/001_0.png"
    one.write_bytes(other.read_bytes())
    after = inventory.attach(table)
    assert after["digest"][0] == before["digest"][2] and after["phash"][0] == before["phash"][2]
    assert after["digest"][1:].equals(before["digest"][1:])


def test_a_damaged_cache_is_made_anew(manifest_folder: MakeFolder, tmp_path: Path):
    table = manifest.load([manifest_folder(pairs=2)])
    first = inventory.survey(table["path"].tolist())
    (cached,) = (tmp_path / "cache/pictures").rglob("*.csv")
    whole = cached.read_bytes()
    inside = whole.index(first["digest"][1].encode()) + 7  # the stamp before it is whole
    for damaged in (b"\x00\xff", b"", whole[:inside], whole[:-1], whole[: whole.rindex(b"\n", 0, -1) + 1]):
        cached.write_bytes(damaged)
        assert inventory.survey(table["path"].tolist()).equals(first), damaged


def test_broken_pictures_refuse_the_run_by_name(manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=3, test=1)
    for name in ("001_0.png", "003_1.png"):
        (folder / "images" / name).write_bytes(b"no picture")
    table = manifest.load([folder])
    with pytest.raises(UserError, match="2 of 8 pictures cannot be read") as error:
        inventory.attach(table)
    assert "001_0.png" in str(error.value) and "--skip-broken" in str(error.value)
    left = inventory.attach(table, skip_broken=True)
    assert len(left) == 7 and left.loc[left["broken"], "id"].tolist() == ["images/003_1.png"]
    assert "1 rows are left out of training, 1 test rows get the median" in capsys.readouterr().err
    assert inventory.attach(table, skip_broken=0.2).equals(left)
    with pytest.raises(UserError, match="1 of 6 train pictures cannot be read, more than 10%"):
        inventory.attach(table, skip_broken=0.1)


def test_an_interrupted_reading_goes_on(manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    table = manifest.load([manifest_folder(pairs=4)])
    seen: list[str] = []
    examine = inventory._examine

    def stop_after_five(path: str) -> dict[str, str]:
        seen.append(path)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return examine(path)

    monkeypatch.setattr(inventory, "_examine", stop_after_five)
    monkeypatch.setattr(inventory.os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        inventory.attach(table)
    monkeypatch.setattr(inventory, "_examine", lambda path: (seen.append(path), examine(path))[1])
    again = len(seen)
    inventory.attach(table)
    assert len(seen) - again == 3, "the five that were read are not read again"


def test_a_picture_that_vanishes_before_it_is_read_is_broken(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=2)
    table = manifest.load([folder])
    picture = folder / "images/000_1.png"
    data = picture.read_bytes()
    picture.unlink()
    with pytest.raises(UserError, match=r"000_1\.png: No such file"):
        inventory.attach(table)
    assert len(inventory.attach(table, skip_broken=True)) == 3
    picture.write_bytes(data)
    assert len(inventory.attach(table)) == 4, "it is looked at again when it is back"


def test_what_could_not_be_read_is_tried_again(manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    table, upright = manifest.load([manifest_folder(pairs=2)]), inventory.upright
    paths = table["path"].tolist()

    def short(data: bytes) -> None:
        raise BrokenPictureError("MemoryError")

    monkeypatch.setattr(inventory, "upright", short)
    assert set(inventory.survey(paths[:1])["error"]) == {"MemoryError"}
    monkeypatch.setattr(inventory, "upright", upright)
    assert set(inventory.survey(paths)["error"]) == {""}
