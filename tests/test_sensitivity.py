import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade import scores
from humanmade.evaluation.scorecard import lines
from humanmade.images.corruptions import CORRUPTIONS
from humanmade.sensitivity import REENCODED, flip_rate, sensitivity

RNG = np.random.default_rng(0)
LABELS = np.arange(100) % 2
CLEAN = LABELS * 4.0 + RNG.normal(size=100)


def test_the_grid_has_what_counts_as_re_encoding():
    assert set(REENCODED) <= set(CORRUPTIONS)


def test_a_common_step_of_half_the_distance_is_a_sensitivity_of_a_half():
    apart = CLEAN[LABELS == 1].mean() - CLEAN[LABELS == 0].mean()
    logits = np.column_stack([CLEAN, CLEAN + apart / 2, CLEAN - apart / 2])
    assert sensitivity(logits, LABELS) == pytest.approx(0.5)
    assert sensitivity(np.column_stack([CLEAN, CLEAN]), LABELS) == 0
    assert np.isnan(sensitivity(logits, np.ones(100)))
    assert sensitivity(np.column_stack([np.ones(100), CLEAN]), LABELS) == np.inf


def test_all_moving_over_the_cut_flips_half_and_one_in_four_is_a_quarter():
    assert flip_rate(np.column_stack([CLEAN, CLEAN, CLEAN * 2 - np.median(CLEAN)])) == 0
    assert flip_rate(np.column_stack([CLEAN, CLEAN + 100])) == 0.5
    moved = np.where(np.arange(100) % 4 == 0, 2 * np.median(CLEAN) - CLEAN, CLEAN)
    assert flip_rate(np.column_stack([CLEAN, moved])) == pytest.approx(0.25)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_neither_depends_on_the_scale_or_zero_of_logits(scale: float, zero: float):
    logits = np.column_stack([CLEAN, CLEAN + RNG.normal(size=100)])
    assert sensitivity(scale * logits + zero, LABELS) == pytest.approx(sensitivity(logits, LABELS), rel=1e-6)
    assert flip_rate(scale * logits + zero) == pytest.approx(flip_rate(logits), abs=0.011)


def test_the_scorecard_reads_an_infinite_sensitivity_out_of_json(tmp_path: Path):
    steadiness = {"sensitivity": None, "flips": 0.5}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"data": "", "folds": [], "steadiness": steadiness}))
    said = lines(scores.read(path))
    assert any("re-encoding         inf times" in line and "reads a file's history" in line for line in said)
