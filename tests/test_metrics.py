import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from humanmade import metrics

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
    others = [metrics.f1(labels, logits > cut) for cut in np.arange(-4, 4, 0.25)]
    assert best >= max(others) - 1e-12


@given(labelled, st.floats(0.01, 0.99), st.randoms())
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


def test_all_ones_on_a_balanced_set():
    assert metrics.all_ones_f1(0.5) == pytest.approx(f1_score([0, 1], [1, 1]))
