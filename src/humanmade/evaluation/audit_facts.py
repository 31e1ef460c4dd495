"""What facts of pictures tell of a label, each alone and all together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade import metrics
from humanmade.data.folds import stratified_groups
from humanmade.images.facts import SHOWN

STORED_KINDS = ["format", "mode", "tables", "subsampling"]

TELLING = 0.65
"""AUC, in either direction, from which one fact is called telling; chance is 0.5."""

TWO_KINDS = 0.9
"""Share of a fact's variance between two kinds (Otsu 1979) from which a set is said to have two kinds."""

SAMPLE = 6000
"""Rows that the classifiers see at most; more would not change a verdict."""

Numbers = npt.NDArray[np.float64]


def numbers(survey: pd.DataFrame) -> pd.DataFrame:
    """Facts as numbers: kinds (format, tables ...) as codes, most frequent first."""
    facts = pd.DataFrame(index=survey.index)
    width, height, size = (pd.to_numeric(survey[name]) for name in ("width", "height", "size"))
    facts["width"], facts["height"] = width, height
    facts["area"], facts["aspect"] = width * height, width / height
    facts["bytes_per_pixel"] = size / (width * height)
    for name in ("quality", "exif", "profile", *SHOWN):
        facts[name] = pd.to_numeric(survey[name].replace("", "-1"))
    for name in STORED_KINDS:
        order = survey[name].value_counts().sort_index().sort_values(ascending=False, kind="stable").index
        facts[name] = survey[name].map({kind: code for code, kind in enumerate(order)})
    return facts.astype(float)


def alone(facts: pd.DataFrame, target: npt.NDArray[np.int64], names: tuple[str, str]) -> pd.DataFrame:
    """Each fact's own AUC for a target of 0 and 1, most telling first, with both medians."""
    rows = []
    if len(np.unique(target)) == 2:
        for fact in map(str, facts.columns):
            score = metrics.auc(target, facts[fact])
            medians = [float(facts[fact][target == side].median()) for side in (0, 1)]
            rows.append((fact, max(score, 1 - score), *medians))
    table = pd.DataFrame(rows, columns=["fact", "auc", *names])
    return table.sort_values("auc", ascending=False, kind="stable", ignore_index=True)


def classified(
    facts: pd.DataFrame, target: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> dict[str, float] | None:
    """AUC and F1 of boosted trees on facts, in folds that keep groups; None where it cannot be done."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    if len(target) > SAMPLE:
        chosen = np.isin(groups, np.random.default_rng(0).permutation(np.unique(groups))[: SAMPLE // 2])
        facts, target, groups = facts[chosen], target[chosen], groups[chosen]
    per_class = [len(np.unique(groups[target == side])) for side in (0, 1)]
    if min(per_class) < 3:
        return None
    model = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=5, random_state=0)
    folds = stratified_groups(target, groups, 3, 0)
    chance = cross_val_predict(model, facts, target, cv=folds, method="predict_proba")[:, 1]
    return {"auc": metrics.auc(target, chance), "f1": metrics.f1(target, chance > 0.5)}


def kinds(test: pd.DataFrame, label_auc: dict[str, float]) -> list[str]:
    """Facts by which the test rows fall into two clear kinds, neither rare, though train is not split so."""
    clear = []
    for fact in ("area", "width", "height", "bytes_per_pixel", "quality"):
        values = test[fact].to_numpy()
        if len(values) < 20 or label_auc.get(fact, 0.5) >= TELLING:
            continue
        cut, between, share = _two_kinds(np.log(np.maximum(values, 1e-9)))
        if between >= TWO_KINDS and 0.2 <= share <= 0.8:
            clear.append(f"{fact} (above {_short(np.exp(cut))}: {share:.0%})")
    return clear


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _two_kinds(values: Numbers) -> tuple[float, float, float]:
    """The cut into two kinds with the most variance between them, that share, and the share above.

    A regression tree of one split on the values themselves cuts where Otsu 1979 does.
    """
    from sklearn.tree import DecisionTreeRegressor

    column = values[:, None]
    tree = DecisionTreeRegressor(max_depth=1).fit(column, values)
    if tree.get_depth() == 0:
        return float(values[0]), 0.0, 0.0
    cut = float(tree.tree_.threshold[0])
    return cut, float(tree.score(column, values)), float(np.mean(values > cut))
