"""The whole run's time, from that of a part."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from humanmade import files
from humanmade import recipe as recipes
from humanmade.kaggle import whole_run
from humanmade.run import Run
from humanmade.scores import FoldScores, Scores
from tests.conftest import MakeFolder

STAGES = {"training": 60.0, "predicting": 20.0, "scoring": 30.0}


@pytest.fixture
def part(tmp_path: Path) -> Run:
    """Eight of 64 train pictures in two folds, four of eight test pictures."""
    ids = [str(number) for number in range(8)]
    run = Run(tmp_path / "part")
    files.write_csv(run.folder / "folds.csv", pd.DataFrame({"id": ids, "fold": [0, 1] * 4, "group": 0}))
    files.write_csv(run.folder / "pictures.csv", pd.DataFrame({"id": ids, "digest": ids}))
    files.write_csv(run.folder / "test.csv", pd.DataFrame({"id": list("abcd"), "logit": 0.0}))
    folds = [FoldScores(fold, 110.0, 9.0, 1.0, 1.0, 0.1) for fold in (0, 1)]
    for fold in (0, 1):
        files.write_json(run.fold(fold) / "scores.json", {"stages": STAGES})
    stages = {"reading": 12.0, "preparing": 24.0, "measuring": 40.0}
    Scores("", folds, stages=stages).write(run.folder / "scores.json")
    return run


def test_each_stage_grows_with_its_pictures(part: Run, manifest_folder: MakeFolder):
    data = [manifest_folder(pairs=32, test=4)]
    recipe = recipes.load("spectrum", ["folds=4"])
    said = whole_run.lines(part, recipe, data, [], seconds=110 + 12 + 24 + 40 + 14, ranks=2)
    # Reading 12 s * 72 / 12, training 2 rounds * 60 s * 48 / 4, predicting 2 * 20 s * (16 + 8) / (4 + 4).
    assert "reading 72 s (1 pictures/s here), preparing 2 min, training 24 min (0.0667 pictures" in said[0]
    assert "predicting 2 min (0.4 pictures/s here), scoring 30 s, start and end 54 s" in said[0]
    total = 12 * 6 + 24 * 6 + 2 * 60 * 12 + 2 * 20 * 3 + 30 + 40 + 14
    assert said[2] == f"the whole run: about {round(total / 60)} min for 4 folds"
    alone = whole_run.lines(part, recipe, data, [], seconds=220 + 12 + 24 + 40 + 14, ranks=1)
    assert (
        alone[2]
        == f"the whole run: about {round((total + 2 * 60 * 12 + 2 * 20 * 3 + 30) / 60)} min for 4 folds"
    )
    assert whole_run.found("\n".join(["fold 0: ...", *said, "bye"])) == said


def test_without_a_finished_fold_nothing_is_foretold(part: Run):
    (part.folder / "scores.json").unlink()
    replace(Scores(""), unfinished=True).write(part.folder / "scores.json")
    (said,) = whole_run.lines(part, recipes.load("spectrum"), [], [], 1800, 2)
    assert said == "the whole run: not known, for no fold was finished in 30 min; give more --hours"
