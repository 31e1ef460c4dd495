from pathlib import Path

import pandas as pd
import pytest

from humanmade.data import demo, folds, inventory, manifest
from humanmade.errors import UserError


def test_the_demo_is_a_competition_in_small(tmp_path: Path):
    folder = demo.make(tmp_path / "demo")
    assert (folder / "train.csv").read_text().startswith(",file_name,label\n0,train_data/")
    assert (folder / "test.csv").read_text().startswith("id\ntest_data_v2/")
    table = inventory.attach(manifest.load([folder]))
    train = table[table["split"] == "train"]
    assert len(train) == 2 * demo.TRAIN_CROPS * len(demo.TRAIN_PHOTOS)
    made = folds.make(table, 4, 0, "pairs")
    for k in range(4):
        assert not set(made.training(k)["group"]) & set(made.validation(k)["group"])
    first = train.drop_duplicates("pair")["label"]
    assert 0.2 < first.mean() < 0.8, "which member of a pair comes first varies"


def test_hidden_labels_are_of_the_test_pictures(tmp_path: Path):
    folder = demo.make(tmp_path / "demo")
    known = pd.read_csv(folder / "hidden/manifest.csv")
    ids = pd.read_csv(folder / "test.csv")["id"]
    assert set(known["path"].str.replace("images/", "test_data_v2/")) == set(ids)
    assert known["label"].mean() == 0.5 and set(known.loc[known["label"] == 1, "source"]) == set(
        demo.TEST_GENERATORS
    )
    for name in known["path"][:5]:
        shown = folder / "test_data_v2" / Path(name).name
        assert shown.read_bytes() == (folder / "hidden" / name).read_bytes()


def test_the_demo_is_the_same_twice_and_overwrites_nothing(tmp_path: Path):
    one, two = demo.make(tmp_path / "one"), demo.make(tmp_path / "two")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert len(files) > 400
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    with pytest.raises(UserError, match="exists"):
        demo.make(one)
