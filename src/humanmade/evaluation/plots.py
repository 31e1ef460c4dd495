"""The report's plots, each an `<svg>` that says in words what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from humanmade import competition, metrics
from humanmade.evaluation.page import INK, drawn, panels, styled

Array = npt.NDArray[np.floating]

CLASSES = {0: "#3d85c6", 1: "#d9742b"}
"""Colours of human-made and of generated pictures, legible on white and on black."""

OTHER = "#8a8a8a"
FORECAST, STAR = "#2f9e6e", "#d64a4a"

CURVES = ("loss", "auc", "logloss", "selection")
"""What of a training's log is drawn, where it is there."""

LONGEST = 24
"""Characters of a name beside an axis."""

BINS = 30
POINTS = np.linspace(0, 1, 101)
"""False-positive rates at which ROC curves are drawn."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands, by the competition's metric."""

    name: str
    folds: Sequence[float]
    forecast: Sequence[float]
    """The forecast, and the ends of its interval; empty where there is none."""
    public: float | None


@styled
def standings(runs: Sequence[Standing]) -> str:
    """Fold scores as points with their mean, the forecast with its interval, the leaderboard as a star."""
    figure, [axis] = panels(1.3 + 0.42 * len(runs))
    for place, run in enumerate(reversed(runs)):
        axis.plot(run.folds, [place + 0.14] * len(run.folds), "o", color=CLASSES[0], ms=4, alpha=0.6)
        if run.folds:
            axis.plot(np.mean(run.folds), place + 0.14, "|", color=CLASSES[0], ms=13, mew=2)
        if run.forecast:
            value, low, high = run.forecast
            axis.plot([low, high], [place - 0.14] * 2, color=FORECAST, lw=4, alpha=0.45)
            axis.plot(value, place - 0.14, "D", color=FORECAST, ms=5)
        if run.public is not None:
            axis.plot(run.public, place - 0.14, "*", color=STAR, ms=11, zorder=5)
    axis.axvline(metrics.all_ones_score(), color=OTHER, ls=":")
    axis.set_yticks(range(len(runs)), [_short(run.name) for run in reversed(runs)])
    axis.set_ylim(-0.6, len(runs) - 0.4)
    axis.set_xlabel(competition.CURRENT.metric_name)
    axis.grid(axis="x")
    legend = [
        axis.plot([], [], marker, color=colour, label=label)[0]
        for marker, colour, label, there in (
            ("o", CLASSES[0], "fold", any(run.folds for run in runs)),
            ("|", CLASSES[0], "mean of folds", any(run.folds for run in runs)),
            ("D-", FORECAST, "forecast, 80 %", any(run.forecast for run in runs)),
            ("*", STAR, "leaderboard", any(run.public is not None for run in runs)),
            (":", OTHER, "1 everywhere", True),
        )
        if there
    ]
    figure.legend(handles=legend, loc="outside upper center", ncols=3, fontsize=8)
    return drawn(figure, "; ".join(map(_standing, runs)))


def _short(name: str) -> str:
    """A name that fits beside an axis: its end, in which names differ."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def _standing(run: Standing) -> str:
    parts = [f"folds {np.mean(run.folds):.3f} on average"] if run.folds else []
    if run.forecast:
        parts.append("forecast {:.3f} ({:.3f} to {:.3f})".format(*run.forecast))
    if run.public is not None:
        parts.append(f"leaderboard {run.public:.3f}")
    return f"{run.name}: {', '.join(parts) or 'not scored yet'}"


@styled
def agreement(correlations: pd.DataFrame) -> str:
    """Rank correlations of runs, square and symmetric, as a heat map with the values."""
    names, values = [_short(str(name)) for name in correlations.index], correlations.to_numpy()
    figure, [axis] = panels(1.2 + 0.36 * len(names))
    axis.pcolormesh(values, cmap="viridis", vmin=0, vmax=1, edgecolors="none")
    for row, column in np.ndindex(*values.shape):
        ink = "black" if values[row, column] > 0.6 else "white"
        axis.text(column + 0.5, row + 0.5, f"{values[row, column]:.2f}", color=ink, ha="center", va="center")
    places = np.arange(len(names)) + 0.5
    axis.set_xticks(places, names, rotation=30, ha="right", rotation_mode="anchor")
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    pairs = [
        f"{names[row]} and {names[column]} {values[row, column]:.2f}"
        for row, column in np.ndindex(*values.shape)
        if row < column
    ]
    return drawn(figure, f"rank correlations: {', '.join(pairs)}")


@styled
def separation(oof: pd.DataFrame, test: Array | None, cut: float | None) -> str:
    """Logits of out-of-fold rows by class, and of test rows, with the thresholds.

    Args:
        oof: `label, logit`.
        test: logits; None without test rows.
        cut: the threshold of the submission's labels; None where it has none.
    """
    figure, axes = panels(3.6 if test is not None else 2.2, rows=2 if test is not None else 1)
    low, high = np.quantile([*oof["logit"], *([] if test is None else test)], [0.005, 0.995])
    bins = np.linspace(min(low, -0.1), max(high, 0.1), BINS + 1)
    said = []
    for label, name in enumerate(metrics.NAMES):
        if len(rows := oof.loc[oof["label"] == label, "logit"].to_numpy()):
            _histogram(axes[0], rows, bins, CLASSES[label], name)
            said.append(f"{name} {np.median(rows):.2f}")
    text = f"median logits out of fold: {', '.join(said)}"
    if test is not None:
        _histogram(axes[1], test, bins, OTHER, "test")
        text += f"; test {np.median(test):.2f}"
    for axis, title in zip(axes, ("train, out of fold", "test, without labels"), strict=False):
        axis.set_title(title, loc="left")
        axis.axvline(0, color=INK, lw=1, label="logit 0")
        axis.set_ylabel("pictures")
    if cut is not None and test is not None:
        axes[1].axvline(cut, color=STAR, ls="--", label="submission's cut")
    for axis in axes:
        axis.set_ylim(top=1.3 * axis.get_ylim()[1])  # room for the legend above the bars
        axis.legend(fontsize=8, loc="upper center", ncols=3)
    axes[-1].set_xlabel("logit: generated to the right")
    return drawn(figure, text)


def _histogram(axis: Axes, logits: Array, bins: Array, colour: str, label: str) -> None:
    inside = logits.clip(bins[0], bins[-1])
    axis.hist(inside, bins.tolist(), histtype="stepfilled", fc=(colour, 0.35), ec=colour, lw=1.2, label=label)


@styled
def ranking(oof: pd.DataFrame) -> str:
    """ROC of each fold, and how far logits of rows of `label, fold, logit` may be read as chances."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_curve

    figure, (roc, calibration) = panels(2.5, columns=2)
    for _, rows in oof.groupby("fold"):
        if rows["label"].nunique() == 2:
            false, true, _ = roc_curve(rows["label"], rows["logit"])
            roc.plot(POINTS, np.interp(POINTS, false, true), color=CLASSES[0], lw=1, alpha=0.7)
    chances = 1 / (1 + np.exp(-oof["logit"].clip(-30, 30)))
    bins = min(10, max(2, len(oof) // 20))
    share, said = calibration_curve(oof["label"], chances, n_bins=bins, strategy="quantile")
    calibration.plot(said, share, "o-", color=CLASSES[1], ms=4)
    for axis, title, x, y in (
        (roc, "ROC of each fold", "false positives", "true positives"),
        (calibration, "calibration", "said chance", "share generated"),
    ):
        axis.plot([0, 1], [0, 1], color=OTHER, ls=":")
        axis.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set_xticks([0, 0.5, 1])
        axis.set_yticks([0, 0.5, 1])
    points = ", ".join(f"{a:.2f}: {b:.2f}" for a, b in zip(said, share, strict=True))
    return drawn(figure, f"ROC curves of the folds; chance said and share that is generated: {points}")


@styled
def changes(aucs: Mapping[str, float], clean: float) -> str:
    """What each corruption takes of the AUC that the same pictures have as they are, worst first."""
    ordered = sorted(((auc - clean, name) for name, auc in aucs.items()), reverse=True)
    names, values = [name for _, name in ordered], [change for change, _ in ordered]
    figure, [axis] = panels(1.0 + 0.21 * len(names))
    colours = [CLASSES[0] if value >= 0 else STAR for value in values]
    axis.bar_label(axis.barh(names, values, color=colours, alpha=0.75), fmt="{:+.3f}", padding=3, fontsize=8)
    axis.margins(x=0.2)
    axis.axvline(0, color=INK, lw=1)
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel(f"change of AUC from {clean:.3f} as they are")
    said = ", ".join(f"{name} {value:+.3f}" for name, value in zip(names, values, strict=True))
    return drawn(figure, f"change of AUC from {clean:.3f}: {said}")


@styled
def sources(aucs: Mapping[str, float], labels: Mapping[str, int]) -> str:
    """AUC of each source against the other class, worst on top, coloured by class where it is known."""
    ordered = sorted(((auc, name) for name, auc in aucs.items()), reverse=True)
    names, values = [_short(name) for _, name in ordered], [auc for auc, _ in ordered]
    figure, [axis] = panels(1.2 + 0.24 * len(names))
    colours = [CLASSES.get(labels.get(name, -1), OTHER) for _, name in ordered]
    bars = axis.barh(range(len(names)), values, color=colours, alpha=0.75)
    axis.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=8)
    axis.set_yticks(range(len(names)), names)
    axis.axvline(metrics.CHANCE, color=OTHER, ls=":")
    axis.set_xlim(0, 1.16)
    axis.set_xlabel("AUC")
    if labels:
        handles = [axis.barh(0, 0, color=CLASSES[label], label=metrics.NAMES[label]) for label in CLASSES]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8)
    said = ", ".join(f"{name} {value:.3f}" for value, name in ordered)
    return drawn(figure, f"AUC of each source: {said}")


@styled
def curves(logs: Mapping[str, pd.DataFrame]) -> str | None:
    """What logs (by the fold's name) say over the epochs; None where nothing was trained in epochs."""
    logs = {name: log for name, log in logs.items() if "epoch" in log}
    names = [name for name in CURVES if any(name in log for log in logs.values())]
    if not names:
        return None
    figure, axes = panels(2.1 * ((len(names) + 1) // 2), rows=(len(names) + 1) // 2, columns=2)
    for axis, name in zip(axes, names, strict=False):
        for fold, log in logs.items():
            if name in log:
                axis.plot(log["epoch"] + 1, log[name], marker=".", lw=1, label=fold)
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    if len(logs) <= 5:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)
    said = [f"{name} {log[names[0]].iloc[-1]:.3f}" for name, log in logs.items() if names[0] in log]
    return drawn(figure, f"{', '.join(names)} over the epochs; {names[0]} at the end: {', '.join(said)}")
