"""What a run says of single pictures, and what that is worth: for people, not for a leaderboard."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import metrics
from humanmade.errors import UserError
from humanmade.evaluation import forecast
from humanmade.metrics import NAMES
from humanmade.run import OOF, Run
from humanmade.scores import Forecast, Scores

UNSURE = (0.2, 0.8)
"""Calibrated shares between which no verdict is given."""

SEEN = {
    "": "",
    "out of fold": "  (in the training set; by the fold that held it out)",
    "trained on": "  (trained on it, so this is too good)",
}
"""What `inference.known` says of a picture, in words."""


@dataclass(frozen=True)
class Calibration:
    """What the out-of-fold logits of a run say of a logit.

    The share is the chance that a picture is generated where both kinds are equally common: Platt scaling
    (Platt 1999, "Probabilistic outputs for support vector machines", with its smoothed targets), so that
    a run that errs nowhere out of fold is not certain of everything.
    """

    rows: int
    """Out-of-fold logits that it was fitted on."""
    threshold: float
    """The logit above which label 1 gives the best out-of-fold F1."""
    false_positives: float
    """Share of human-made pictures above it, out of fold."""
    slope: float
    intercept: float
    """Of the log odds in the logit."""

    def share(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated shares (rows,) of logits."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * np.asarray(logits) + self.intercept))


def calibrate(run: Run) -> Calibration:
    """Fit a run's calibration anew from its out-of-fold logits.

    Raises:
        UserError: it has none of both classes.
    """
    oof = run.oof
    if oof is None:
        raise UserError(
            f"{run.name}: has no {OOF}, without which a logit says little; train folds with humanmade cv, "
            "or write bare logits with --data D --out CSV"
        )
    labels, logits = oof["label"].to_numpy(dtype=np.int64), oof["logit"].to_numpy(dtype=np.float64)
    if len(np.unique(labels)) < 2:
        raise UserError(f"{run.folder / OOF}: holds one class only; train more folds")
    threshold = metrics.best_threshold(labels, logits, balanced=True)
    slope, intercept = _platt(labels, logits)
    false_positives = float(np.mean(logits[labels == 0] > threshold))
    return Calibration(len(oof), threshold, false_positives, slope, intercept)


def _platt(labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept of the log odds of label 1, at even odds of the classes."""
    from sklearn.linear_model import LogisticRegression

    count = np.array([np.sum(labels == 0), np.sum(labels == 1)])
    target = np.where(labels == 1, (count[1] + 1) / (count[1] + 2), 1 / (count[0] + 2))
    weight = len(labels) / (2 * count[labels])
    # A target between 0 and 1 is the row twice, with each label, weighed by how much it is that.
    spread = float(logits.std()) or 1.0
    doubled = np.tile(logits / spread, 2)[:, None]
    fit = LogisticRegression(C=1e6, max_iter=1000).fit(
        doubled, np.repeat([1, 0], len(labels)), np.concatenate([weight * target, weight * (1 - target)])
    )
    return float(fit.coef_[0, 0]) / spread, float(fit.intercept_[0])


def elsewhere(scores: Scores, rows: int) -> Forecast | None:
    """The forecast on pictures that share nothing with the training set; None where no fold is scored.

    Args:
        rows: how many pictures it is of, for its interval.
    """
    return forecast.forecast_of(replace(scores, distance=None), rows)


def verdicts(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """What a run says of each picture.

    Args:
        rows: with `id`, and `logit` and `seen` of `humanmade.evaluation.inference.honest_logits`.

    Returns:
        A row a picture: `picture` (the id), `verdict` (at the threshold), `unsure` (whether
        the share lies within `UNSURE`, or says another class than the verdict), `share`, `logit`, `seen` (of
        `inference.known`). Alike in all rows are the run's `threshold, false_positives`
        (`Calibration`), and the AUC forecast for pictures from `elsewhere` with its 80 % interval, `low` and
        `high`.

    Raises:
        UserError: the run has no out-of-fold logits.
    """
    calibration = calibrate(run)
    share, above = calibration.share(rows["logit"]), rows["logit"] > calibration.threshold
    # Where the threshold and the share say different things, neither is sure.
    unsure = ((share > UNSURE[0]) & (share < UNSURE[1])) | ((share > 0.5) != above)
    foretold = elsewhere(run.scores, calibration.rows)
    return pd.DataFrame(
        {
            "picture": rows["id"],
            "verdict": np.where(above, NAMES[1], NAMES[0]),
            "unsure": unsure,
            "share": share,
            "logit": rows["logit"],
            "seen": rows["seen"],
            "threshold": calibration.threshold,
            "false_positives": calibration.false_positives,
            "elsewhere": foretold.auc if foretold else np.nan,
            "low": foretold.low if foretold else np.nan,
            "high": foretold.high if foretold else np.nan,
        }
    ).reset_index(drop=True)


def as_text(table: pd.DataFrame) -> str:
    """Lay verdicts out: a line a picture, then what they mean and are worth."""
    width = table["picture"].str.len().max()
    lines = [_line(row, width) for row in table.to_dict("records")]
    run = table.iloc[0]
    low, high = UNSURE
    lines += [
        "",
        f"threshold: logit {run['threshold']:+.2f}, where F1 is best on pictures that were held out; of "
        f"human-made ones {run['false_positives']:.1%} lie above it",
        "share: the chance that a picture is generated where both kinds are equally common, if it is like "
        f"the training pictures; from {low:.0%} to {high:.0%} it is unsure",
    ]
    if not np.isnan(run["elsewhere"]):
        lines.append(
            f"on pictures from elsewhere this detector ranks right about {run['elsewhere']:.0%} of pairs "
            f"({100 * run['low']:.0f} to {100 * run['high']:.0f}); its shares are too sure there"
        )
    return "\n".join(lines)


def _line(row: dict[Hashable, Any], width: int) -> str:
    verdict = str(row["verdict"])
    if row["unsure"]:
        agree = (row["share"] > 0.5) == (verdict == NAMES[1])
        verdict = f"unsure, rather {verdict}" if agree else "unsure, either way"
    # Nothing is called certain.
    share = "<1%" if row["share"] < 0.01 else ">99%" if row["share"] > 0.99 else f"{row['share']:.0%}"
    return (
        f"{row['picture']:{width}}  {verdict:25}  share {share:>4}  logit {row['logit']:+.2f}"
        f"{SEEN[row['seen']]}"
    )
