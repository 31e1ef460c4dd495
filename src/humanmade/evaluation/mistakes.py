"""What a run gets wrong out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from PIL import Image

from humanmade.data.loader import read_picture
from humanmade.evaluation import page
from humanmade.metrics import NAMES

MISTAKES = 8
"""Shown at most."""

WIDTH, BYTES = 96, 3_000
"""Of a thumbnail."""

Values = dict[str, Any]


def faults(oof: pd.DataFrame, rows: pd.DataFrame) -> Values:
    """Confusion at logit 0, and the mistakes that the run was surest of, for a page.

    Args:
        oof: `id, label, fold, logit`.
        rows: `source, path` by id, for pictures; they are shown where none is missing.
    """
    from sklearn.metrics import confusion_matrix

    called = confusion_matrix(oof["label"], (oof["logit"] > 0).astype(int), labels=[0, 1]).tolist()
    wrong = oof[(oof["logit"] > 0) != (oof["label"] == 1)]
    worst = wrong.loc[wrong["logit"].abs().sort_values(ascending=False, kind="stable").index].head(MISTAKES)
    complete = worst["id"].isin(rows.index).all()
    return {
        "confusion": [
            {
                "truth": NAMES[label],
                "called": counts,
                "right": f"{counts[label] / sum(counts):.1%}" if any(counts) else "-",
            }
            for label, counts in enumerate(called)
        ],
        "mistaken": len(wrong),
        "mistakes": [_mistake(row, rows if complete else rows[:0]) for row in worst.to_dict("records")],
    }


def _mistake(row: Mapping[Any, Any], rows: pd.DataFrame) -> Values:
    values = {"id": row["id"], "truth": NAMES[int(row["label"])]}
    values |= {"logit": f"{row['logit']:+.2f}", "fold": int(row["fold"])}
    if row["id"] in rows.index:
        picture = Image.fromarray(read_picture(str(rows.loc[row["id"], "path"])))
        values["picture"] = page.picture(picture, WIDTH, BYTES)
        values["source"] = rows.loc[row["id"], "source"]
    return values
