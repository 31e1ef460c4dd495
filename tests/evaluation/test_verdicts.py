import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humanmade.errors import UserError
from humanmade.evaluation import verdicts
from humanmade.run import Run
from humanmade.scores import CorruptedScores, Distance, FoldScores, Scores, Steadiness


def written(folder: Path, labels: np.ndarray, logits: np.ndarray, **scores: object) -> Run:
    ids = [f"r{number}" for number in range(len(labels))]
    table = pd.DataFrame({"id": ids, "label": labels, "fold": 0, "logit": logits})
    table.to_csv(folder / "oof.csv", index=False)
    Scores("data", **scores).write(folder / "scores.json")
    return Run(folder)


@pytest.mark.parametrize("ones", [4000, 400], ids=["even", "rare"])
def test_the_share_is_the_chance_at_even_odds(tmp_path: Path, ones: int):
    # Gaussians at -1 and +1 of unit spread: the true log odds at even odds are twice the place.
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(-1, 1, 4000), rng.normal(1, 1, ones)])
    labels = np.repeat([0, 1], [4000, ones])
    calibration = verdicts.calibrate(written(tmp_path, labels, 30 * places + 60))
    asked = np.array([-1.0, 0.0, 0.5, 1.0])
    assert calibration.share(30 * asked + 60) == pytest.approx(1 / (1 + np.exp(-2 * asked)), abs=0.04)
    above = np.mean(30 * places[labels == 0] + 60 > calibration.threshold)
    assert calibration.false_positives == above and 0 < above < 0.3 and calibration.rows == 4000 + ones


def test_a_run_without_an_error_is_not_certain(tmp_path: Path):
    calibration = verdicts.calibrate(written(tmp_path, np.repeat([0, 1], 10), np.repeat([-1.0, 1.0], 10)))
    assert calibration.share([1.0, -1.0]) == pytest.approx([11 / 12, 1 / 12], abs=1e-3)
    assert calibration.threshold == 0 and calibration.false_positives == 0


def test_rare_photos_are_not_called_generated_for_being_rare(tmp_path: Path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [100, 900])
    run = written(tmp_path, labels, rng.normal(2 * labels, 1))
    calibration = verdicts.calibrate(run)
    assert 0.35 < float(calibration.share([calibration.threshold])[0]) < 0.65, "0.15 at the set's own share"
    between = [calibration.threshold + 0.01, calibration.threshold - 0.01, 4.0]
    table = verdicts.verdicts(run, pd.DataFrame({"id": list("abc"), "logit": between, "seen": ""}))
    assert table["unsure"].tolist() == [True, True, False]


def test_without_both_classes_out_of_fold_there_is_no_verdict(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no oof\.csv"):
        verdicts.calibrate(Run(tmp_path))
    with pytest.raises(UserError, match="one class only"):
        verdicts.calibrate(written(tmp_path, np.ones(3, int), np.arange(3.0)))


def test_elsewhere_nothing_is_shared_however_near_the_test_set_is():
    scores = Scores(
        "data",
        folds=[FoldScores(0, 1.0, 1.0, 0.99, 0.99, 0.1)],
        corrupted={"mean": CorruptedScores(0.9, 0.9)},
        steadiness=Steadiness(0.1, 0.1),
        distance=Distance(0.5, 0.05),
    )
    foretold = verdicts.elsewhere(scores, 1000)
    assert foretold and foretold.auc < 0.8 and foretold.low < foretold.auc < foretold.high
    assert verdicts.elsewhere(Scores("data"), 1000) is None


def test_words_follow_the_numbers(tmp_path: Path):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 50)
    run = written(tmp_path, labels, rng.normal(labels * 4 - 2, 1))
    rows = pd.DataFrame(
        {
            "id": ["a.jpg", "b.jpg", "c.jpg"],
            "logit": [-9.0, 0.1, 9.0],
            "seen": ["", "out of fold", "trained on"],
        }
    )
    table = verdicts.verdicts(run, rows)
    assert table["verdict"].tolist()[::2] == ["human-made", "generated"]
    assert table["unsure"].tolist() == [False, True, False] and table["elsewhere"].isna().all()
    text = verdicts.as_text(table).splitlines()
    assert text[0].split() == ["a.jpg", "human-made", "share", "<1%", "logit", "-9.00"]
    assert (table["share"][1] > 0.5) and table["verdict"][1] == "human-made", "the threshold says otherwise"
    assert text[1].startswith("b.jpg  unsure, either way ")
    assert text[1].endswith("by the fold that held it out)")
    assert "share >99%" in text[2] and "trained on it, so this is too good" in text[2]
    rather = verdicts.as_text(table.assign(verdict="generated")).splitlines()[1]
    assert rather.startswith("b.jpg  unsure, rather generated ")
    assert "elsewhere" not in "".join(text), "nothing is foretold of a run whose folds are not scored"
    json.dumps(table.to_dict("records"))
