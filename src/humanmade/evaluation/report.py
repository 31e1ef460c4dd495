"""One HTML page of everything: audit, runs side by side, folds, curves, maps, leaderboard."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from humanmade import competition, ledger, metrics
from humanmade.errors import UserError
from humanmade.evaluation import compare as comparing
from humanmade.evaluation import forecast, scorecard
from humanmade.evaluation.audit import Audit
from humanmade.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("loss", "auc", "logloss", "selection")
"""What of a training's log is drawn, where it is there."""

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>humanmade: report</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block; overflow-x: auto }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: 13px }
img { max-width: 100% } h2 { margin-top: 2.5rem; border-bottom: 2px solid #222 } .note { color: #666 }
</style></head><body>
<h1>humanmade: report</h1>
{% if audit %}<h2>Audit of the data</h2><p>{{ audit.train }} train and {{ audit.test }} test pictures.</p>
<ul>{% for line in audit.verdict %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
<h2>Runs side by side</h2>
<table><tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table>
<p class="note">AUC but for F1 and the leaderboard; {{ all_ones }}.
Runs are ranked by {{ ranked_by }}.</p>
<img alt="folds, forecast and leaderboard of each run" src="{{ overview }}">
{% for run in runs %}<h2>{{ run.name }}</h2>
<pre>{{ run.text }}</pre>
{% for plot in run.plots %}<img alt="{{ plot.alt }}" src="{{ plot.source }}">{% endfor %}
{% endfor %}</body></html>
"""


def report(runs: Sequence[Run], submitted: Sequence[ledger.Row], audit: Audit | None = None) -> str:
    """The page, with every picture inside it.

    Raises:
        UserError: the extra `report` is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UserError(f"report needs {error.name}: pip install 'humanmade[report]'") from None
    table = comparing.compare(runs, submitted)
    shown = comparing.shown(table)
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    return page.render(
        audit=audit,
        columns=list(shown.columns),
        all_ones=metrics.all_ones(),
        ranked_by=comparing.ranked_by(),
        rows=shown.to_numpy().tolist(),
        overview=_overview(table),
        runs=[_about(run, submitted) for run in runs],
    )


def _about(run: Run, submitted: Sequence[ledger.Row]) -> dict[str, Any]:
    plots = [("loss and scores over the epochs", curves)] if (curves := _curves(run)) else []
    if bars := _bars(run):
        plots.append(("AUC under each corruption and of each source", bars))
    for sheet in sorted(run.folder.glob("explain-*.png")):
        plots.append((f"where {run.name} looks", _inline(sheet.read_bytes())))
    return {
        "name": run.name,
        "text": "\n".join(scorecard.lines(forecast.shown(run.scores, run.name, submitted))),
        "plots": [{"alt": alt, "source": source} for alt, source in plots],
    }


def _overview(table: pd.DataFrame) -> str:
    """Fold score, forecast and leaderboard score of each run, the first by rank on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.4 * len(table)), layout="constrained")
    axis = figure.subplots()
    places = list(range(len(table)))[::-1]
    folds, forecast = comparing.of_the_metric()
    marks = (
        (folds, "folds", "o", "C0"),
        (forecast, "forecast", "D", "C1"),
        ("public", "leaderboard", "*", "C3"),
    )
    for column, label, marker, colour in marks:
        values = pd.to_numeric(table[column], errors="coerce")
        if values.notna().any():
            axis.scatter(values, places, marker=marker, color=colour, label=label, zorder=3)
    axis.axvline(metrics.all_ones_score(), color="grey", linestyle=":", label="answering 1 everywhere")
    axis.set_yticks(places, table["run"].tolist())
    axis.set_xlabel(competition.CURRENT.metric_name)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _drawn(figure)


def _curves(run: Run) -> str | None:
    """What each fold's log says over the epochs; None where nothing was trained in epochs."""
    from matplotlib.figure import Figure

    paths = sorted(run.folder.glob("fold*/**/log.jsonl"))
    logs = {str(path.parent.relative_to(run.folder)): _log(path) for path in paths}
    names = [name for name in CURVES if any(name in log and "epoch" in log for log in logs.values())]
    if not names:
        return None
    figure = Figure(figsize=(3.2 * len(names), 2.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for fold, log in logs.items():
            if name in log:
                axis.plot(log["epoch"] + 1, log[name], marker=".", label=fold)
        axis.set_title(name)
        axis.set_xlabel("epoch")
    axis.legend(fontsize="small")
    return _drawn(figure)


def _log(path: Path) -> pd.DataFrame:
    return pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def _bars(run: Run) -> str | None:
    from matplotlib.figure import Figure

    scores = run.scores
    groups = {"corruptions": scores.corruptions, "sources": scores.named_sources}
    groups = {name: values for name, values in groups.items() if values}
    if not groups:
        return None
    height = 1.0 + 0.25 * max(map(len, groups.values()))
    figure = Figure(figsize=(4.5 * len(groups), height), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for axis, (name, values) in zip(axes, groups.items(), strict=True):
        axis.barh(list(values)[::-1], list(values.values())[::-1], color="C0")
        axis.axvline(metrics.CHANCE, color="grey", linestyle=":")
        axis.set_xlim(0, 1)
        axis.set_title(f"AUC, {name}")
    return _drawn(figure)


def _drawn(figure: Figure) -> str:
    buffer = io.BytesIO()
    # Without the date and version that matplotlib writes, the same runs give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return _inline(buffer.getvalue())


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
