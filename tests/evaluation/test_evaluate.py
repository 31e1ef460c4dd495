import warnings

import numpy as np
import pandas as pd
import pytest

from humanmade import metrics
from humanmade.errors import UserError
from humanmade.evaluation import evaluate as evaluation


def rows(labels: list[int], split: str = "test") -> pd.DataFrame:
    ids = [f"r{i}" for i in range(len(labels))]
    return pd.DataFrame(
        {"id": ids, "label": labels, "split": split, "source": ["gen" if y else "photo" for y in labels]}
    ).assign(repo="")


def test_scores_by_hand():
    table = rows([1, 1, 0, 0, 0])
    scores = evaluation.evaluate(table, np.array([-1.0, -2.0, -3.0, -1.5, -4.0]), prevalence=0.4)
    # Ranked: r0, r3, r1, r2, r4. The top two of five are r0 (generated) and r3 (a photo).
    assert scores.auc == pytest.approx(5 / 6)
    assert scores.f1 == 0, "no logit is above 0"
    assert scores.f1_at_prevalence == scores.f1_oracle == pytest.approx(0.5)
    assert scores.balanced_accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.f1_all_ones == pytest.approx(2 * 0.4 / 1.4)
    assert scores.sources == {
        "gen": pytest.approx(5 / 6),
        "photo": pytest.approx(5 / 6),
        "worst": pytest.approx(5 / 6),
    }
    assert scores.inside == {} and scores.inside_mean is scores.inside_worst is None
    assert scores.worse == scores.auc and scores.tpr_at_1_fpr == 0.5 and scores.offset == 0
    assert scores.worse_error == metrics.auc_error(5 / 6, 2, 3)
    text = evaluation.as_text(scores)
    assert "AUC                                0.833" in text and "photo" in text


def test_scores_inside_repos_and_between_sources():
    table = rows([0, 1] * 4)
    table["repo"] = ["forum"] * 4 + ["shop"] * 4
    table.loc[[0, 2, 4, 6], "source"] = ["coco", "coco", "ffhq", "ffhq"]
    logits = np.array([0.0, 1.0, 0.5, 0.4, 5.0, 7.0, 6.0, 4.0])
    scores = evaluation.evaluate(table, logits)
    assert scores.inside == {"forum": 0.75, "shop": 0.5}
    assert scores.inside_mean == 0.625 and scores.inside_worst == 0.5
    assert scores.auc == 9 / 16 == scores.worse, "the pooled one is the worse"
    assert scores.cross == evaluation.Cross(9 / 16, 0.25, photos="ffhq", generator="gen")
    text = evaluation.as_text(scores)
    assert (
        "  shop   0.500  worst" in text
        and "worst of these pairs               0.250 (ffhq against gen)" in text
    )
    fakes = rows([1, 1]).assign(id=["x", "y"], repo="prompts")
    more = evaluation.evaluate(pd.concat([table, fakes], ignore_index=True), np.array([*logits, 99.0, 99.0]))
    assert more.auc == pytest.approx(17 / 24) and more.worse == more.inside_mean == 0.625
    one, other = (metrics.auc_error(score, 2, 2) for score in (0.75, 0.5))
    assert more.worse_error == pytest.approx(np.hypot(one, other) / 2)


def test_which_rows_are_evaluated():
    both = pd.concat([rows([0, 1], "train"), rows([1, 0, 1])], ignore_index=True)
    assert len(evaluation.labelled_rows(both, None)) == 3
    assert len(evaluation.labelled_rows(both, "train")) == 2
    assert len(evaluation.labelled_rows(both[:2], None)) == 2
    with pytest.raises(UserError, match="3 of 3 have no label"):
        evaluation.labelled_rows(both.assign(label=both["label"].where(both["split"] == "train", -1)), None)
    with pytest.raises(UserError, match="there are none"):
        evaluation.labelled_rows(both[:2], "test")


def test_folders_that_mix_rows_for_training_and_testing_are_not_guessed_at():
    train, test = rows([0, 1], "train"), rows([1, 0, 1])
    for alike in (train, test):
        evaluation.refuse_mixture(alike)
    with pytest.raises(UserError, match="hold 2 train and 3 test rows; give one folder at a time, or choose"):
        evaluation.refuse_mixture(pd.concat([train, test], ignore_index=True))


def test_a_set_of_one_class_has_no_error_and_warns_of_nothing():
    rows = pd.DataFrame({"id": list("abc"), "label": 1, "source": "gan", "repo": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = evaluation.evaluate(rows, np.array([1.0, -1.0, 2.0]))
    assert np.isnan(found.worse_error) and np.isnan(found.auc)
