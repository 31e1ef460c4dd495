"""What detectors keep on other worlds: candidate models fitted and judged with whole worlds left out.

A row of the table is a recipe, the world (or worlds) it was trained on and the world that judged it. To
judge a candidate on world W it is fitted on the rows that know nothing of W: neither as the set nor among
what was trained on. All worlds joined (`together`) are left out everywhere.

The rule of choice, written before any number: `shrink` is the forecast, unless the mean error of left-out
predictions (the mean over worlds of the mean absolute error) of another candidate is lower by more than
0.005; of several such ones the one with the fewest coefficients, then the one with the lowest error. Runs
are ranked by the score with the highest mean rank correlation with what was seen, the mean being over pairs
of a training world and a set; scores within 0.02 of the highest give way to the forecast if it is of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade import files, metrics
from humanmade.bench.table import FACTS, JOINED, NAMES, TOGETHER, as_markdown
from humanmade.errors import UserError
from humanmade.evaluation import forecast
from humanmade.evaluation.forecast import TERMS, Model
from humanmade.metrics import CHANCE

CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "constant": ("one",),
    "shrink": ("folds",),
    "corrupted": ("corrupted",),
    "steady": ("steady",),
    "facts": ("one", "folds", "corrupted", "sensitivity", "flips", "canary"),
}
"""Terms of each model that is judged."""
RULES: Mapping[str, Model] = {
    "0.3 folds + 0.7 corrupted": Model(
        {"folds": 1 - metrics.SHIFTED_SHARE, "corrupted": metrics.SHIFTED_SHARE}
    )
}
"""Scores that rank runs and foretell no AUC: that by which epochs and blend weights are chosen."""
DEFAULT = "shrink"
GAIN = 0.005
"""By how much the error of another candidate must be lower than that of the default."""
TIE = 0.02
"""Rank correlations that differ by no more are one."""
RIDGE = "facts"
"""The candidate whose coefficients are shrunk; the others are plain least squares."""
ALPHA = 1.0
"""Its penalty, of terms in units of their spread; not tuned."""
DIGITS = 4
"""Of coefficients and widths that are shipped."""
FEWEST_RECIPES = 3
"""Recipes on one set that a rank correlation needs."""
UNKNOWN = "canary"
"""The fact that may be unknown."""
MEASURED = ("auc", "zeros", "ones")
"""What a row knows of the set."""


def refuse_besides(names: Sequence[str]) -> None:
    """Refuse what an earlier bench's table leaves without a use.

    Args:
        names: of the arguments and options of `humanmade bench` that stand on the command line.

    Raises:
        UserError: `calibrate` is not among them, or something is that only measuring reads.
    """
    if "calibrate" not in names:
        raise UserError("--table: only --calibrate reads it; give both")
    surplus = [name for name in names if name not in ("table", "calibrate", "json")]
    if surplus:
        name = "recipes" if surplus[0] == "recipes" else f"--{surplus[0]}"
        raise UserError(f"{name}: with --table nothing is measured; leave one of them out")


def read(path: Path) -> pd.DataFrame:
    """The columns of a bench's table (`humanmade.bench.table.columns`) that judging needs.

    Raises:
        UserError: it lacks one, or a cell is no number.
    """
    measured = [*FACTS, *MEASURED]
    table = files.read_csv(path, (*NAMES, *measured))[[*NAMES, *measured]]
    for column in measured:
        numbers = pd.to_numeric(table[column].replace("", "nan"), errors="coerce")
        bad = table.index[numbers.isna() & (table[column] != "")]
        if len(bad):
            raise UserError(
                f"{path}: line {bad[0] + 2}: column '{column}' is '{table[column][bad[0]]}'; expected a "
                "number, or nothing where it is unknown"
            )
        table[column] = numbers
    return table


def usable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that can be learned from.

    Raises:
        UserError: no set can be judged by what other sets and training worlds say.
    """
    needed = [name for name in (*FACTS, *MEASURED) if name != UNKNOWN]
    rows = table[table["set"] != TOGETHER].dropna(subset=needed)
    # A set at no distance is no other world.
    rows = rows[rows["shift"] > 0].reset_index(drop=True)
    rows = rows.astype(dict.fromkeys((*FACTS, *MEASURED), float))
    count = rows["set"].nunique()
    if count < 2:
        raise UserError(f"--calibrate: {count} judged worlds with fold scores and AUC; at least 2 are needed")
    if all(_ignorant(rows, world).empty for world in rows["set"].unique()):
        raise UserError(
            "--calibrate: every row knows every judged world, as the set or as what was trained on; "
            "at least 3 worlds are needed where each is trained on"
        )
    return rows


def _ignorant(rows: pd.DataFrame, world: str) -> pd.DataFrame:
    """The rows that know nothing of a world."""
    trained = [world in text.split(JOINED) for text in rows["trained_on"]]
    return rows[(rows["set"] != world) & ~np.array(trained, dtype=bool)]


def fit(name: str, rows: pd.DataFrame) -> Model:
    """A candidate whose `foretold` fits `auc` by least squares; nothing is said of its half width.

    With s the shift, auc = (1 - s) folds + s model: the target is what the model had to say, and its error
    counts s squared.

    Args:
        rows: of `usable`.
    """
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    near = (1 - rows["shift"]) * rows["folds"]
    target = (rows["auc"] - near) / rows["shift"] - CHANCE
    terms = np.column_stack([TERMS[term](rows) for term in CANDIDATES[name]])
    counts = rows["shift"] ** 2
    if name == RIDGE:
        scaler = StandardScaler().fit(terms, sample_weight=counts)
        ridge = Ridge(ALPHA).fit(scaler.transform(terms), target, sample_weight=counts)
        coefficients = ridge.coef_ / scaler.scale_
        # The first term is the constant 1, of no spread.
        coefficients[0] = ridge.intercept_ - coefficients[1:] @ scaler.mean_[1:]
    else:
        coefficients = LinearRegression(fit_intercept=False).fit(terms, target, sample_weight=counts).coef_
    return Model(dict(zip(CANDIDATES[name], coefficients.tolist(), strict=True)))


def left_out(name: str, rows: pd.DataFrame) -> pd.Series[float]:
    """AUC foretold of every row by a fit that knows nothing of its set; rows without one are left out."""
    parts = [
        fit(name, fitting).foretold(rows[rows["set"] == world])
        for world in rows["set"].unique()
        if len(fitting := _ignorant(rows, world))
    ]
    return pd.concat(parts) if parts else pd.Series(dtype=float)


def fitted(name: str, rows: pd.DataFrame) -> Model:
    """A candidate fitted on all rows, and what left-out predictions missed as its half width.

    Rows of one world miss alike, so worlds are what there are few of, however many the rows: the root of
    the worlds' mean squares is widened by Student's t of as many degrees of freedom as there are worlds.
    Where no world can be left out it is of the fit's own residuals.
    """
    from scipy.stats import t

    model, predicted = fit(name, rows), left_out(name, rows)
    predicted = predicted if len(predicted) else model.foretold(rows)
    squares = (rows["auc"].loc[predicted.index] - predicted) ** 2
    squares = squares.groupby(rows["set"]).mean()
    widen = t.ppf((1 + forecast.COVERED) / 2, len(squares))
    return replace(model, half_width=float(widen * np.sqrt(squares.mean())))


def intervals(name: str, rows: pd.DataFrame, predicted: pd.Series[float]) -> pd.Series[float]:
    """Half widths around left-out predictions, from what the rows that were fitted on say alone."""
    judged = rows.loc[predicted.index]
    return pd.concat(
        [
            fitted(name, _ignorant(rows, str(world))).interval(
                part, predicted[part.index], part["zeros"], part["ones"]
            )
            for world, part in judged.groupby("set", sort=False)
        ]
    )


def judge(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a score: candidates first, then the rules that only rank.

    `score, coefficients, error` (of left-out predictions, mean over worlds), `held` (share of their 80 %
    intervals that held), `width` (their mean width), `spearman` (mean rank correlation of recipes with what
    was seen, over pairs of a training world and a set) and `first_better` (share of these pairs in which
    the recipe that the score puts first was better than the median recipe).

    Args:
        rows: of `usable`.
    """
    scores: list[dict[str, object]] = []
    judged = rows.loc[left_out(DEFAULT, rows).index]
    for name, terms in CANDIDATES.items():
        predicted = left_out(name, rows)
        half = intervals(name, rows, predicted)
        missed = (judged["auc"] - predicted).abs()
        scores.append(
            {
                "score": name,
                "coefficients": len(terms),
                "error": float(missed.groupby(judged["set"]).mean().mean()),
                "held": float((missed <= half).mean()),
                "width": float(2 * half.mean()),
            }
            | _ranks(judged, predicted)
        )
    scores += [{"score": name, **_ranks(judged, rule.elsewhere(judged))} for name, rule in RULES.items()]
    return pd.DataFrame(scores).astype({"coefficients": "Int64"})


def _ranks(rows: pd.DataFrame, scores: pd.Series[float]) -> dict[str, float]:
    """How well scores rank recipes inside each pair of a training world and a set.

    Equal scores rank nothing: their correlation is 0, and each of them is put first in its share.
    """
    from scipy.stats import spearmanr

    ranks = []
    for _, inside in rows.groupby(["trained_on", "set"], sort=False):
        aucs, ranking = inside["auc"], scores.loc[inside.index]
        if len(inside) < FEWEST_RECIPES or aucs.nunique() < 2:
            continue
        correlation = float(spearmanr(ranking, aucs).statistic) if ranking.nunique() > 1 else 0.0
        first = aucs[ranking == ranking.max()]
        ranks.append({"spearman": correlation, "first_better": float((first > aucs.median()).mean())})
    return dict(pd.DataFrame(ranks, columns=["spearman", "first_better"], dtype=float).mean())


def chosen(rows: pd.DataFrame, judged: pd.DataFrame) -> tuple[Model, Model]:
    """The model that forecasts and the one that ranks, by the rule above; rounded to ship."""
    candidates = judged.dropna(subset=["error"]).set_index("score")
    better = candidates[candidates["error"] < candidates["error"][DEFAULT] - GAIN]
    ordered = better.sort_values(["coefficients", "error"], kind="stable")
    name = str(ordered.index[0]) if len(ordered) else DEFAULT
    ranked = judged.set_index("score")["spearman"].fillna(0.0)
    best = str(ranked.idxmax())
    model = _rounded(fitted(name, rows))
    if ranked[name] >= ranked[best] - TIE:
        return model, model
    return model, _rounded(RULES[best] if best in RULES else fitted(best, rows))


def _rounded(model: Model) -> Model:
    weights = {term: round(weight, DIGITS) for term, weight in model.weights.items()}
    return Model(weights, round(model.half_width, DIGITS))


def report(table: pd.DataFrame) -> list[str]:
    """The judging table for a document, what it is of, and the constants that it chooses."""
    rows = usable(table)
    judged = judge(rows)
    model, ranking = chosen(rows, judged)
    by_set = [inside for _, inside in rows.groupby("set")["auc"]]
    constant = float(np.mean([(inside - rows["auc"].median()).abs().mean() for inside in by_set]))
    recipes, worlds = rows["recipe"].nunique(), rows["set"].unique()
    return [
        f"{len(rows)} rows of {recipes} recipes, each world left out in turn ({', '.join(worlds)}); "
        f"the best constant, chosen with all of them seen, errs by {constant:.3f}",
        as_markdown(judged),
        f"MODEL = {model!r}\nRANKING = {'MODEL' if ranking == model else repr(ranking)}",
    ]
