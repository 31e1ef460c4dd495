"""What is attached to a kernel, found wherever it is mounted."""

import shutil
from pathlib import Path

import pytest

from humanmade.errors import UserError
from humanmade.kaggle import archives
from humanmade.kaggle.inputs import Inputs
from tests.conftest import MakeFolder
from tests.kaggle.test_runtime import DATASET, LAYOUTS, mount


@pytest.fixture
def root(tmp_path: Path, competition_folder: MakeFolder) -> Path:
    return mount(tmp_path / "kaggle", competition_folder(pairs=8, test=4))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("copies", [False, True])
def test_the_data_is_found_wherever_it_is_mounted(
    tmp_path: Path, competition_folder: MakeFolder, layout: str, copies: bool
):
    root = mount(tmp_path / "kaggle", competition_folder(pairs=4, test=2), layout, copies)
    tables, pictures, _ = (root / "input" / place for place in LAYOUTS[layout])
    wanted = [pictures] if copies else [tables, pictures]
    assert Inputs(root / "input", tmp_path).data() == wanted


def test_links_are_followed_once(tmp_path: Path, competition_folder: MakeFolder):
    root = mount(tmp_path / "kaggle", competition_folder(pairs=4, test=2), "old", copies=True)
    (root / "input").rename(root / "elsewhere")
    (root / "input").mkdir()
    for name in ("a", "b"):
        (root / "input" / name).symlink_to(root / "elsewhere")
    (root / "elsewhere/loop").symlink_to(root / "input")
    assert Inputs(root / "input", tmp_path).data() == [root / "input/a" / DATASET]


def test_missing_data_is_named_with_what_is_there(root: Path, tmp_path: Path, capsys):
    (root / "input" / LAYOUTS["new"][0] / "test.csv").unlink()
    with pytest.raises(UserError, match=r"no folder with train\.csv and test\.csv among the inputs"):
        Inputs(root / "input", tmp_path).data()
    out = capsys.readouterr().out
    assert "ai-vs-human-generated-dataset/" in out and "train_data/" in out and ".jpg" not in out
    shutil.rmtree(root / "input" / LAYOUTS["new"][1] / "test_data_v2")
    (root / "input" / LAYOUTS["new"][0] / "test.csv").write_text("id\n")
    with pytest.raises(UserError, match="no folder with train_data and test_data_v2"):
        Inputs(root / "input", tmp_path).data()
    with pytest.raises(UserError, match="among the inputs"):
        Inputs(tmp_path / "nowhere/input", tmp_path).data()


def test_runs_are_told_apart_by_owner_and_slug(tmp_path: Path):
    inputs = tmp_path / "kaggle/input"
    for place in (
        "notebooks/tester/one/runs/a",
        "notebooks/other/one/runs/b",
        "two/runs/c",
        "two-more/runs/d",
    ):
        (inputs / place).mkdir(parents=True)
        (inputs / place / "recipe.toml").write_text("")
        (inputs / place / "folds.csv").write_text("")
    attached = Inputs(inputs, tmp_path)
    found = {name: [run.name for run in attached.runs_of(name)] for name in ("tester/one", "tester/two")}
    assert found == {"tester/one": ["a"], "tester/two": ["c"]}
    with pytest.raises(UserError, match="tester/three: no run of it"):
        attached.runs_of("tester/three")


def test_folds_that_were_packed_are_unpacked_though_inputs_are_read_only(tmp_path: Path):
    run = tmp_path / "kaggle/input/notebooks/tester/one/runs/a"
    (run / "fold0/seed1").mkdir(parents=True)
    (run / "fold0/seed1/model").write_text("weights")
    for name in ("recipe.toml", "folds.csv"):
        (run / name).write_text("")
    archives.pack_folds(run)
    for path in (*run.iterdir(), run):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (made,) = Inputs(tmp_path / "kaggle/input", tmp_path).runs_of("tester/one")
    assert (made / "fold0/seed1/model").read_text() == "weights" and not list(made.glob("*.zip"))
    assert all(path.stat().st_mode & 0o200 for path in (made, *made.iterdir()))


def test_a_dataset_of_ones_own_is_extra_and_never_the_competition(
    tmp_path: Path, competition_folder: MakeFolder, manifest_folder: MakeFolder
):
    root = mount(tmp_path / "kaggle", competition_folder(pairs=4, test=2), "old")
    inputs = root / "input"
    shutil.copytree(competition_folder("mine", pairs=4, test=2), inputs / "a-copy")
    shutil.copytree(manifest_folder(pairs=2), inputs / "datasets/friend/more/inside")
    tables, pictures, _ = (inputs / place for place in LAYOUTS["old"])
    names, attached = ("tester/a-copy", "friend/more"), Inputs(inputs, tmp_path)
    assert attached.data(names) == [tables, pictures]
    labelled = [inputs / "a-copy", inputs / "datasets/friend/more/inside"]
    assert [attached.labelled(name) for name in names] == labelled
    with pytest.raises(UserError, match="friend/other: no such dataset among the inputs"):
        attached.labelled("friend/other")
