import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import humanmade
from humanmade import api
from tests.conftest import MakeFolder


@pytest.fixture
def run(tiny_probe: Path, manifest_folder: MakeFolder) -> humanmade.Trained:
    folder = manifest_folder(pairs=6, test=3)
    return humanmade.cv(str(tiny_probe), folder, folds=2, settings={"pool": "mean_std", "shrinkage": [0.1]})


def test_importing_is_light():
    command = [sys.executable, "-X", "importtime", "-c", "import humanmade"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in said.splitlines()}
    assert "humanmade" in imported and not imported & {"torch", "pandas", "numpy", "PIL", "click", "pydantic"}


def test_what_is_exported_is_there_documented_and_typed():
    for name in humanmade.__all__:
        thing = getattr(humanmade, name)
        assert thing.__doc__ and name in dir(humanmade)
    assert humanmade.cv is api.cv and "return" in humanmade.cv.__annotations__
    assert (Path(humanmade.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = humanmade.nonsense


def test_a_run_is_made_opened_and_asked(run: humanmade.Trained, tmp_path: Path):
    assert run.recipe.model_dump()["pool"] == "mean_std" and run.recipe.folds == 2 and run.name == "tinyprobe"
    again = humanmade.load("tinyprobe")
    assert again.folder.samefile(run.folder) and again.scores == run.scores and len(run.scores.folds) == 2
    folder = tmp_path / "pictures/images"
    one = folder / "000_0.png"
    assert run.predict(one)["picture"].tolist() == [str(one)]
    table = run.predict([one, folder])
    assert len(table) == 18 and table["picture"][0] == str(one)
    assert run.logits(folder)["id"].tolist() == sorted(path.name for path in folder.glob("*.png"))
    drawn = run.explain(table.head(2), "maps")
    assert drawn == [Path("maps/explain-000_0.png"), Path("maps/explain-000_1.png")] and run.has_maps
    assert all(path.is_file() for path in drawn)
    with pytest.raises(humanmade.UserError, match="exists"):
        run.explain(one, "maps")


def test_one_name_is_as_good_as_a_list(run: humanmade.Trained, tiny_probe: Path, tmp_path: Path):
    again = humanmade.cv(tiny_probe, run.data_folders(), "runs/path", folds=2, settings="shrinkage=0.1")
    assert humanmade.compare(again.folder)["run"].tolist() == ["path"]
    with pytest.raises(humanmade.UserError, match="threshold nan; expected a logit, or oof"):
        humanmade.blend("path", "out.csv", data=run.data_folders(), threshold=float("nan"))
    assert not Path("out.csv").exists()


def test_runs_are_compared_blended_and_reported(run: humanmade.Trained, tmp_path: Path):
    data = tmp_path / "pictures"
    other = humanmade.cv(str(run.folder / "recipe.toml"), [data], "runs/other")
    assert set(humanmade.compare()["run"]) == {"tinyprobe", "other"}
    assert humanmade.compare([other.folder])["run"].tolist() == ["other"]
    blend = humanmade.blend([run.folder, "other"], "submissions/two.csv", data=data)
    written = pd.read_csv("submissions/two.csv")
    assert blend.table[["id", "label"]].to_numpy().tolist() == written.to_numpy().tolist()
    assert "6 rows, 3 labelled 1" in str(blend)
    with pytest.raises(humanmade.UserError, match="exists"):
        humanmade.blend(["tinyprobe"], "submissions/two.csv")
    shared, audited = (humanmade.report("page.html", ["other"], given).read_text() for given in ((), data))
    assert "other" in shared and shared == audited, "the data that the runs share is audited"
    data.rename(tmp_path / "elsewhere")
    assert len(humanmade.report("page.html", ["other"]).read_text()) < len(shared)


def test_the_audit_is_asked(manifest_folder: MakeFolder):
    found = humanmade.audit(str(manifest_folder(pairs=4)))
    assert found.train == 8 and found.verdict
