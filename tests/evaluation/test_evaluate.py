import numpy as np
import pandas as pd
import pytest

from humanmade.errors import UserError
from humanmade.evaluation import evaluate as evaluation


def rows(labels: list[int], split: str = "test") -> pd.DataFrame:
    ids = [f"r{i}" for i in range(len(labels))]
    return pd.DataFrame(
        {"id": ids, "label": labels, "split": split, "source": ["gen" if y else "photo" for y in labels]}
    )


def test_scores_by_hand():
    table = rows([1, 1, 0, 0, 0])
    scores = evaluation.evaluate(table, np.array([-1.0, -2.0, -3.0, -1.5, -4.0]), prevalence=0.4)
    # Ranked: r0, r3, r1, r2, r4. The top two of five are r0 (generated) and r3 (a photo).
    assert scores["auc"] == pytest.approx(5 / 6)
    assert scores["f1"] == 0, "no logit is above 0"
    assert scores["f1_at_prevalence"] == scores["f1_oracle"] == pytest.approx(0.5)
    assert scores["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["f1_all_ones"] == pytest.approx(2 * 0.4 / 1.4)
    assert scores["sources"] == {
        "gen": pytest.approx(5 / 6),
        "photo": pytest.approx(5 / 6),
        "worst": pytest.approx(5 / 6),
    }
    text = evaluation.as_text(scores)
    assert "AUC                                0.833" in text and "photo" in text


def test_which_rows_are_evaluated():
    both = pd.concat([rows([0, 1], "train"), rows([1, 0, 1])], ignore_index=True)
    assert len(evaluation.labelled_rows(both, None)) == 3
    assert len(evaluation.labelled_rows(both, "train")) == 2
    assert len(evaluation.labelled_rows(both[:2], None)) == 2
    with pytest.raises(UserError, match="3 of 3 have no label"):
        evaluation.labelled_rows(both.assign(label=both["label"].where(both["split"] == "train", -1)), None)
    with pytest.raises(UserError, match="there are none"):
        evaluation.labelled_rows(both[:2], "test")
