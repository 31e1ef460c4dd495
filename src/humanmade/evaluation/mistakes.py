"""What a run gets wrong out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from PIL import Image

from humanmade.data.loader import read_picture
from humanmade.evaluation import plots, webp

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
    wrong = oof[(oof["logit"] > 0) != (oof["label"] == 1)]
    worst = wrong.loc[wrong["logit"].abs().sort_values(ascending=False, kind="stable").index].head(MISTAKES)
    complete = worst["id"].isin(rows.index).all()
    return {
        "confusion": [_confusion(oof, label) for label in sorted(plots.NAMES)],
        "mistaken": len(wrong),
        "mistakes": [_mistake(row, rows if complete else rows[:0]) for row in worst.to_dict("records")],
    }


def _confusion(oof: pd.DataFrame, label: int) -> Values:
    called = oof.loc[oof["label"] == label, "logit"] > 0
    right = called if label == 1 else ~called
    return {
        "truth": plots.NAMES[label],
        "human": int((~called).sum()),
        "generated": int(called.sum()),
        "right": f"{right.mean():.1%}" if len(called) else "-",
    }


def _mistake(row: Mapping[Any, Any], rows: pd.DataFrame) -> Values:
    values = {"id": row["id"], "truth": plots.NAMES[int(row["label"])]}
    values |= {"logit": f"{row['logit']:+.2f}", "fold": int(row["fold"])}
    if row["id"] in rows.index:
        picture = Image.fromarray(read_picture(str(rows.loc[row["id"], "path"])))
        values["picture"] = webp.inline(picture, WIDTH, BYTES)
        values["source"] = rows.loc[row["id"], "source"]
    return values
