from pathlib import Path

import pytest

from humanmade.data import manifest
from humanmade.errors import UserError
from tests.conftest import MakeFolder


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_pairs_follow_the_row_numbers(competition_folder: MakeFolder):
    folder = competition_folder(pairs=4, test=3)
    table = manifest.load([folder])
    train, test = table[table["split"] == "train"], table[table["split"] == "test"]
    assert (train.groupby("pair")["label"].apply(sorted).map(tuple) == (0, 1)).all()
    assert test["id"].str.startswith("test_data_v2/").all() and (test["label"] == -1).all()
    assert test["id"].tolist() == (folder / "test.csv").read_text().split()[1:], "in test.csv's order"


def test_shuffled_rows_keep_their_pairs(competition_folder: MakeFolder):
    folder = competition_folder(pairs=5)
    before = manifest.load([folder]).set_index("id")["pair"]
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    after = manifest.load([folder]).set_index("id")["pair"]
    assert after[before.index].equals(before)


def test_the_unnamed_column_under_pandas_name_or_absent(competition_folder: MakeFolder):
    folder = competition_folder(pairs=4)
    expected = manifest.load([folder])["pair"].tolist()
    edit(folder / "train.csv", ",file_name,label", "Unnamed: 0,file_name,label")
    assert manifest.load([folder])["pair"].tolist() == expected
    rows = [line.partition(",")[2] for line in (folder / "train.csv").read_text().splitlines()]
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    assert manifest.load([folder])["pair"].tolist() == expected


def make_odd(table: Path, *numbers: int) -> None:
    """Give the rows that begin at these lines the labels of their partners."""
    lines = table.read_text().splitlines()
    for number in numbers:
        lines[number] = lines[number][:-1] + lines[number + 1][-1]
    table.write_text("\n".join(lines) + "\n")


def test_one_odd_pair_is_taken_apart(competition_folder: MakeFolder, capsys):
    folder = competition_folder(pairs=4)
    before = manifest.load([folder])
    make_odd(folder / "train.csv", 3)
    after = manifest.load([folder])
    assert "lines 4 and 5 should be a photo and its generated counterpart" in capsys.readouterr().err
    train = after[after["split"] == "train"]
    assert (train["pair"] == "").tolist() == [False] * 2 + [True] * 2 + [False] * 4
    assert after["pair"][train.index[4:]].equals(before["pair"][train.index[4:]])


def test_rows_that_are_no_pairs_are_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=4)
    make_odd(folder / "train.csv", 3, 5)
    with pytest.raises(UserError, match=r"lines 4 and 5 should be a photo .* 2 of 4 pairs"):
        manifest.load([folder])


@pytest.mark.parametrize("number", ["0", "1.5", "x", ""])
def test_bad_row_numbers_are_refused(competition_folder: MakeFolder, number: str):
    folder = competition_folder(pairs=2)
    edit(folder / "train.csv", "\n3,", f"\n{number},")
    with pytest.raises(UserError, match=r"train\.csv: line 5: row number"):
        manifest.load([folder])


def test_labels_in_test_csv_are_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=2, test=1)
    text = (folder / "test.csv").read_text().splitlines()
    (folder / "test.csv").write_text(f"id,label\n{text[1]},1\n")
    with pytest.raises(UserError, match="give the test labels away"):
        manifest.load([folder])


def test_a_labels_file_is_left_alone_with_a_warning(competition_folder: MakeFolder, capsys):
    folder = competition_folder(pairs=2, test=2)
    (folder / "test_v2_labels.csv").write_text("id,label\nx,1\n")
    table = manifest.load([folder])
    assert "test_v2_labels.csv: ignored" in capsys.readouterr().err
    assert (table.loc[table["split"] == "test", "label"] == -1).all()


def test_tables_and_pictures_in_two_places(competition_folder: MakeFolder, tmp_path: Path):
    whole = competition_folder(pairs=3, test=2)
    expected = manifest.load([whole])
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("train.csv", "test.csv"):
        (tables / name).write_bytes((whole / name).read_bytes())
    # The image dataset carries copies of the tables too; it may come first or second.
    for folders in ([tables, whole], [whole, tables]):
        assert manifest.load(folders).equals(expected)
    with pytest.raises(UserError, match=r"holds train\.csv but no train_data"):
        manifest.load([tables])
    assert len(manifest.load([tables], pictures=False)) == len(expected), "ids need no pictures"
    (whole / "train.csv").unlink()
    (whole / "test.csv").unlink()
    for pictures in (True, False):
        assert manifest.load([tables, whole], pictures=pictures)["id"].equals(expected["id"])


def test_groups_are_read_from_beside_the_tables(competition_folder: MakeFolder):
    folder = competition_folder(pairs=3)
    ids = manifest.load([folder])["id"]
    (folder / "groups.csv").write_text(f"id,group\n{ids[0]},g1\n{ids[5]},g1\n")
    groups = manifest.load([folder]).set_index("id")["group"]
    assert groups[ids[0]] == groups[ids[5]] == "g1" and groups[ids[1]] == ""


def test_a_path_that_leaves_the_folder(competition_folder: MakeFolder):
    folder = competition_folder(pairs=2, test=1)
    edit(folder / "test.csv", "test_data_v2/", "../test_data_v2/")
    with pytest.raises(UserError, match=r"test\.csv: line 2, path '\.\./test_data_v2"):
        manifest.load([folder])


def test_groups_of_unknown_ids_are_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=3)
    (folder / "groups.csv").write_text("id,group\nx.jpg,g1\n")
    with pytest.raises(UserError, match=r"groups\.csv: line 2: id 'x\.jpg' is not in"):
        manifest.load([folder])


def test_a_missing_row_without_row_numbers_is_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=4)
    rows = [line.partition(",")[2] for line in (folder / "train.csv").read_text().splitlines()]
    (folder / "train.csv").write_text("\n".join([*rows[:3], *rows[4:]]) + "\n")
    with pytest.raises(UserError, match="7 rows; pairs are rows 2k and 2k"):
        manifest.load([folder])


def test_a_train_picture_among_the_test_ids_is_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=2, test=1)
    name = (folder / "train.csv").read_text().splitlines()[1].split(",")[1]
    (folder / "test.csv").write_text(f"id\n{name}\n")
    with pytest.raises(UserError, match=r"test\.csv: id .* \(test\) stands twice"):
        manifest.load([folder])
