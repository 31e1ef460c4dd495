from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from humanmade import competition, metrics

labelled = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-6, 6).map(lambda n: n / 2)), min_size=2, max_size=40
)


@given(labelled)
def test_summary_agrees_with_scikit_learn(rows: list[tuple[int, float]]):
    labels, logits = map(np.array, zip(*rows, strict=True))
    scores = metrics.summary(labels, logits)
    assert scores["f1"] == pytest.approx(f1_score(labels, logits > 0, zero_division=0))
    assert scores["logloss"] == pytest.approx(log_loss(labels, expit(logits), labels=[0, 1]))
    if len(set(labels)) == 2:
        assert scores["auc"] == pytest.approx(roc_auc_score(labels, logits))
    else:
        assert np.isnan(scores["auc"])


@given(labelled)
def test_no_other_threshold_beats_the_best(rows: list[tuple[int, float]]):
    labels, logits = map(np.array, zip(*rows, strict=True))
    best = metrics.f1(labels, logits > metrics.best_threshold(labels, logits))
    found = logits > np.arange(-4, 4, 0.25)[:, None]
    others = 2 * (found & (labels == 1)).sum(axis=1) / np.maximum(1, found.sum(axis=1) + labels.sum())
    assert best >= others.max() - 1e-12


@given(labelled, st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), st.randoms())
def test_labels_at_prevalence_ignore_the_order_of_rows(rows, prevalence, random):
    logits = np.array([logit for _, logit in rows])
    ids = [f"id{i:02}" for i in range(len(rows))]
    labels = metrics.labels_at_prevalence(ids, logits, prevalence)
    assert labels.sum() == round(prevalence * len(rows))
    assert labels[labels == 1].size == 0 or logits[labels == 1].min() >= logits[labels == 0].max(initial=-99)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = metrics.labels_at_prevalence([ids[i] for i in order], logits[order], prevalence)
    assert dict(zip([ids[i] for i in order], again, strict=True)) == dict(zip(ids, labels, strict=True))


def test_ties_go_to_the_smaller_id():
    assert metrics.labels_at_prevalence(["b", "a"], [1.0, 1.0], 0.5).tolist() == [0, 1]


def test_a_source_is_scored_against_all_of_the_other_class():
    labels = [1, 1, 0, 0]
    scores = metrics.source_aucs(labels, [3.0, -3.0, 0.0, 1.0], ["gan", "diffusion", "coco", ""])
    assert scores == {"coco": 0.5, "diffusion": 0.0, "gan": 1.0, "worst": 0.0}


def test_a_source_of_both_labels_is_scored_per_label():
    scores = metrics.source_aucs([1, 0, 1, 0], [2.0, 1.0, 0.0, -1.0], ["reddit", "reddit", "", ""])
    assert scores == {"reddit (0)": 0.5, "reddit (1)": 1.0, "worst": 0.5}


def test_nested_f1_cuts_a_fold_where_the_others_say():
    labels, folds = [0, 1, 0, 1], [0, 0, 1, 1]
    # Fold 1's scores lie 10 higher: the cut that suits one fold calls the other all 0 or all 1.
    assert metrics.nested_f1(labels, [0.0, 1.0, 10.0, 11.0], folds) == pytest.approx(2 * 1 / (1 + 2 + 1))
    assert np.isnan(metrics.nested_f1([0, 1], [0.0, 1.0], [0, 0]))
    # Two of three folds cut at 0.5, which is right in each other and calls both rows of the odd one 1.
    logits = [0.0, 1.0, 10.0, 11.0, 0.0, 1.0]
    assert metrics.nested_f1([0, 1] * 3, logits, [0, 0, 1, 1, 2, 2]) == pytest.approx(6 / 7)


def test_all_ones_on_a_balanced_set():
    assert metrics.all_ones_f1(0.5) == pytest.approx(f1_score([0, 1], [1, 1]))


def test_the_error_of_an_auc_is_that_of_repeated_draws():
    rng, drawn = np.random.default_rng(0), []
    for _ in range(300):
        labels = np.tile([0, 1], 50)
        drawn.append(metrics.auc(labels, rng.normal(size=100) + labels))
    assert metrics.auc_error(float(np.mean(drawn)), 50, 50) == pytest.approx(np.std(drawn), rel=0.2)
    assert metrics.auc_error(0.7, 50, 50) > 1.9 * metrics.auc_error(0.7, 200, 200)


def test_the_error_of_an_auc_by_hand():
    """Of Hanley and McNeil's formula: Q1 = A / (2 - A), Q2 = 2 A^2 / (1 + A)."""
    first, second, square = 0.8 / 1.2, 2 * 0.64 / 1.8, 0.64
    by_hand = np.sqrt((0.16 + 2 * (first - square) + 4 * (second - square)) / 15)
    assert metrics.auc_error(0.8, 3, 5) == pytest.approx(by_hand)
    assert metrics.auc_error(0.8, 1, 1) == pytest.approx(0.4) == metrics.auc_error(0.8, 0, 0.5)
    assert metrics.auc_error(1.0, 9, 9) == metrics.auc_error(0.0, 9, 9) == 0


def test_what_says_nothing_is_nan_and_baselines_are_known():
    assert np.isnan(metrics.auc([1, 1], [0.0, 1.0])) and np.isnan(metrics.balanced_accuracy([0, 0], [0, 1]))
    assert metrics.balanced_accuracy([0, 0, 0, 1], [0, 0, 1, 1]) == pytest.approx(5 / 6)
    assert metrics.f1([0, 1], [0, 0]) == 0
    assert metrics.selection(0.9, None) == 0.9 and metrics.selection(0.9, 0.5) == pytest.approx(0.62)
    assert metrics.all_ones_f1(0.25) == pytest.approx(0.4) and metrics.all_ones_f1(0) == 0
    assert metrics.logloss([1, 0], [1000.0, 1000.0]) == 500


def test_the_baseline_is_said_by_the_metric_and_the_share(monkeypatch: pytest.MonkeyPatch):
    for values, said in (
        ({}, "answering 1 everywhere scores F1 0.667 on a half-and-half set"),
        ({"prevalence": 0.25}, "answering 1 everywhere scores F1 0.400 on a set with 25% of 1"),
        ({"metric": "auc"}, "answering 1 everywhere scores AUC 0.500 on a half-and-half set"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(competition, "CURRENT", replace(competition.CURRENT, **values))
            assert metrics.all_ones() == said


def test_the_best_threshold_lies_midway_and_below_the_last_where_all_are_found():
    assert metrics.best_threshold([0, 1, 1], [0.0, 2.0, 3.0]) == 1.0
    assert metrics.best_threshold([1, 1], [2.0, 3.0]) == 1.0, "one below the lowest"
    assert metrics.best_threshold([0, 1, 1, 0], [5.0, 4.0, 4.0, 1.0]) == 2.5, "no cut inside a tie"
    rare = ([0, 1, 0, 1, 1, 1], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert metrics.best_threshold(*rare) == 0.5, "one false alarm for a generated picture more"
    assert metrics.best_threshold(*rare, balanced=True) == 2.5, "which is dear where photos are few"


@given(labelled, st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5, 1.0]))
def test_no_cut_within_the_false_positive_rate_finds_more(rows: list[tuple[int, float]], fpr: float):
    labels, logits = map(np.array, zip(*rows, strict=True))
    assume(len(set(labels)) == 2)
    found = metrics.tpr_at_fpr(labels, logits, fpr)
    cuts = [(logits > cut)[labels == 0].mean() for cut in np.arange(-4, 4, 0.25)]
    allowed = [cut for cut, share in zip(np.arange(-4, 4, 0.25), cuts, strict=True) if share <= fpr + 1e-12]
    assert found == pytest.approx(max((logits > cut)[labels == 1].mean() for cut in allowed))


def test_the_true_positive_rate_counts_ties_against_the_detector():
    labels, logits = [0] * 100 + [1] * 4, [*range(100), 98.5, 99.0, 99.5, 0.0]
    assert metrics.tpr_at_fpr(labels, logits, 0.01) == 0.75, "one photo in a hundred may pass"
    other = [*range(100), 97.5, 98.5, 99.5, 0.0]
    assert metrics.tpr_at_fpr(labels, other) == 0.5 and metrics.tpr_at_fpr(labels, other, 0.02) == 0.75
    assert metrics.tpr_at_fpr(labels[1:], logits[1:], 0.01) == 0.25, "of 99 none may"
    assert metrics.tpr_at_fpr([0, 0, 1], [1.0, 1.0, 1.0], 0.5) == 0, "half of what is tied cannot be called 1"
    assert np.isnan(metrics.tpr_at_fpr([1, 1], [0.0, 1.0], 0.5)) and np.isnan(
        metrics.tpr_at_fpr([0], [0.0], 1)
    )


def test_auc_inside_repos_is_blind_to_the_offset_between_them():
    labels, repos = [0, 1, 0, 1, 1, 0], ["a", "a", "b", "b", "only fakes", ""]
    logits = np.array([0.0, 1.0, 5.0, 4.0, 9.0, -9.0])
    assert metrics.inside_aucs(labels, logits, repos) == {"a": 1.0, "b": 0.0}
    assert metrics.inside_aucs(labels, [*logits[:2], *(logits[2:4] - 7), *logits[4:]], repos) == {
        "a": 1.0,
        "b": 0.0,
    }
    assert metrics.inside_aucs(labels, logits, [""] * 6) == {}


def test_every_photo_source_meets_every_generator():
    labels = [0, 0, 1, 1, 1, 0]
    sources = ["coco", "ffhq", "gan", "diffusion", "", "gan"]
    found = metrics.cross_aucs(labels, [0.0, 2.0, 1.0, 3.0, -9.0, 1.0], sources)
    assert found == {
        ("coco", "gan"): 1.0,
        ("coco", "diffusion"): 1.0,
        ("ffhq", "gan"): 0.0,
        ("ffhq", "diffusion"): 1.0,
        ("gan", "gan"): 0.5,
        ("gan", "diffusion"): 1.0,
    }
    assert metrics.cross_aucs(labels, np.zeros(6), [""] * 6) == {}


named = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-6, 6), st.sampled_from(["a", "b", "c", ""])),
    min_size=1,
    max_size=40,
)


@given(named, st.integers(1, 5), st.integers(-5, 5))
def test_the_offset_knows_no_unit_and_no_zero_of_a_class(rows, unit: int, shift: int):
    labels, logits, sources = map(list, zip(*rows, strict=True))
    moved = unit * (np.array(logits) + shift * np.array(labels))
    found = metrics.offset(labels, logits, sources)
    assert metrics.offset(labels, moved, sources) == pytest.approx(found)
    assert found >= 0


def test_the_offset_by_hand():
    labels, sources = [0, 0, 0, 0, 1, 1], ["a", "a", "b", "b", "gan", "gan"]
    # Means 1 and 5 lie 2 from their middle; inside a source the variance is 1. One generator says nothing.
    logits = [0.0, 2.0, 4.0, 6.0, 50.0, 90.0]
    assert metrics.offset(labels, logits, sources) == pytest.approx(2.0)
    assert metrics.offset(labels[2:], logits[2:], sources[2:]) == 0
    assert metrics.offset([0, 1, 0, 1], [0.0, 9.0, 1.0, 8.0], ["x"] * 4) == 0, "one source per label"
    assert metrics.offset([0, 0], [0.0, 1.0], ["a", "b"]) == np.inf
