import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from humanmade.commands import main
from humanmade.data import demo, folds, inventory, manifest
from humanmade.evaluation import canaries
from humanmade.images.canaries import CANARIES
from humanmade.images.decode import Picture
from humanmade.training.budget import OutOfTimeError
from tests.conftest import MakeFolder

Change = Callable[[Picture], Picture]


def nothing(picture: Picture) -> Picture:
    return picture


def tinted(picture: Picture) -> Picture:
    return (picture * np.array([1.0, 1.0, 0.8])).astype(np.uint8)


def blurred(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), dtype=np.uint8)


def lit_from_above(picture: Picture) -> Picture:
    light = np.linspace(60, -60, len(picture))[:, None, None]
    return (picture + light).clip(0, 255).astype(np.uint8)


def painted(picture: Picture) -> Picture:
    return np.asarray(cv2.medianBlur(picture, 9) // 48 * 48, dtype=np.uint8)


@pytest.fixture(scope="session")
def crops() -> list[tuple[str, Picture]]:
    """Crops of real photographs, each with its photograph's name."""
    found = demo._crops(demo._photographs(), demo.TRAIN_PHOTOS, 20, (96, 64))
    return [(photo, crop) for photo, _, crop in found]


MakeTable = Callable[..., pd.DataFrame]


@pytest.fixture
def table(crops: list[tuple[str, Picture]], tmp_path: Path) -> MakeTable:
    """Every other crop of each photograph is called generated, after a change; photographs are groups."""

    def make(change: Change = nothing, name: str = "crops", split: str = "train") -> pd.DataFrame:
        folder = tmp_path / name
        folder.mkdir()
        rows = []
        for number, (photo, crop) in enumerate(crops):
            path, label = f"{number}.png", number % 2
            Image.fromarray(change(crop) if label else crop).save(folder / path)
            rows.append((path, label, photo, split))
        frame = pd.DataFrame(rows, columns=["path", "label", "group", "split"])
        frame.to_csv(folder / "manifest.csv", index=False)
        return inventory.attach(manifest.load([folder]))

    return make


def scores(rows: pd.DataFrame) -> dict[str, float]:
    return canaries.of_groups(rows, folds.join_groups(rows))


def test_where_the_classes_do_not_differ_nothing_is_open(table: MakeTable):
    found = scores(table())
    assert list(found) == list(CANARIES)
    assert all(0.36 < score < 0.64 for score in found.values()), found
    assert canaries.alarms(found) == []


@pytest.mark.parametrize(
    ("change", "open_", "closed"),
    [
        (tinted, ["colour", "thumbnail"], ["sharpness", "blurred", "bytes"]),
        (blurred, ["sharpness"], ["thumbnail", "blurred"]),
        (lit_from_above, ["thumbnail", "blurred"], ["sharpness"]),
        (painted, ["drawing"], ["blurred"]),
    ],
)
def test_a_planted_shortcut_is_found(table: MakeTable, change: Change, open_: list[str], closed: list[str]):
    found = scores(table(change))
    assert all(found[name] > 0.9 for name in open_), found
    assert all(found[name] < canaries.TELLING for name in closed), found
    alarms = canaries.alarms(found)
    for name in open_:
        what, shortcut = canaries.SHORTCUTS[name]
        told = f"{what} alone tells the classes apart with AUC {found[name]:.2f}"
        assert f"{told}: {shortcut} is a shortcut here" in alarms
        assert f"{name} {found[name]:.2f} !" in canaries.lines(found)[0]
    assert all(f"{name} {found[name]:.2f} !" not in canaries.lines(found)[0] for name in closed)


def test_compression_by_class_shows_in_the_bytes(table: MakeTable):
    rows = table()
    for path in rows.loc[rows["label"] == 1, "path"]:
        Image.open(path).save(path, "JPEG", quality=97)
    found = scores(inventory.attach(rows.drop(columns=["digest", "phash", "broken"])))
    assert found["bytes"] > 0.7 > found["thumbnail"], found


def test_scores_are_the_same_with_a_new_cache(table: MakeTable, monkeypatch: pytest.MonkeyPatch):
    rows = table(tinted)
    first = scores(rows)
    monkeypatch.setenv("HUMANMADE_CACHE", "another")
    assert scores(rows) == first


def test_a_few_pictures_say_nothing(table: MakeTable):
    rows = table(tinted)
    few = pd.concat([rows[rows["label"] == 0], rows[rows["label"] == 1].head(canaries.FEWEST - 1)])
    few = few.reset_index(drop=True)
    parts = [(np.arange(0, len(few), 2), np.arange(1, len(few), 2))]
    assert canaries.measure(few, parts) == {} and canaries.lines({}) == []
    one_group = np.zeros(len(rows), np.int64)
    assert canaries.of_groups(rows, one_group) == {}


def test_folds_without_both_classes_are_passed_over(table: MakeTable):
    rows = table(blurred)
    numbers, zeros = np.arange(len(rows)), np.flatnonzero(rows["label"] == 0)
    good = (numbers[: len(rows) // 2], numbers[len(rows) // 2 :])
    found = canaries.measure(rows, [good])
    assert found and canaries.measure(rows, [good, (numbers, zeros), (zeros, numbers)]) == found
    assert canaries.measure(rows, [(numbers, zeros)]) == {}


def test_folds_are_the_runs_own(manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch):
    data = manifest_folder("data", 12, sources=["a", "b", "c"])
    photos = pd.read_csv(data / "manifest.csv")
    photos["source"] = photos["source"].replace("photo-c", "photo-b")  # two folds hold one photo source out
    photos.assign(pair="").to_csv(data / "manifest.csv", index=False)
    extra = manifest_folder("extra", 4, first_seed=500)
    made = folds.make(inventory.attach(manifest.load([data], [extra])), 3, 0, "source")
    seen: list[tuple[pd.DataFrame, list[canaries.Part]]] = []
    monkeypatch.setattr(canaries, "measure", lambda rows, parts, check: seen.append((rows, parts)))
    canaries.of_folds(made)
    ((rows, parts),) = seen
    own = set(rows["id"])
    assert len(parts) == len(made) == 3 and not own & set(made.rows.loc[made.rows["split"] == "extra", "id"])
    for fold, (train, held_out) in enumerate(parts):
        assert set(rows.iloc[held_out]["id"]) == own & set(made.validation(fold)["id"])
        assert set(rows.iloc[train]["id"]) == own & set(made.training(fold)["id"])
        assert len(train) and len(held_out)


def cv(recipe: Path, folder: Path) -> int:
    return main(["cv", str(recipe), "--data", str(folder), "--out", "r"])


def test_a_run_measures_its_canaries_once(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys
):
    folder = manifest_folder(pairs=canaries.FEWEST)
    assert cv(tiny_probe, folder) == 0
    kept = json.loads(Path("r/scores.json").read_text())["canaries"]
    assert list(kept) == list(CANARIES) and kept["sharpness"] > 0.9
    out = capsys.readouterr().out
    assert f"canaries (dumb on purpose): colour {kept['colour']:.2f}" in out
    assert "sharpness alone tells the classes apart" in out and "blur is a shortcut here" in out

    def again(*_: object) -> None:
        raise AssertionError("measured twice")

    monkeypatch.setattr(canaries, "of_folds", again)
    assert cv(tiny_probe, folder) == 0
    assert json.loads(Path("r/scores.json").read_text())["canaries"] == kept


def test_the_clock_of_the_canaries_costs_no_fold(
    tiny_probe: Path, manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys
):
    folder = manifest_folder(pairs=canaries.FEWEST, test=2)

    def late(*_: object) -> None:
        raise OutOfTimeError

    with monkeypatch.context() as patch:
        patch.setattr(canaries, "of_folds", late)
        assert cv(tiny_probe, folder) == 0
    scored = json.loads(Path("r/scores.json").read_text())
    assert scored["canaries"] == {} and not scored["unfinished"] and Path("r/submission.csv").is_file()
    captured = capsys.readouterr()
    assert "the run goes without canaries" in captured.err and "dumb on purpose" not in captured.out
    assert cv(tiny_probe, folder) == 0
    assert set(json.loads(Path("r/scores.json").read_text())["canaries"]) == set(CANARIES)


def test_damaged_canaries_are_named(tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=8)
    assert cv(tiny_probe, folder) == 0
    for damage in ("{", '{"colour": null}'):
        Path("r/canaries.json").write_text(damage)
        assert cv(tiny_probe, folder) == 2
        assert "remove r/canaries.json and run cv again" in capsys.readouterr().err
