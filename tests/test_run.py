from pathlib import Path

import pytest

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.run import Run
from humanmade.scores import Scores


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
    assert capsys.readouterr().out == "no --data: the data of r, one and two\n"


def test_a_run_that_is_misspelt_is_found(tmp_path: Path):
    folder = Path("runs/lite0_probe")
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text("")
    with pytest.raises(UserError, match="run 'lite_probe': not found; did you mean 'lite0_probe'"):
        Run.find("lite_probe")
