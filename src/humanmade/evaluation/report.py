"""One HTML page of everything: runs side by side, the audit, and each run with its plots and mistakes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from humanmade import competition, ledger, metrics
from humanmade import recipe as recipes
from humanmade.data.folds import SPLITS
from humanmade.errors import UserError
from humanmade.evaluation import audit as auditing
from humanmade.evaluation import compare as comparing
from humanmade.evaluation import forecast, grid, mistakes, page, plots, scorecard, worth
from humanmade.evaluation.blend import Blend, read_member
from humanmade.files import read_csv
from humanmade.fusion import CLEAN
from humanmade.run import PICTURES, Run

TEMPLATE = "report.html.j2"
SHEET, SHEET_BYTES = 1400, 60_000
"""Pixels of a sheet's width, and what it may weigh: ten runs stay below two megabytes."""

Values = dict[str, Any]

Drawing = tuple[str, str]
"""An `<svg>`, and the caption below it."""


def report(runs: Sequence[Run], submitted: Sequence[ledger.Row], table: pd.DataFrame | None = None) -> str:
    """The page, with every picture inside it.

    Args:
        table: of `humanmade.data.manifest`, with the inventory's columns, to be audited; it also names the
            sources and shows the pictures of runs that were trained on it.

    Raises:
        UserError: the extra `report` is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UserError(f"report needs {error.name}: pip install 'humanmade[report]'") from None
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    numbers = {run.folder: number for number, run in enumerate(runs, 1)}
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(run.scores.data, []).append(run)
    return pages.get_template(TEMPLATE).render(
        groups=[_group(members, submitted, numbers) for members in by_data.values()],
        differences=_differences(runs),
        audit=None if table is None else _audit(table),
        about=[_about(run, number, submitted, table) for number, run in enumerate(runs, 1)],
        all_ones=metrics.all_ones(),
        ranked_by=comparing.ranked_by(),
        metric=competition.CURRENT.metric_name,
    )


def _group(runs: Sequence[Run], submitted: Sequence[ledger.Row], numbers: Mapping[Path, int]) -> Values:
    """Runs of the same data side by side."""
    table = comparing.compare(runs, submitted)
    shown = comparing.shown(table)
    links = {run.name: numbers[run.folder] for run in runs}
    short = runs[0].scores.data_name
    test = max((len(logits) for run in runs if (logits := run.test) is not None), default=0)
    counts = f"{len(runs[0].assigned)} train and {test} test pictures"
    caption = (
        f"{competition.CURRENT.metric_name} of each run: folds with their mean, the forecast with its 80 % "
        "interval, the leaderboard."
    )
    return {
        "short": short,
        "title": f"{short}: {counts}",
        "headings": list(shown.columns),
        "rows": [{"cells": row, "number": links.get(row[0])} for row in shown.to_numpy().tolist()],
        "plots": [(plots.standings(_standings(runs, table)), caption), *_correlations(runs)],
        "added": _added(runs),
    }


def _standings(runs: Sequence[Run], table: pd.DataFrame) -> list[plots.Standing]:
    """Where runs stand by the competition's metric, in the table's order."""
    metric, scores = competition.CURRENT.metric, {run.name: run.scores for run in runs}
    standings = []
    for row in table.to_dict("records"):
        own = scores[row["run"]]
        ends = [row[key] for key in ("forecast", "low", "high") if pd.notna(row[key])]
        if metric == "f1":
            ends = [forecast.f1_at_prevalence(auc, own.prevalence) for auc in ends]
        folds = [getattr(fold, metric) for fold in own.folds]
        public = None if pd.isna(row["public"]) else float(row["public"])
        standings.append(plots.Standing(row["run"], folds, ends, public))
    return standings


def _correlations(runs: Sequence[Run]) -> list[Drawing]:
    """Spearman's correlation of the logits of runs: of test rows, where all of them have some."""
    tests = {run.name: logits for run in runs if (logits := run.test) is not None}
    folds = {run.name: oof.set_index("id")["logit"] for run in runs if (oof := run.oof) is not None}
    for rows, found in (("test", tests if len(tests) == len(runs) else {}), ("out-of-fold", folds)):
        shared = pd.DataFrame(found).dropna()
        if len(found) > 1 and len(shared) > 1:
            caption = f"Rank correlation of the runs' {rows} logits: the lower, the more a blend can gain."
            return [(plots.agreement(shared.corr(method="spearman")), caption)]
    return []


def _added(runs: Sequence[Run]) -> list[worth.Addition]:
    """What each run adds to the mean of all that are finished; nothing where they cannot be blended."""
    finished = [run for run in runs if not run.scores.unfinished]
    try:
        members = [read_member(str(run.folder)) for run in finished]
        return worth.additions(Blend(members, "mean")) if len(members) > 1 else []
    except UserError:
        return []


def _differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The values of every key in which recipes differ, a run each; a dash where there is no such key."""
    found = recipes.differences([run.recipe for run in runs])
    found.pop("name", None)
    return {key: [_plain(value) for value in values] for key, values in found.items()}


def _plain(value: object) -> str:
    value = "-" if value is None else value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _audit(table: pd.DataFrame) -> Values:
    audit = auditing.audit(table)
    values = {"train": audit.train, "test": audit.test, "verdict": audit.verdict}
    values |= {"count": len(audit.duplicates), "duplicates": audit.first_duplicates().to_dict("records")}
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "duplicates.png"
        if auditing.draw_duplicates(sheet, audit, table):
            values["sheet"] = page.picture(Image.open(sheet), SHEET, SHEET_BYTES)
    return values


def _about(run: Run, number: int, submitted: Sequence[ledger.Row], table: pd.DataFrame | None) -> Values:
    """Everything about one run."""
    scores, oof = forecast.shown(run.scores, run.name, submitted), run.oof
    oof = pd.DataFrame() if oof is None else oof
    rows = _trained_on(run, table)
    values: Values = {
        "number": number,
        "name": run.name,
        "text": "\n".join(scorecard.lines(scores)),
        "plots": _plots(run, oof, rows),
        "sheets": _sheets(run),
        "provenance": _provenance(run),
        "recipe": recipes.to_toml(run.recipe),
    }
    return values | ({} if oof.empty else mistakes.faults(oof, rows))


def _trained_on(run: Run, table: pd.DataFrame | None) -> pd.DataFrame:
    """`label, source, path` by id of the run's own pictures in a table: those of the same bytes."""
    path = run.folder / PICTURES
    if table is None or not path.is_file():
        return pd.DataFrame(columns=["label", "source", "path"])
    own = read_csv(path, ("id", "digest"))[["id", "digest"]]
    return table.merge(own, on=["id", "digest"]).set_index("id")[["label", "source", "path"]]


def _plots(run: Run, oof: pd.DataFrame, rows: pd.DataFrame) -> list[Drawing]:
    drawn: list[Drawing] = []
    if len(oof):
        test = run.test
        cut = None if test is None else _cut(test, run.scores.prevalence)
        separation = plots.separation(oof, None if test is None else test.to_numpy(), cut)
        drawn.append((separation, "Logits: how far apart the classes are, and where the cut lies."))
        if oof["label"].nunique() == 2:
            said = "Ranking in each fold, and how often pictures are generated by the chance that is said."
            drawn.append((plots.ranking(oof), said))
        drawn += _corruptions(run, oof)
    if named := run.scores.named_sources:
        labels = _labels_of_sources(rows)
        unnamed = "" if labels else "; with --data coloured by class"
        said = f"AUC of each source against all of the other class{unnamed}."
        drawn.append((plots.sources(named, labels), said))
    logs = {
        path.parent.relative_to(run.folder).as_posix(): pd.read_json(path, lines=True)
        for path in sorted(run.folder.glob("fold*/**/log.jsonl"))
    }
    if curves := plots.curves(logs):
        drawn.append((curves, "What training says over the epochs."))
    return drawn


def _cut(test: pd.Series[float], prevalence: float) -> float | None:
    """The logit between test rows labelled 1 and 0 in the submission; None where all are alike."""
    labels = metrics.labels_at_prevalence([*test.index], test, prevalence)
    if competition.CURRENT.form != "labels" or len(np.unique(labels)) < 2:
        return None
    return float((test[labels == 1].min() + test[labels == 0].max()) / 2)


def _corruptions(run: Run, oof: pd.DataFrame) -> list[Drawing]:
    if not run.scores.corruptions:
        return []
    keys = [fold.fold for fold in run.scores.folds if isinstance(fold.fold, int)]
    table = run.corrupted(keys, oof.set_index("id")["label"])
    # The same pictures as they are, scored as if that were a corruption too.
    clean = grid.score(table.rename(columns={CLEAN: "as it is"}), run.recipe.split == "source")["as it is"]
    drawn = plots.changes(run.scores.corruptions, clean.auc)
    return [(drawn, "What each corruption of the held-out pictures changes.")]


def _labels_of_sources(rows: pd.DataFrame) -> dict[str, int]:
    """The class of each source, by the name under which it is scored."""
    named = rows[rows["source"] != ""]
    both = named.groupby("source")["label"].nunique() > 1
    return {
        f"{source} ({label})" if both[source] else source: label
        for source, label in named[["source", "label"]].drop_duplicates().itertuples(index=False)
    }


def _sheets(run: Run) -> list[Values]:
    """What `explain` left in the run folder."""
    return [
        {
            "name": path.stem.removeprefix("explain-"),
            "alt": f"worst mistakes, surest hits and doubts of {run.name}, each above its map",
            "picture": page.picture(Image.open(path), SHEET, SHEET_BYTES),
        }
        for path in sorted(run.folder.glob("explain-*.png"))
    ]


def _provenance(run: Run) -> dict[str, str]:
    scores = run.scores
    speed = [fold.images_per_second for fold in scores.folds]
    return {
        "recipe": run.recipe.name,
        "seeds": ", ".join(map(str, run.recipe.seeds)),
        "folds": f"{len(scores.folds)} of {run.folds} finished, {SPLITS[run.recipe.split]}",
        "data": " ".join([scores.data or "unknown", *(Path(place).name for place in scores.data_folders)]),
        "assumed share of generated test pictures": f"{scores.prevalence:.0%}",
        "seconds": f"{sum(fold.seconds for fold in scores.folds):.0f}",
        "pictures a second in training": f"{np.mean(speed):.1f}" if speed else "-",
        "machine": ", ".join(f"{name} {value}" for name, value in scores.machine.items()) or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in scores.versions.items()) or "unknown",
        "the kit's commit": scores.commit or "unknown",
    }
