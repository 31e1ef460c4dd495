import json
import math
from pathlib import Path

import pytest

from humanmade import scores
from humanmade.errors import UserError
from humanmade.scores import CorruptedScores, Distance, FoldScores, Forecast, Scores, Steadiness

FULL = Scores(
    data="abc",
    data_folders=["data/one", "two"],
    folds=[FoldScores(0, 12.5, 9.0, f1=0.8, auc=math.nan, logloss=0.3)],
    recipe="tiny",
    f1=0.8,
    auc=0.9,
    logloss=0.3,
    sources={"sd1": 0.7, "worst": 0.7},
    scale=1.5,
    corrupted={name: CorruptedScores(0.8, 0.7) for name in ("jpeg50", "mean", "worst")},
    steadiness=Steadiness(math.inf, 0.25),
    canaries={"colour": 0.6},
    distance=Distance(0.95, 0.4),
    forecast=Forecast(0.7, 0.6, 0.5, 0.9),
    versions={"python": "3.11"},
    commit="c",
)


def written(tmp_path: Path, **values: object) -> Path:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"data": "", "folds": []} | values))
    return path


def test_scores_are_read_as_they_were_written(tmp_path: Path):
    FULL.write(tmp_path / "scores.json")
    again = scores.read(tmp_path / "scores.json")
    assert math.isnan(again.folds[0].auc), "JSON keeps it as null"
    assert again.to_json() | {"folds": []} == FULL.to_json() | {"folds": []}
    assert again.corruptions == {"jpeg50": 0.8} and again.named_sources == {"sd1": 0.7}


def test_the_file_has_the_keys_of_the_contract(tmp_path: Path):
    FULL.write(tmp_path / "scores.json")
    values = json.loads((tmp_path / "scores.json").read_text())
    assert {"recipe", "f1", "auc", "logloss", "folds", "corrupted", "sources", "forecast", "scale"} < set(
        values
    )
    assert {"unfinished", "versions", "seed", "commit", "data", "prevalence"} < set(values)
    assert set(values["folds"][0]) == {"fold", "f1", "auc", "logloss", "seconds", "images_per_second"}
    assert values["corrupted"]["worst"] == {"auc": 0.8, "f1": 0.7}
    assert values["steadiness"] == {"sensitivity": None, "flips": 0.25}
    assert values["data_folders"] == ["data/one", "two"]
    assert values["distance"] == {"auc": 0.95, "unlike": 0.4}
    Scores("abc").write(tmp_path / "scores.json")
    values = json.loads((tmp_path / "scores.json").read_text())
    assert values["steadiness"] == {} and values["distance"] is values["forecast"] is None


def test_the_data_has_a_name():
    assert FULL.data_name == "one + two abc"
    assert Scores("0123456789").data_name == "data 01234567", "of an older kit, which noted no folders"


def test_runs_of_older_kits_are_read(tmp_path: Path):
    bare = scores.read(written(tmp_path))
    assert bare.steadiness is bare.distance is bare.forecast is None and bare.prevalence == 0.5
    older = {"steadiness": {}, "shifted": {}, "canaries": {"lost": None}, "of_a_newer_kit": 1}
    assert math.isnan(scores.read(written(tmp_path, **older)).canaries["lost"])
    shifted = {"sources": 2, "shift": 0.5, "test": {"auc": 0.7, "unlike": 0.1}, "counterparts": 0.6}
    assert scores.read(written(tmp_path, shifted=shifted)).shift == pytest.approx(0.5)
    assert scores.read(written(tmp_path, shifted={"sources": 2, "shift": 1.0})).distance is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"auc": "high"}, "damaged ('auc' is 'high': "),
        ({"folds": [{"fold": 0, "seconds": 1, "images_per_second": 1}]}, "damaged ('folds.0.f1' is missing)"),
        ({"corrupted": {"jpeg50": 0.9}}, "damaged ('corrupted.jpeg50' is 0.9: "),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, values: dict[str, object], says: str):
    with pytest.raises(UserError) as error:
        scores.read(written(tmp_path, **values))
    text = str(error.value)
    assert says in text and text.startswith(str(tmp_path / "scores.json")) and "\n" not in text
    assert text.endswith("; remove the run folder, or give another --out")
