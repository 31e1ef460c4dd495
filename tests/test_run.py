import os
import shutil
from pathlib import Path

import pytest

from humanmade import files
from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.run import Run
from humanmade.scores import Scores
from tests.conftest import MakeFolder


@pytest.fixture
def run() -> Run:
    recipes.save(recipes.load("probe_lite0"), Path("runs/r/recipe.toml"))
    Scores("abc").write(Path("runs/r/scores.json"))
    return Run.find("r")


def test_a_run_knows_its_data(run: Run, capsys: pytest.CaptureFixture[str]):
    given = [Path("elsewhere")]
    assert run.data_folders(given) == given and not capsys.readouterr().out
    with pytest.raises(UserError, match=r"^run 'r': it does not say where its data lay; give --data$"):
        run.data_folders()
    run.note_folders([Path("one"), Path("two")])
    run.note_folders([])
    Path("one").mkdir()
    with pytest.raises(UserError, match=r"^run 'r': its data two is not here; give --data$"):
        run.data_folders()
    Path("two").mkdir()
    assert run.data_folders() == [Path("one"), Path("two")]
    assert capsys.readouterr().err == "no --data: the data of r, one and two\n"
    os.chdir("one")  # whoever asks from elsewhere is told of the same folders
    assert Run(Path("../runs/r")).data_folders() == [Path(), Path.cwd().parent / "two"]


def test_a_run_that_was_pulled_takes_the_competition_here(run: Run, competition_folder: MakeFolder):
    shutil.copytree(competition_folder(pairs=2), "data")
    run.note_folders([Path("/kaggle/input/absent")])
    with pytest.raises(UserError, match=r"its data /kaggle/input/absent is not here"):
        run.data_folders()
    files.write_json(run.folder / "kernel.json", {"kernel": "me/k", "run_id": "1"})
    assert run.data_folders() == [Path("data")]


def test_a_run_that_is_misspelt_is_found(tmp_path: Path):
    folder = Path("runs/lite0_probe")
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text("")
    with pytest.raises(UserError, match="run 'lite_probe': not found; did you mean 'lite0_probe'"):
        Run.find("lite_probe")
