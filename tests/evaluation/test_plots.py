import re

import numpy as np
import pandas as pd
import pytest

from humanmade.evaluation import plots

LOGITS = np.array([-2.0, -1.0, 0.5, -0.5, 1.0, 2.5])
OOF = pd.DataFrame({"label": [0, 0, 0, 1, 1, 1], "fold": [0, 1, 0, 1, 0, 1], "logit": LOGITS})


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_standings_say_folds_forecast_and_leaderboard():
    runs = [plots.Standing("a", [0.8, 0.9], (0.7, 0.6, 0.8), 0.65), plots.Standing("b$x$", [], [], None)]
    svg = plots.standings(runs)
    assert "a: folds 0.850 on average, forecast 0.700 (0.600 to 0.800), leaderboard 0.650" in svg
    assert "b$x$: not scored yet" in svg and "b$x$" in texts(svg), "a name is no formula"
    assert {"fold", "forecast, 80 %", "leaderboard"} <= {*texts(svg)}
    bare = texts(plots.standings(runs[1:]))
    assert "1 everywhere" in bare and not {"fold", "forecast, 80 %", "leaderboard"} & {*bare}


def test_bars_are_sorted_and_carry_their_values():
    svg = plots.changes({"jpeg": 0.85, "blur": 0.6, "crop": 0.91}, 0.9)
    assert "change of AUC from 0.900: crop +0.010, jpeg -0.050, blur -0.300" in svg
    assert {"+0.010", "-0.050", "-0.300"} <= set(texts(svg))
    svg = plots.sources({"good": 0.9, "bad": 0.4, "unknown": 0.5}, {"good": 0, "bad": 1})
    assert "good 0.900, unknown 0.500, bad 0.400" in svg
    assert all(colour in svg for colour in (plots.CLASSES[0], plots.CLASSES[1], plots.OTHER))


@pytest.mark.parametrize("test", [None, np.array([-1.0, 3.0])])
def test_the_cut_is_drawn_where_there_are_test_rows(test):
    svg = plots.separation(OOF, test, 1.0)
    assert (
        ("submission's cut" in texts(svg))
        == ("test; 1.00" in svg or "; test 1.00" in svg)
        == (test is not None)
    )
    assert "human-made -1.00, generated 1.00" in svg


def test_calibration_compares_what_is_said_with_what_is():
    rows = pd.DataFrame({"label": [0, 1] * 20, "fold": 0, "logit": [-30.0, 30.0] * 20})
    assert "0.00: 0.00, 1.00: 1.00" in plots.ranking(rows)


def test_correlations_are_written_into_the_map():
    table = pd.DataFrame([[1.0, 0.25], [0.25, 1.0]], index=["a", "b"], columns=["a", "b"])
    assert texts(plots.agreement(table)).count("0.25") == 2


def test_curves_are_of_trainings_in_epochs():
    assert plots.curves({"fold0": pd.DataFrame([{"shrinkage": 1, "logloss": 2}])}) is None
    svg = plots.curves({"fold0": pd.DataFrame([{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.5}])})
    assert svg and "loss at the end: fold0 1.500" in svg
