from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanmade.data import manifest
from humanmade.errors import UserError
from humanmade.run import fingerprint
from tests import csvs
from tests.conftest import MakeFolder
from tests.csvs import dialects, names


def rewrite(folder: Path, **columns: object) -> Path:
    table = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    table.assign(**columns).to_csv(folder / "manifest.csv", index=False)
    return folder


def test_columns_and_defaults(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=3)
    table = manifest.load([folder])
    assert list(table.columns) == manifest.COLUMNS
    assert (
        table["id"].tolist()
        == table["name"].tolist()
        == [f"images/{k // 2:03}_{k % 2}.png" for k in range(6)]
    )
    assert set(table["split"]) == {"train"} and set(table["source"]) == {""}
    assert table["label"].tolist() == [0, 1] * 3


def test_unknown_columns_are_kept_aside_and_an_id_column_is_used(manifest_folder: MakeFolder):
    folder = rewrite(manifest_folder(pairs=2), id=["a", "b", "c", "d"], camera="x")
    assert manifest.load([folder])["id"].tolist() == ["a", "b", "c", "d"]


def test_the_repo_is_read_and_no_part_of_the_fingerprint(manifest_folder: MakeFolder, tmp_path: Path):
    folder, other = manifest_folder(pairs=2), manifest_folder("other", pairs=2)
    bare = manifest.load([folder]).assign(digest="")
    named = manifest.load([rewrite(folder, repo=["forum", "forum", "", "shop"])]).assign(digest="")
    assert set(bare["repo"]) == {""} and named["repo"].tolist() == ["forum", "forum", "", "shop"]
    assert fingerprint(named) == fingerprint(bare), "runs of before the column go on"
    joined = manifest.load([folder, other], [manifest_folder("more", pairs=1, repo=["shop", "shop"])])
    assert joined["repo"].tolist() == ["forum", "forum", "", "shop", "", "", "", "", "shop", "shop"]


def test_joined_folders_prefix_ids_and_pairs_and_share_groups(manifest_folder: MakeFolder):
    one, two = (rewrite(manifest_folder(name, 2), group=["scene", "", "", ""]) for name in ("one", "two"))
    table = manifest.load([one], [two])
    assert table["group"].value_counts().to_dict() == {"": 6, "scene": 2}
    table = manifest.load([one, two])
    assert table["id"].is_unique and set(table["id"].str.split("/").str[0]) == {"one", "two"}
    assert table["pair"].nunique() == 4
    assert Path(table["path"].iloc[-1]).is_file()


def test_folders_of_one_name_get_longer_prefixes(manifest_folder: MakeFolder):
    one, two = manifest_folder("a/set", 2), manifest_folder("b/set", 2)
    assert set(manifest.load([one, two])["id"].str[:6]) == {"a/set/", "b/set/"}
    with pytest.raises(UserError, match=f"^{one}: the same folder is given twice"):
        manifest.load([two, one, one])


def test_extra_rows_are_marked_and_never_test(manifest_folder: MakeFolder, capsys):
    data, extra = manifest_folder("data", 2), manifest_folder("more", 2, test=1)
    table = manifest.load([data], [extra])
    added = table[table["split"] == "extra"]
    assert len(added) == 4 and added["id"].str.startswith("extra:more/").all()
    assert "--extra: 4 of 6 rows are taken, those of train with a label" in capsys.readouterr().err
    small = manifest.load([data], [extra], limit=2)["split"].value_counts().to_dict()
    assert small == {"train": 2, "extra": 2}
    with pytest.raises(UserError, match=f"^--extra {extra / 'images'}: has no labelled train rows"):
        manifest.load([data], [extra / "images"])
    with pytest.raises(UserError, match=r"^limit 0: expected 1 or more"):
        manifest.load([data], limit=0)


def test_extra_rows_are_named_for_the_folder_with_their_table(
    manifest_folder: MakeFolder, competition_folder: MakeFolder, tmp_path: Path
):
    tables = competition_folder("tables", pairs=2)
    (tmp_path / "pictures").mkdir()
    for name in ("train_data", "test_data_v2"):
        (tables / name).rename(tmp_path / "pictures" / name)
    table = manifest.load([manifest_folder("data", 1)], [tmp_path / "pictures", tables])
    assert table.loc[table["split"] == "extra", "id"].str.startswith("extra:tables/").all()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": "2"}, "line 2, column label: found '2'"),
        ({"label": ""}, "line 2, column label: found ''"),
        ({"path": "../secret.png"}, "leaves the folder"),
        ({"path": "/etc/passwd"}, "leaves the folder"),
        ({"path": "a\\..\\..\\x.png"}, "leaves the folder"),
        ({"path": "C:/x.png"}, "leaves the folder"),
        ({"path": ""}, "leaves the folder"),
        ({"split": "valid"}, "column split: 'valid'; expected train or test"),
        ({"id": "same"}, "id 'same' (train) stands twice"),
    ],
)
def test_bad_rows_are_refused_with_file_and_line(manifest_folder: MakeFolder, columns: dict, says: str):
    folder = rewrite(manifest_folder(pairs=2), **columns)
    with pytest.raises(UserError) as error:
        manifest.load([folder])
    assert says in str(error.value) and "manifest.csv" in str(error.value)


def test_a_missing_picture_is_named(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=2)
    (folder / "images/001_1.png").unlink()
    with pytest.raises(UserError, match=r"001_1\.png: no such file \(1 of 4"):
        manifest.load([folder])


def test_a_folder_without_tables_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"neither manifest\.csv"):
        manifest.load([tmp_path])
    with pytest.raises(UserError, match="no such folder"):
        manifest.load([tmp_path / "absent"])


def test_a_folder_of_two_forms_or_without_rows_is_refused(competition_folder: MakeFolder):
    folder = competition_folder(pairs=2, test=1)
    (folder / "manifest.csv").write_text("path,label\n")
    with pytest.raises(UserError, match=r"holds both manifest.csv and train.csv; keep one of them"):
        manifest.load([folder])
    (folder / "train.csv").unlink()
    (folder / "test.csv").unlink()
    with pytest.raises(UserError, match=r"manifest.csv: has no rows"):
        manifest.load([folder])


@pytest.mark.parametrize(("label", "says"), [("0", "all 4 train rows have label 0"), ("1", "have label 1")])
def test_one_class_cannot_be_trained_on(manifest_folder: MakeFolder, label: str, says: str):
    table = manifest.load([rewrite(manifest_folder(pairs=2), label=label)])
    with pytest.raises(UserError, match=says):
        manifest.check_trainable(table)


def test_both_classes_can_be_trained_on_and_test_rows_alone_cannot(manifest_folder: MakeFolder):
    table = manifest.load([manifest_folder(pairs=1, test=1)])
    manifest.check_trainable(table)
    with pytest.raises(UserError, match="the data has no train rows"):
        manifest.check_trainable(table[table["split"] == "test"])


def test_one_readable_test_picture_suffices():
    table = pd.DataFrame({"split": ["train", "test", "test"], "broken": [False, True, True]})
    with pytest.raises(UserError, match="none of the 2 test pictures can be read"):
        manifest.check_test_readable(table)
    manifest.check_test_readable(table.assign(broken=[True, False, True]))
    manifest.check_test_readable(table[:1].assign(broken=True))


def test_labels_of_test_rows_are_hidden_unless_asked_for(manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=2, test=1)
    hidden = manifest.load([folder])
    assert hidden.loc[hidden["split"] == "test", "label"].tolist() == [-1, -1]
    assert "2 test rows carry labels" in capsys.readouterr().err
    shown = manifest.load([folder], keep_test_labels=True)
    assert shown.loc[shown["split"] == "test", "label"].tolist() == [0, 1]


@pytest.mark.parametrize("limit", [1, 4, 7, 100])
def test_limit_takes_whole_pairs_of_both_classes(manifest_folder: MakeFolder, limit: int):
    folder = manifest_folder(pairs=6, test=3)
    table = manifest.load([folder], limit=limit)
    train = table[table["split"] == "train"]
    assert (train.groupby("pair")["label"].nunique() == 2).all()
    assert min(limit, 12) <= len(train) <= limit + 1
    assert (table["split"] == "test").sum() == min(limit, 6)
    assert table["id"].tolist() == manifest.load([folder], limit=limit)["id"].tolist()


def test_limit_without_pairs_keeps_both_classes(manifest_folder: MakeFolder):
    folder = rewrite(manifest_folder(pairs=6), pair="")
    assert manifest.load([folder], limit=4)["label"].value_counts().to_dict() == {0: 2, 1: 2}


def test_submission_ids_are_the_folders_own(manifest_folder: MakeFolder, competition_folder: MakeFolder):
    contest, other = competition_folder(test=3), manifest_folder("other", 2)
    table = manifest.load([contest, other])
    assert set(table["repo"]) == {""}
    assert all(name.startswith("test_data_v2/") for name in manifest.submission_ids(table))


def test_a_plain_folder_of_pictures_can_be_predicted(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=2)
    (folder / "manifest.csv").unlink()
    rows = manifest.to_predict([folder])
    assert rows["id"].tolist() == sorted(f"images/{k // 2:03}_{k % 2}.png" for k in range(4))
    assert set(rows["split"]) == {"test"} and set(rows["label"]) == {-1} and set(rows["repo"]) == {""}


@pytest.mark.parametrize("written", ["relative", "absolute"])
def test_a_root_says_where_a_row_lies(manifest_folder: MakeFolder, tmp_path: Path, written: str):
    folder, other = manifest_folder(pairs=2), manifest_folder("other", pairs=2)
    names = [f"images/{k // 2:03}_{k % 2}.png" for k in range(4)]
    paths = [*names[:2], *(f"{other}/{name}" if written == "absolute" else name for name in names[2:])]
    rewrite(folder, path=paths, root=["", "", str(other), f"{other}/"])
    assert manifest.load([folder])["path"].tolist() == [
        *(f"{folder}/{name}" for name in names[:2]),
        *(f"{other}/{name}" for name in names[2:]),
    ]


@pytest.mark.parametrize(
    ("root", "path", "says"),
    [
        ("there", "x.png", "line 2, column root: 'there'; expected an absolute folder"),
        ("/nowhere", "/etc/passwd", "leaves the folder"),
        ("/nowhere", "/nowhere/../etc/passwd", "leaves the folder"),
        ("/nowhere", "/nowhere2/x.png", "leaves the folder"),
    ],
)
def test_no_path_leaves_its_root(manifest_folder: MakeFolder, root: str, path: str, says: str):
    folder = rewrite(manifest_folder(pairs=1), root=root, path=path)
    with pytest.raises(UserError, match=says):
        manifest.load([folder])


LABELS = {"0": 0, "1": 1, "0.0": 0, " 1 ": 1}


@st.composite
def manifests(draw: st.DrawFn) -> tuple[list[str], list[dict[str, str]]]:
    """Columns in any order, and rows whose cells need quotes as often as not."""
    columns = draw(st.permutations(["path", "label", "pair", "group", "source", "camera"]))
    paths = draw(st.lists(names.map(lambda name: f"a{name}.png"), min_size=1, max_size=6, unique=True))
    cells = st.one_of(st.just(""), names)
    rows = [
        {"path": path, "label": draw(st.sampled_from([*LABELS]))}
        | {column: draw(cells) for column in ("pair", "group", "source", "camera")}
        for path in paths
    ]
    return columns, rows


def test_whatever_wrote_it_a_manifest_says_the_same(tmp_path: Path):
    reached = Counter[str]()

    @settings(max_examples=60)
    @given(manifests(), dialects)
    def check(drawn: tuple[list[str], list[dict[str, str]]], dialect: csvs.Dialect) -> None:
        reached["examples"] += 1
        columns, rows = drawn
        csvs.write(
            tmp_path / "manifest.csv", [columns, *([row[c] for c in columns] for row in rows)], dialect
        )
        table = manifest.load([tmp_path], pictures=False)
        reached["asserted"] += 1
        reached["quoted"] += any(set('",') & set(cell) for row in rows for cell in row.values())
        for column in ("pair", "group", "source"):
            assert table[column].tolist() == [row[column] for row in rows]
        assert table["id"].tolist() == table["name"].tolist() == [row["path"] for row in rows]
        assert table["path"].tolist() == [f"{tmp_path}/{row['path']}" for row in rows]
        assert table["label"].tolist() == [LABELS[row["label"]] for row in rows]

    check()
    assert reached["asserted"] == reached["examples"] and reached["quoted"] > reached["examples"] / 3


DAMAGES: dict[str, tuple[Callable[[list[list[str]], int], object], str]] = {
    "label": (lambda rows, at: rows[at].__setitem__(1, "2"), "line {line}, column label: found '2'"),
    "twice": (lambda rows, at: rows.append(list(rows[at])), "' (train) stands twice"),
    "outside": (
        lambda rows, at: rows[at].__setitem__(0, "a/../../x"),
        "line {line}, path 'a/../../x' is empty or",
    ),
    "shorter": (lambda rows, at: rows[at].pop(), "line {line}"),
    "longer": (lambda rows, at: rows[at].append("x"), "not a readable CSV table"),
    "headless": (lambda rows, at: rows.pop(0), "column 'path' is missing"),
    "semicolons": (
        lambda rows, at: rows.__setitem__(slice(None), [[";".join(r)] for r in rows]),
        "'path' is missing",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_a_manifest_is_named(tmp_path: Path, damage: str):
    change, says = DAMAGES[damage]
    reached = Counter[str]()

    @settings(max_examples=25)
    @given(st.integers(1, 6), st.data(), dialects)
    def check(count: int, data: st.DataObject, dialect: csvs.Dialect) -> None:
        rows = [["path", "label"], *([f"{number}.png", str(number % 2)] for number in range(count))]
        at = data.draw(st.integers(1, count))
        change(rows, at)
        csvs.write(tmp_path / "manifest.csv", rows, dialect)
        with pytest.raises(UserError) as error:
            manifest.load([tmp_path], pictures=False)
        assert says.format(line=at + 1) in str(error.value) and "manifest.csv" in str(error.value)
        reached["refused"] += 1

    check()
    assert reached["refused"] >= 20
