"""The competition's data: whole, safe, and going on where it broke off."""

import json
import shutil
from pathlib import Path

import pytest

from humanmade.competition import CURRENT
from humanmade.errors import UserError
from humanmade.kaggle import download
from tests.conftest import MakeFolder
from tests.kaggle.conftest import Kit
from tests.kaggle.day import zipped
from tests.kaggle.standin import PAGE, StandIn

SLUG, DATASET = CURRENT.slug, CURRENT.dataset


@pytest.fixture
def contents(standin: StandIn, competition_folder: MakeFolder) -> dict[str, bytes]:
    """What Kaggle has: tables in the competition; tables, pictures and more in the dataset."""
    folder = competition_folder(pairs=4, test=6)
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    standin.archives[SLUG] = zipped({name: found[name] for name in ("train.csv", "test.csv")})
    more = {"test_data/old.jpg": b"old", "test_v2_labels.csv": b"id,label\n", "../outside.jpg": b"out"}
    standin.archives[DATASET] = zipped(found | more)
    return found


def there() -> dict[str, bytes]:
    return {p.relative_to("data").as_posix(): p.read_bytes() for p in Path("data").rglob("*") if p.is_file()}


def test_data_brings_the_competition_and_nothing_else(kit: Kit, standin: StandIn, contents):
    said = kit("data")
    assert "data: complete; 8 train pictures in 4 pairs, 6 test pictures" in said
    assert there() == contents and not Path("outside.jpg").exists()
    asked = len(standin.calls)
    assert "complete" in kit("data") and len(standin.calls) == asked


def test_only_what_is_missing_is_unpacked_and_the_user_s_stays(kit: Kit, contents):
    mine = sorted(name for name in contents if name.startswith("train_data"))[0]
    Path("data/train_data").mkdir(parents=True)
    table = contents["train.csv"].replace(b"\r\n", b"\n")
    Path("data/train.csv").write_bytes(table)
    (Path("data") / mine).write_bytes(b"mine")
    kit("data")
    assert there() == contents | {mine: b"mine", "train.csv": table}


def test_a_broken_download_goes_on(kit: Kit, standin: StandIn, contents):
    slug = DATASET.split("/")[1]
    standin.fail(f"GET {slug}.zip", 0)
    kit("data")
    assert there() == contents
    assert [name for name, _ in standin.fetched].count(f"archives/{DATASET}.zip") == 2


def test_the_next_command_goes_on_with_a_part(kit: Kit, standin: StandIn, contents):
    archive, slug = standin.archives[DATASET], DATASET.split("/")[1]
    part = Path("data/.downloads") / f"{slug}.zip"
    part.parent.mkdir(parents=True)
    part.write_bytes(archive[:100])
    note = {"validator": f'"{len(archive)}"', "size": len(archive)}
    Path(f"{part}.kaggle-partial").write_text(json.dumps(note))
    kit("data")
    assert there() == contents and (f"archives/{DATASET}.zip", 100) in standin.fetched


def test_the_rules_must_be_accepted(kit: Kit, standin: StandIn, contents):
    standin.accepted_rules = False
    line = kit("data", code=3)
    assert f"https://www.kaggle.com/competitions/{SLUG}/rules" in line and "403" in line
    standin.accepted_rules = True
    kit("data")


def test_an_error_page_or_a_cut_archive_is_no_archive(kit: Kit, standin: StandIn, contents):
    good = standin.archives[DATASET]
    for bad in (PAGE, good[: len(good) // 2]):
        standin.archives[DATASET] = bad
        assert "no whole zip archive came" in kit("data", code=3)
    damaged = bytearray(good)
    damaged[len(good) // 3] ^= 255
    standin.archives[DATASET] = bytes(damaged)
    assert "damaged (Bad CRC-32" in kit("data", code=3)
    assert not list(Path("data").rglob("*.zip")) and all(contents[name] == there()[name] for name in there())
    standin.archives[DATASET] = good
    kit("data")
    assert there() == contents


def test_pictures_that_the_dataset_lacks_are_named(kit: Kit, standin: StandIn, contents):
    lost = sorted(name for name in contents if name.startswith("test_data_v2"))[0]
    standin.archives[DATASET] = zipped({n: c for n, c in contents.items() if n != lost})
    assert f"1 of 14 pictures are missing, {lost} first" in kit("data", code=3)


def test_tables_that_point_elsewhere_are_refused(kit: Kit, standin: StandIn, contents):
    evil = contents["test.csv"].replace(b"test_data_v2/", b"../", 1)
    standin.archives[SLUG] = zipped({"train.csv": contents["train.csv"], "test.csv": evil})
    assert "leaves the folder" in kit("data", code=2)


def test_room_is_checked_before_unpacking(kit: Kit, contents, monkeypatch: pytest.MonkeyPatch):
    Path("a.zip").write_bytes(zipped(contents))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 2**30))
    with pytest.raises(UserError, match="make room"):
        download._unpack(Path("a.zip"), Path(), ["train.csv"], "tables")
    assert not Path("train.csv").exists()


def test_room_is_checked_before_the_download(kit: Kit, standin: StandIn, contents):
    standin.sizes[DATASET] = 10**15
    assert f"2000000.0 GB to download and unpack {DATASET} and" in kit("data", code=2)
    assert standin.count("DownloadDataset") == 0
