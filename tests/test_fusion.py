import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade import fusion
from humanmade.choices import FUSIONS
from humanmade.fusion import View

RNG = np.random.default_rng(0)
LABELS = np.tile([0, 1], 100)
FOLDS = np.repeat([0, 1, 2, 3], 50)


def noisy(*noises: float) -> np.ndarray:
    """Logits of members that see the label through noise."""
    return np.stack([2.0 * LABELS - 1 + RNG.normal(size=200) * noise for noise in noises], axis=1)


def view(logits: np.ndarray) -> View:
    return View(LABELS, FOLDS, logits)


@given(st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=20, unique=True))
def test_ranks_see_order_alone(values: list[float]):
    logits = np.array(values)[:, None]
    ranked = fusion.rank(logits)
    assert (np.argsort(ranked) == np.argsort(values)).all()
    assert np.allclose(ranked, fusion.rank(np.arctan(logits)))
    assert abs(ranked.mean()) < 1e-9 and np.abs(ranked).max() < 1


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.floats(0.1, 10))
def test_only_the_proportions_of_weights_count(weights: list[float], factor: float):
    logits = noisy(1, 2, 3)
    scaled = fusion.combine(logits, np.array(weights) * factor)
    assert np.allclose(scaled, fusion.combine(logits, np.array(weights)))


def test_who_does_not_beat_chance_gets_nothing():
    good, bad = noisy(2.0), -noisy(2.0)
    weights = fusion.weigh("weights", {"clean": view(np.column_stack([good, bad, noisy(5.0)]))})
    assert weights[0] > weights[2] > weights[1] == 0


def test_a_score_is_of_the_order_inside_each_fold():
    logits = (2.0 * LABELS - 1 + 10 * FOLDS)[:, None]
    assert fusion.score({"clean": view(logits)}, np.ones(1)) == 1


@pytest.mark.parametrize("method", ("weights", "climb", "stack"))
def test_a_fold_of_one_class_says_nothing(method: str):
    # By source, the last fold's rows may all have been held out before, but those of one class.
    folds = np.where((FOLDS == 3) & (LABELS == 1), 2, FOLDS)
    views = {"clean": View(LABELS, folds, np.column_stack([-noisy(1.0), noisy(1.0)]))}
    assert fusion.score(views, np.array([0.0, 1.0])) > 0.8
    assert fusion.weigh(method, views)[1] == 1


@pytest.mark.parametrize("method", ("weights", "climb", "stack"))
def test_what_fails_on_shifted_views_gets_less(method: str):
    # Both are good on clean pictures; the second is lost on every corruption.
    views = {"clean": view(noisy(0.5, 0.5)), "jpeg50": view(noisy(0.5, 50)), "blur1": view(noisy(0.5, 50))}
    weights = fusion.weigh(method, views)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert weights[0] > 1.4 * weights[1]


@pytest.mark.parametrize("shifted", [0, 1, 3])
def test_a_stack_is_least_squares_in_which_shifted_views_share_their_weight(shifted: int):
    views = {name: view(noisy(2, 3)) for name in ["clean", *"abc"[:shifted]]}
    each = [0.3, *[0.7 / shifted] * shifted] if shifted else [0.3]
    rows = np.concatenate([np.column_stack([v.logits, np.ones(200)]) for v in views.values()])
    root = np.sqrt(np.repeat(each, 200))
    by_hand = np.linalg.lstsq(rows * root[:, None], np.tile(LABELS, len(each)) * root, rcond=None)[0][:2]
    assert fusion.weigh("stack", views) == pytest.approx(by_hand / by_hand.sum())


@pytest.mark.parametrize("method", ("climb", "stack"))
def test_diverse_members_beat_the_best_one(method: str):
    views = {"clean": view(noisy(1.0, 1.1, 1.2))}
    best = max(fusion.score(views, single) for single in np.eye(3))
    assert fusion.score(views, fusion.weigh(method, views)) > best


def test_a_climb_adds_nobody_who_does_not_help():
    whisper, sure = 0.01 * noisy(1.0), 2.0 * LABELS[:, None] - 1
    assert fusion.weigh("climb", {"clean": view(np.column_stack([whisper, sure]))}).tolist() == [0, 1]


def test_equal_weights_where_nothing_is_learned():
    views = {"clean": view(-noisy(0.1, 0.1))}
    assert fusion.weigh("mean", views).tolist() == [0.5, 0.5]
    assert fusion.weigh("weights", views).tolist() == [0.5, 0.5], "none is above chance"


def test_every_rule_can_be_asked_for():
    assert set(FUSIONS) - set(fusion.LEARNED) == {"mean", "rank"}
