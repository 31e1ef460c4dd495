from pathlib import Path

import pytest

from humanmade.commands import main
from humanmade.data import manifest
from humanmade.errors import UserError
from tests.conftest import MakeFolder


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("human", "generated"), [("real", "FAKE"), ("0", "1"), ("human", "ai"), ("nature", "ai")]
)
def test_class_folders_label_what_lies_below_them(tmp_path: Path, human: str, generated: str, capsys):
    names = [f"{human}/a.jpg", f"{human}/more/1/b.png", f"{generated}/a.jpg"]
    table = manifest.load([tree(tmp_path, *names)])
    assert dict(zip(table["id"], table["label"], strict=True)) == dict(zip(names, [0, 0, 1], strict=True))
    assert set(table["split"]) == {"train"} and list(table.columns) == manifest.COLUMNS
    said = capsys.readouterr().err
    assert said == f"{tmp_path}: read as class folders: 2 train rows of label 0, 1 train rows of label 1\n"


@pytest.mark.parametrize("pattern", ["{split}/{kind}/x.jpg", "{kind}/{split}/x.jpg"])
def test_train_and_test_lie_above_or_below_classes(tmp_path: Path, pattern: str):
    kinds = ("real", "fake")
    names = [pattern.format(split=split, kind=kind) for split in ("train", "test") for kind in kinds]
    table = manifest.load([tree(tmp_path, *names)], keep_test_labels=True).set_index("id")
    assert table.loc[names, "split"].tolist() == ["train", "train", "test", "test"]
    assert table.loc[names, "label"].tolist() == [0, 1, 0, 1]


def test_a_plain_folder_is_test_rows_and_what_is_no_picture_is_counted(tmp_path: Path, capsys):
    hidden = (".hidden", "._a.jpg", ".ipynb_checkpoints/a.jpg", "__MACOSX/2024/b.PNG")
    names = ("a.jpg", "2024/1/b.PNG", "c.heic", "d.HEIC", "e.mp4", "notes", "f.jfif", *hidden)
    table = manifest.load([tree(tmp_path, *names)])
    assert table["id"].tolist() == ["2024/1/b.PNG", "a.jpg", "f.jfif"]
    assert set(table["split"]) == {"test"} and set(table["label"]) == {-1}
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("no picture of a known kind: 2 of .heic, 1 of .mp4, 1 of no extension")
    assert (
        lines[1].endswith("read as a plain folder of 3 pictures: test rows without labels")
        and len(lines) == 2
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["real/a.jpg", "fake/a.jpg", "holiday/a.jpg"], "holds class folders, and holiday/a.jpg outside of"),
        (["real/a.jpg", "fake/a.jpg", "a.jpg"], "and a.jpg outside of them"),
        (["train/real/a.jpg", "train/fake/a.jpg", "val/real/a.jpg"], "and val/real/a.jpg outside of them"),
        (["real/a.jpg", "human/a.jpg"], "there is none of the other class"),
        (["real/train/a.jpg", "fake/a.jpg"], "fake/a.jpg lies in neither train/ nor test/"),
        (["train_data/a.jpg"], "holds the competition's pictures but neither train.csv"),
        (["a.txt"], "nor pictures"),
    ],
)
def test_ambiguous_folders_are_refused(tmp_path: Path, names: list[str], says: str):
    with pytest.raises(UserError, match=says):
        manifest.load([tree(tmp_path, *names)])


def test_a_run_is_trained_on_class_folders_and_scored_on_their_test(
    tiny_probe: Path, manifest_folder: MakeFolder, tmp_path: Path, capsys
):
    made = manifest_folder(pairs=9)
    for number in range(9):
        for label, kind in enumerate(("real", "fake")):
            split = "train" if number < 6 else "test"
            place = tmp_path / "classes" / split / kind / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            (made / f"images/{number:03}_{label}.png").rename(place)
    assert (
        main(["cv", str(tiny_probe), "--data", str(tmp_path / "classes"), "--folds", "2", "--out", "r"]) == 0
    )
    assert "6 test rows carry labels; they are not looked at" in capsys.readouterr().err
    assert main(["evaluate", "r", "--data", str(tmp_path / "classes")]) == 0
    assert capsys.readouterr().out.startswith("6 pictures, 50.0% generated")
