"""Options of the commands: what they take, how values are read, and errors in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

N = TypeVar("N", int, float)

COMPARISON = Path("runs/compare.csv")


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def cv(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade cv`."""
    add = parser.add_argument
    add(
        "recipe",
        nargs="?",
        help="a shipped recipe's name or a .toml file (default: probe_lite0, or demo)",
    )
    add_data(parser, required=False)
    add(
        "--extra",
        type=Path,
        action="append",
        default=[],
        metavar="D",
        help="labelled rows that join every training part and are never scored; repeatable",
    )
    add("--out", type=Path, metavar="R", help="the run folder (default: runs/<recipe>)")
    add("--folds", type=count, metavar="K", help="how many folds (default: the recipe's)")
    add("--fold", type=fold, metavar="k", help="train this fold only, or 'all' rows at once")
    add("--split", choices=("pairs", "source"), help="what folds keep apart (default: the recipe's)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="key=value",
        help="override a recipe key; repeatable",
    )
    add("--seed", type=seed, metavar="N", help="the one seed to train with")
    add("--limit", type=count, metavar="N", help="a smoke run on N rows (whole pairs)")
    add_skip_broken(parser, "go on without pictures that cannot be read")
    add_prevalence(parser)
    add("--hours", type=positive, metavar="H", help="stop training in time to end within H hours")
    add_weights(parser)


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade evaluate`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's name or folder")
    add_data(parser, required=True)
    add(
        "--split",
        choices=("train", "test"),
        help="which rows (default: test where there are any, else all)",
    )
    add_prevalence(parser)
    add("--out", type=Path, metavar="CSV", help="also write id,label,source,logit (and repo, if named)")
    add("--json", action="store_true", help="print the scores as JSON")
    add_skip_broken(parser, "leave out pictures that cannot be read")
    add_force(parser)
    add_weights(parser)


def predict(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade predict`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's name or folder")
    add_data(parser, required=True)
    add("--out", type=Path, metavar="CSV", required=True, help="where id,logit goes")
    add_skip_broken(parser, "pictures that cannot be read get the median")
    add_force(parser)
    add_weights(parser)


def blend(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade blend`."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN|CSV", help="runs, or CSVs with id,logit")
    add(
        "--method",
        choices=("mean", "rank", "weights", "climb", "stack"),
        default="mean",
        help="the fusion rule; the last three learn weights from held-out logits, clean and corrupted "
        "(default: mean)",
    )
    add(
        "--standardise",
        action="store_true",
        help="centre and scale each one's test logits by themselves, where the shift has moved them",
    )
    add("--out", type=Path, metavar="CSV", required=True, help="the submission to write")
    add_data(parser, required=False)
    cut = parser.add_mutually_exclusive_group()
    add_prevalence(cut)
    cut.add_argument(
        "--threshold",
        type=threshold,
        metavar="t|oof",
        help="cut at this blended logit, or where out-of-fold F1 is best, instead of by rank",
    )
    add_force(parser)


def check(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade check`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the submission")
    add_data(parser, required=False)
    parser.add_argument("--against", type=Path, metavar="FILE", help="another submission: tell what flipped")


def compare(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade compare`."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs (default: all in runs/)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="CSV",
        default=COMPARISON,
        help="where the table is saved (default: runs/compare.csv)",
    )
    add_force(parser)


def audit(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade audit`."""
    add_data(parser, required=False)
    add_weights(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/duplicates.png"),
        metavar="PNG",
        help="where near-duplicates are drawn side by side, if there are any (default: build/duplicates.png)",
    )
    add_skip_broken(parser, "leave out pictures that cannot be read")


def bench(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade bench`."""
    add = parser.add_argument
    add("recipes", nargs="*", metavar="LINE", help="recipe key=value ..., or a .txt file with such lines")
    add_data(parser, required=False)
    add(
        "--shifted",
        type=Path,
        action="append",
        default=[],
        metavar="D",
        help="a labelled folder to predict as unlabelled test rows and to be judged on, alone and together "
        "with others; repeatable (default: the test rows of --data)",
    )
    add(
        "--each",
        action="store_true",
        help="train on each --data folder by itself and let the other ones judge it, beside --shifted "
        "(default: --data folders are joined)",
    )
    add(
        "--joined",
        action="store_true",
        help="with --each, train on every two --data folders joined as well, judged by the others",
    )
    add(
        "--calibrate",
        action="store_true",
        help="with --each, fit and judge the forecast's candidates with whole worlds left out, and print the "
        "constants to ship",
    )
    add(
        "--table",
        type=Path,
        metavar="CSV",
        help="with --calibrate, the table of an earlier bench (its table.csv) instead of measuring",
    )
    add("--fold", type=fold, metavar="k", help="train this fold only, or 'all' rows at once")
    add("--seeds", type=count, default=1, metavar="N", help="trainings of each line, averaged (default: 1)")
    add("--out", type=Path, metavar="R", help="folder of the runs (default: runs/bench)")
    add("--columns", default="", metavar="a,b", help="columns to print (default: all)")
    add("--markdown", type=Path, metavar="MD", help="write what is printed there too")
    add("--title", default="", help="the first lines of that file")
    add_weights(parser)


def explain(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade explain`."""
    parser.add_argument("run", metavar="RUN", help="a run's name or folder")
    add_data(parser, required=False)
    parser.add_argument(
        "--method",
        choices=("gradcam", "hirescam", "layercam"),
        default="gradcam",
        help="how a network's maps are made (default: gradcam); a probe's are exact",
    )
    parser.add_argument("--out", type=Path, metavar="PNG", help="the sheet (default: in the run folder)")
    add_skip_broken(parser, "leave out pictures that cannot be read")
    add_force(parser)
    add_weights(parser)


def report(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade report`."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs (default: all in runs/)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/report.html"),
        metavar="HTML",
        help="the page to write, anew each time (default: runs/report.html)",
    )
    add_data(parser, required=False)
    add_skip_broken(parser, "leave out pictures that cannot be read")
    add_weights(parser)


def reconstruct(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade reconstruct`."""
    parser.add_argument("data", type=Path, metavar="D", help="a data folder; its human-made rows are taken")
    parser.add_argument("out", type=Path, metavar="OUT", help="the data folder to write")
    parser.add_argument(
        "--autoencoder", default="taef2", metavar="NAME", help="whose weights (default: taef2)"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="the first N photos only")
    add_skip_broken(parser, "leave out pictures that cannot be read")
    add_weights(parser)


def demo(parser: argparse.ArgumentParser) -> None:
    """Options of `humanmade demo`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet")


def add_skip_broken(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--skip-broken", action="store_true", help=what)


def add_data(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="D",
        help="a data folder: the competition's layout or a manifest.csv; repeatable",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, metavar="W", help="folder of pretrained weights (default: HUMANMADE_WEIGHTS)"
    )


def add_prevalence(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--prevalence",
        type=share,
        default=0.5,
        metavar="p",
        help="assumed share of generated pictures (default: 0.5)",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace the --out file if it exists")


def fold(text: str) -> int | str:
    return "all" if text == "all" else number(text, int, lambda value: value >= 0, "a fold's number, or all")


def threshold(text: str) -> float | str:
    return "oof" if text == "oof" else number(text, float, math.isfinite, "a number, or oof")


def share(text: str) -> float:
    return number(text, float, lambda value: 0 < value < 1, "a share between 0 and 1")


def positive(text: str) -> float:
    return number(text, float, lambda value: 0 < value < math.inf, "a positive number")


def count(text: str) -> int:
    return number(text, int, lambda value: value >= 1, "a positive whole number")


def seed(text: str) -> int:
    return number(text, int, lambda value: 0 <= value < 2**32, "a whole number of 0 to 4294967295")


def number(text: str, kind: type[N], good: Callable[[N], bool], expected: str) -> N:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not good(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
    return value
