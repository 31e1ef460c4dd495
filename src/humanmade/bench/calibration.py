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

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import files
from humanmade.bench.table import FACTS, JOINED, NAMES, TOGETHER, as_markdown
from humanmade.errors import UserError
from humanmade.evaluation import forecast_model
from humanmade.evaluation.forecast_model import CANDIDATES, RULES, TERMS, Facts, Model
from humanmade.metrics import CHANCE

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
UNKNOWN = ("counterparts", "canary")
"""Facts that may be unknown."""
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
    surplus = [name for name in names if name not in ("table", "calibrate", "markdown", "title", "json")]
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
    """`recipe, trained_on, set, auc, zeros, ones` of the rows that can be learned from, and their `facts`.

    Raises:
        UserError: no set can be judged by what other sets and training worlds say.
    """
    needed = [name for name in FACTS if name not in UNKNOWN]
    rows = table[table["set"] != TOGETHER].dropna(subset=[*needed, *MEASURED])
    # A set at no distance is no other world.
    rows = rows[rows["shift"] > 0].reset_index(drop=True)
    count = rows["set"].nunique()
    if count < 2:
        raise UserError(f"--calibrate: {count} judged worlds with fold scores and AUC; at least 2 are needed")
    facts = [_facts(row) for row in rows[[*FACTS]].astype(float).to_dict("records")]
    rows = rows.assign(facts=pd.Series(facts, index=rows.index, dtype=object))
    if all(_ignorant(rows, world).empty for world in rows["set"].unique()):
        raise UserError(
            "--calibrate: every row knows every judged world, as the set or as what was trained on; "
            "at least 3 worlds are needed where each is trained on"
        )
    return rows


def _facts(row: Mapping[Hashable, Any]) -> Facts:
    values: dict[str, Any] = {name: None if np.isnan(row[name]) else row[name] for name in FACTS}
    return Facts(**values)


def _ignorant(rows: pd.DataFrame, world: str) -> pd.DataFrame:
    """The rows that know nothing of a world."""
    trained = [world in text.split(JOINED) for text in rows["trained_on"]]
    return rows[(rows["set"] != world) & ~np.array(trained, dtype=bool)]


def fit(name: str, rows: pd.DataFrame) -> tuple[float, ...]:
    """Coefficients of a candidate, so that `forecast_model.foretold` fits `auc` by least squares.

    With s the shift, auc = (1 - s) folds + s model: the target is what the model had to say, and its error
    counts s squared.

    Args:
        rows: of `usable`.
    """
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    shift = np.array([facts.shift for facts in rows["facts"]])
    near = (1 - shift) * np.array([facts.folds for facts in rows["facts"]])
    target = (rows["auc"].to_numpy(dtype=np.float64) - near) / shift - CHANCE
    terms = np.array([[TERMS[term](facts) for term in CANDIDATES[name]] for facts in rows["facts"]])
    if name != RIDGE:
        model = LinearRegression(fit_intercept=False).fit(terms, target, sample_weight=shift**2)
        return tuple(map(float, model.coef_))
    scaler = StandardScaler().fit(terms, sample_weight=shift**2)
    ridge = Ridge(ALPHA).fit(scaler.transform(terms), target, sample_weight=shift**2)
    coefficients = ridge.coef_ / scaler.scale_
    # The first term is the constant 1, of no spread.
    coefficients[0] = ridge.intercept_ - coefficients[1:] @ scaler.mean_[1:]
    return tuple(map(float, coefficients))


def _foretold(name: str, fitting: pd.DataFrame, rows: pd.DataFrame) -> pd.Series[float]:
    model = Model(name, fit(name, fitting), 0.0)
    return pd.Series(
        [forecast_model.foretold(model, facts) for facts in rows["facts"]], rows.index, dtype=float
    )


def left_out(name: str, rows: pd.DataFrame) -> pd.Series[float]:
    """AUC foretold of every row by a fit that knows nothing of its set; rows without one are left out."""
    parts = [
        _foretold(name, fitting, rows[rows["set"] == world])
        for world in rows["set"].unique()
        for fitting in [_ignorant(rows, world)]
        if len(fitting)
    ]
    return pd.concat(parts) if parts else pd.Series(dtype=float)


def fitted(name: str, rows: pd.DataFrame) -> Model:
    """A candidate fitted on all rows, and what left-out predictions missed as its half width.

    Rows of one world miss alike, so worlds are what there are few of, however many the rows: the root of
    the worlds' mean squares is widened by Student's t of as many degrees of freedom as there are worlds.
    Where no world can be left out it is of the fit's own residuals.
    """
    from scipy.stats import t

    predicted = left_out(name, rows)
    predicted = predicted if len(predicted) else _foretold(name, rows, rows)
    squares = (rows["auc"].loc[predicted.index] - predicted) ** 2
    squares = squares.groupby(rows["set"]).mean()
    widen = t.ppf((1 + forecast_model.COVERED) / 2, len(squares))
    return Model(name, fit(name, rows), float(widen * np.sqrt(squares.mean())))


def intervals(name: str, rows: pd.DataFrame, predicted: pd.Series[float]) -> npt.NDArray[np.float64]:
    """Half widths around left-out predictions, from what the rows that were fitted on say alone."""
    judged = rows.loc[predicted.index]
    models = {world: fitted(name, _ignorant(rows, world)) for world in judged["set"].unique()}
    columns = zip(judged["set"], judged["facts"], predicted, judged["zeros"], judged["ones"], strict=True)
    return np.array([forecast_model.half_width(models[world], *measured) for world, *measured in columns])


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
    for name, rule in RULES.items():
        ranking = pd.Series([rule(facts) for facts in judged["facts"]], judged.index)
        scores.append({"score": name, **_ranks(judged, ranking)})
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


def chosen(rows: pd.DataFrame, judged: pd.DataFrame) -> tuple[Model, Model | str]:
    """The model that forecasts, and the model or rule that ranks, by the rule above; rounded to ship."""
    candidates = judged.dropna(subset=["error"]).set_index("score")
    better = candidates[candidates["error"] < candidates["error"][DEFAULT] - GAIN]
    ordered = better.sort_values(["coefficients", "error"], kind="stable")
    name = str(ordered.index[0]) if len(ordered) else DEFAULT
    ranked = judged.set_index("score")["spearman"].fillna(0.0)
    best = str(ranked.idxmax())
    model = _rounded(fitted(name, rows))
    if ranked[name] >= ranked[best] - TIE:
        return model, model
    return model, _rounded(fitted(best, rows)) if best in CANDIDATES else best


def _rounded(model: Model) -> Model:
    coefficients = tuple(np.round(model.coefficients, DIGITS).tolist())
    return Model(model.name, coefficients, round(model.half_width, DIGITS))


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
        "\n".join(constants(model, ranking)),
    ]


def constants(model: Model, ranking: Model | str) -> Sequence[str]:
    """Lines for `humanmade.evaluation.forecast`."""
    return [f"MODEL = {model}", f"RANKING: Model | str = {'MODEL' if ranking == model else repr(ranking)}"]
