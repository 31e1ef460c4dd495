"""The commands: one verb a function, nothing but arguments. Heavy imports wait for their verb."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from humanmade import __version__
from humanmade.errors import Interrupted, KaggleError, UserError
from humanmade.kaggle import verbs as kaggle_verbs

if TYPE_CHECKING:
    from humanmade.run import Run

    Subparsers = argparse._SubParsersAction["OneLineParser"]

N = TypeVar("N", int, float)
Verb = Callable[[argparse.Namespace], None]

DATA = Path("data")
COMPARISON = Path("runs/compare.csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad input or refused, 3 Kaggle said no, 130 interrupted.
    """
    # Set before anything imports albumentations, which else asks its package index at import.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    asked = _parser().parse_args(arguments)
    try:
        asked.verb(asked)
    except UserError as error:
        _complain(str(error))
        return 2
    except KaggleError as error:
        _complain(str(error))
        return 3
    except (Interrupted, KeyboardInterrupt) as stopped:
        _complain(f"interrupted; {str(stopped) or 'the same command goes on from here'}")
        return 130
    except BrokenPipeError:
        # The reader of our output (head, say) went away; that is not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _complain(text: str) -> None:
    """Say why the command ends; of torchrun's processes, the first to fail says it for all."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from humanmade.training.team import team

        if not team().fail():
            return
    print(f"humanmade: {text}", file=sys.stderr)


def cv(asked: argparse.Namespace) -> None:
    """Train the folds of a recipe, score them, predict the test set."""
    from humanmade import recipe as recipes
    from humanmade.crossval import Options, cross_validate
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import scorecard
    from humanmade.run import RUNS, Run
    from humanmade.training.team import team

    began, ranks = time.monotonic(), team()
    with ranks.first():
        folders, demo = _data_or_demo(asked.data)
    options = {"folds": asked.folds, "split": asked.split, "seeds": asked.seed}
    changes = [
        *asked.set,
        *(f"{key}={value}" for key, value in options.items() if value is not None),
    ]
    recipe = recipes.load(asked.recipe or ("demo" if demo else "probe_lite0"), changes)
    if asked.folds is not None and recipe.split == "source":
        raise UserError("--folds: a source split has as many folds as the data has sources; leave it out")
    out = Run(asked.out or RUNS / recipe.name)
    with ranks.first():
        table = manifest.load(folders, asked.extra, asked.limit)
        table = inventory.attach(table, asked.skip_broken)
    # Reading 80,000 pictures for the first time is part of the hours.
    hours = None if asked.hours is None else asked.hours - (time.monotonic() - began) / 3600
    scores = cross_validate(recipe, table, out, Options(asked.fold, asked.prevalence, asked.weights, hours))
    if not ranks.leads:
        return
    print(scorecard.as_text(scores, out, table))
    if demo and out.finished():
        _score_hidden_demo(folders[0], out, asked.weights)


def evaluate(asked: argparse.Namespace) -> None:
    """Score a labelled folder with a run's finished folds."""
    from humanmade import files
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation.inference import run_logits
    from humanmade.run import Run

    run = Run.find(asked.run)
    _refuse_existing(asked.out, asked.force)
    table = manifest.load(asked.data, keep_test_labels=True)
    rows = inventory.attach(evaluation.labelled_rows(table, asked.split), asked.skip_broken)
    evaluation.warn_of_training_rows(run, rows)
    logits = run_logits(run, rows, asked.weights)
    scores = evaluation.evaluate(rows, logits, asked.prevalence)
    if asked.out:
        files.write_csv(asked.out, rows[["id", "label", "source"]].assign(logit=logits))
    print(files.to_json(scores) if asked.json else evaluation.as_text(scores))


def predict(asked: argparse.Namespace) -> None:
    """Predict logits of any folder with a run."""
    import pandas as pd

    from humanmade import files
    from humanmade.data import inventory, manifest
    from humanmade.evaluation.inference import run_logits
    from humanmade.run import Run

    run = Run.find(asked.run)
    _refuse_existing(asked.out, asked.force)
    rows = inventory.attach(manifest.to_predict(asked.data), asked.skip_broken)
    manifest.check_test_readable(rows)
    logits = run_logits(run, rows, asked.weights)
    files.write_csv(asked.out, pd.DataFrame({"id": rows["id"], "logit": logits}))
    print(f"{asked.out}: logits of {len(rows)} pictures")


def blend(asked: argparse.Namespace) -> None:
    """Blend runs or CSVs of logits into a checked submission."""
    from humanmade import fusion, ledger, metrics, submission
    from humanmade.data import manifest
    from humanmade.evaluation import blend as blending
    from humanmade.run import Run

    _refuse_existing(asked.out, asked.force)
    members = [blending.read_member(name) for name in asked.runs]
    logits = blending.blend(members, asked.method)
    if asked.data:
        table = manifest.load(asked.data, pictures=False)
        test = table[table["split"] == "test"]
        logits = blending.in_order(logits, test["id"].tolist())
        logits.index = manifest.submission_ids(table)
    ids = logits.index.tolist()
    if asked.threshold is None:
        labels = metrics.labels_at_prevalence(ids, logits, asked.prevalence)
        how = f"the top {asked.prevalence:.0%} by rank"
    elif asked.threshold == "oof":
        threshold, nested = blending.oof_threshold(members, asked.method)
        labels = (logits > threshold).to_numpy().astype(int)
        how = f"logit above {threshold:.4f}, nested out-of-fold F1 {nested:.3f}"
    else:
        labels = (logits > asked.threshold).to_numpy().astype(int)
        how = f"logit above {asked.threshold:g}"
    submission.write(asked.out, ids, labels)
    names = [name if name.endswith(".csv") else Run.find(name).name for name in asked.runs]
    ledger.note_origin(asked.out, names, asked.method, how, blending.fold_score(members, asked.method))
    if asked.method in fusion.LEARNED:
        weights, nested = blending.learn(members, asked.method)
        shares = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        print(f"weights: {shares}; nested selection score {nested:.3f}")
    print(f"{asked.out}: {len(ids)} rows, {labels.sum()} labelled 1 ({how})")
    if not asked.data:
        print("not checked against a test.csv: give --data for that")


def check(asked: argparse.Namespace) -> None:
    """Let a submission through the gate or say what is wrong with it."""
    from humanmade import submission
    from humanmade.data import manifest

    table = manifest.load(_data_or_demo(asked.data)[0], pictures=False)
    ids = manifest.submission_ids(table).tolist()
    if not ids:
        raise UserError("check: the data has no test rows")
    labels = submission.check(asked.file, ids)
    share = sum(labels.values()) / len(labels)
    print(f"{asked.file}: good; {len(labels)} rows, {sum(labels.values())} labelled 1 ({share:.1%})")
    if asked.against:
        against = submission.check(asked.against, ids)
        flipped = submission.flips(labels, against)
        to_one = sum(labels[name] for name in flipped)
        print(f"{len(flipped)} labels differ: {to_one} became 1, {len(flipped) - to_one} became 0")
        for name in flipped[:20]:
            print(f"  {name}: {against[name]} -> {labels[name]}")
        if len(flipped) > 20:
            print(f"  ... and {len(flipped) - 20} more")


def compare(asked: argparse.Namespace) -> None:
    """Print the fold scores of runs side by side and save them."""
    from humanmade import files, ledger
    from humanmade.evaluation import compare as comparing
    from humanmade.run import RUNS, Run

    if asked.out != COMPARISON:
        _refuse_existing(asked.out, asked.force)
    names = asked.runs or [str(path.parent) for path in sorted(RUNS.glob("*/recipe.toml"))]
    if not names:
        raise UserError(f"compare: no runs in {RUNS}/; make one with humanmade cv")
    table = comparing.compare([Run.find(name) for name in names], ledger.read())
    print(comparing.as_text(table))
    correlation = comparing.rank_correlation(table)
    if correlation is not None:
        print(f"rank correlation of fold F1 and public score: {correlation:.2f}")
    files.write_csv(asked.out, table)
    print(f"saved as {asked.out}")


def audit(asked: argparse.Namespace) -> None:
    """Say what gives the label away without a detector."""
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import audit as auditing

    table = inventory.attach(manifest.load(_data_or_demo(asked.data)[0]), asked.skip_broken)
    found = auditing.audit(table, asked.weights)
    print(auditing.as_text(found))
    drawn = auditing.draw_duplicates(asked.out, found, table)
    if drawn:
        print(f"{asked.out}: {drawn} of {len(found.duplicates)} near-duplicates side by side")


def explain(asked: argparse.Namespace) -> None:
    """Draw where a run's detector looks, on its worst mistakes, surest hits and most doubtful pictures."""
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation import explain as explaining
    from humanmade.run import Run

    run = Run.find(asked.run)
    out = asked.out or run.folder / f"explain-{asked.method}.png"
    _refuse_existing(asked.out, asked.force)
    table = manifest.load(_data_or_demo(asked.data)[0], keep_test_labels=True)
    split = "train" if (table.loc[table["split"] == "test", "label"] < 0).any() else None
    rows = inventory.attach(evaluation.labelled_rows(table, split), asked.skip_broken)
    rows = explaining.honest_logits(run, rows[~rows["broken"]], asked.weights)
    chosen = explaining.select(rows)
    maps, shown = explaining.explain(run, chosen, asked.method, asked.weights)
    title = (
        f"{run.name}, {asked.method}: pictures above, where the detector looks below; logits (yellow: wrong)"
    )
    explaining.contact_sheet(out, chosen, maps, shown, title)
    print(f"{out}: {len(chosen)} pictures of {chosen['kind'].nunique()} sources")
    if run.recipe.detector == "network":
        correlation = explaining.randomised_correlation(run, chosen.head(6), asked.method, asked.weights)
        verdict = (
            "pass" if correlation < explaining.SANE else "FAIL: the maps show edges, not what was learned"
        )
        print(f"sanity: rank correlation with maps of random weights {correlation:.2f} ({verdict})")
    else:
        print("sanity: the maps of a probe are exact parts of its logits")


def reconstruct(asked: argparse.Namespace) -> None:
    """Write the generated counterpart of every photo of a folder."""
    from humanmade.data import inventory, manifest
    from humanmade.detectors import latent

    table = inventory.attach(manifest.load([asked.data]), asked.skip_broken)
    photos = table[(table["label"] == 0) & ~table["broken"]].head(asked.limit or len(table))
    if photos.empty:
        raise UserError(f"{asked.data}: has no rows with label 0, so nothing to reconstruct")
    if (asked.out / "manifest.csv").exists():
        raise UserError(f"{asked.out}: holds a manifest.csv already; give a new folder")
    network = latent.load_autoencoder(asked.autoencoder, asked.weights)
    rows = latent.write_counterparts(photos, asked.out, network, asked.autoencoder)
    print(f"{asked.out}: {len(rows) // 2} photos with their counterparts, as a data folder with pairs")


def bench(asked: argparse.Namespace) -> None:
    """Measure recipes side by side."""
    from humanmade import bench as benching
    from humanmade import files

    lines = benching.read_lines(asked.recipes)
    same = benching.Bench(asked.data, asked.shifted, asked.out, asked.fold, asked.seeds, asked.weights)
    table = benching.measure(lines, same)
    said = [benching.as_markdown(table, asked.columns.split(",") if asked.columns else ())]
    said += benching.forecast_errors(table)
    print("\n\n".join(said))
    if asked.markdown:
        files.write_text(asked.markdown, "\n\n".join([asked.title, *said]).strip() + "\n")


def demo(asked: argparse.Namespace) -> None:
    """Write the embedded demo competition."""
    from humanmade.data.demo import HIDDEN, make

    folder = make(asked.folder)
    print(f"{folder}: the demo competition; try: humanmade cv demo --data {folder}")
    print(f"{folder / HIDDEN}: its test pictures with labels, for: humanmade evaluate")


def _data_or_demo(folders: list[Path]) -> tuple[list[Path], bool]:
    """The folders asked for; else `data/` if it holds the competition; else the demo, which says so."""
    from humanmade import cache
    from humanmade.data import competition

    if folders:
        return folders, False
    if competition.holds(DATA):
        return [DATA], False
    from humanmade.data.demo import VERSION, make

    folder = cache.folder("demo") / VERSION
    print(f"no --data and no competition in {DATA}/: this is the embedded demo ({folder})", flush=True)
    return [folder if folder.is_dir() else make(folder)], True


def _score_hidden_demo(folder: Path, run: Run, weights: Path | None) -> None:
    """Show the demo's lesson: what the hidden test labels say."""
    from humanmade.data import inventory, manifest
    from humanmade.data.demo import HIDDEN
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation.inference import run_logits

    rows = inventory.attach(manifest.load([folder / HIDDEN]))
    scores = evaluation.evaluate(rows, run_logits(run, rows, weights))
    print("\nThe demo's hidden test labels, which no competition shows, say:")
    print(evaluation.as_text(scores))
    print("Other up-samplers made the test's fakes: fold scores alone foresee nothing.")


def _refuse_existing(path: Path | None, force: bool) -> None:
    if path and path.exists() and not force:
        raise UserError(f"{path}: exists; give another --out, or --force to replace it")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="humanmade",
        description="Tell human-made pictures from generated ones, and foresee the leaderboard score.",
    )
    parser.add_argument("--version", action="version", version=f"humanmade {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_cv(verbs)
    _add_evaluate(verbs)
    _add_predict(verbs)
    _add_blend(verbs)
    _add_check(verbs)
    _add_compare(verbs)
    _add_explain(verbs)
    _add_audit(verbs)
    _add_reconstruct(verbs)
    _add_bench(verbs)
    add = _adder(verbs, demo, "write the embedded demo competition", "humanmade demo build/demo")
    add.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet")
    kaggle_verbs.add(partial(_adder, verbs))
    return parser


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _adder(verbs: Subparsers, verb: Verb, what: str, example: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        verb.__name__,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    parser.set_defaults(verb=verb)
    return parser


def _add_cv(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        cv,
        "train the folds of a recipe, score them, predict the test set",
        "humanmade cv probe_lite0 --data data --set image_size=256",
    )
    add = parser.add_argument
    add(
        "recipe",
        nargs="?",
        help="a shipped recipe's name or a .toml file (default: probe_lite0, or demo)",
    )
    _add_data(parser, required=False)
    add(
        "--extra",
        type=Path,
        action="append",
        default=[],
        metavar="D",
        help="labelled rows that join every training part and are never scored; repeatable",
    )
    add("--out", type=Path, metavar="R", help="the run folder (default: runs/<recipe>)")
    add("--folds", type=_count, metavar="K", help="how many folds (default: the recipe's)")
    add("--fold", type=_fold, metavar="k", help="train this fold only, or 'all' rows at once")
    add("--split", choices=("pairs", "source"), help="what folds keep apart (default: the recipe's)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="key=value",
        help="override a recipe key; repeatable",
    )
    add("--seed", type=_seed, metavar="N", help="the one seed to train with")
    add("--limit", type=_count, metavar="N", help="a smoke run on N rows (whole pairs)")
    _add_skip_broken(parser, "go on without pictures that cannot be read")
    _add_prevalence(parser)
    add("--hours", type=_positive, metavar="H", help="stop training in time to end within H hours")
    _add_weights(parser)


def _add_evaluate(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        evaluate,
        "score a labelled folder with a run's finished folds",
        "humanmade evaluate probe_lite0 --data wild",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's name or folder")
    _add_data(parser, required=True)
    add(
        "--split",
        choices=("train", "test"),
        help="which rows (default: test where there are any, else all)",
    )
    _add_prevalence(parser)
    add("--out", type=Path, metavar="CSV", help="also write id,label,source,logit")
    add("--json", action="store_true", help="print the scores as JSON")
    _add_skip_broken(parser, "leave out pictures that cannot be read")
    _add_force(parser)
    _add_weights(parser)


def _add_predict(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        predict,
        "predict logits of a folder (its test rows where it has any) with a run",
        "humanmade predict probe_lite0 --data data --out logits.csv",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's name or folder")
    _add_data(parser, required=True)
    add("--out", type=Path, metavar="CSV", required=True, help="where id,logit goes")
    _add_skip_broken(parser, "pictures that cannot be read get the median")
    _add_force(parser)
    _add_weights(parser)


def _add_blend(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        blend,
        "blend runs, or CSVs of logits, into a checked submission",
        "humanmade blend probe_lite0 efficientnet_lite0 --out submissions/two.csv",
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN|CSV", help="runs, or CSVs with id,logit")
    add(
        "--method",
        choices=("mean", "rank", "weights", "climb", "stack"),
        default="mean",
        help="the fusion rule; the last three learn weights from held-out logits, clean and corrupted "
        "(default: mean)",
    )
    add("--out", type=Path, metavar="CSV", required=True, help="the submission to write")
    _add_data(parser, required=False)
    _add_prevalence(parser)
    add(
        "--threshold",
        type=_threshold,
        metavar="t|oof",
        help="cut at this blended logit, or where out-of-fold F1 is best, instead of by rank",
    )
    _add_force(parser)


def _add_check(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        check,
        "check a submission against test.csv",
        "humanmade check submissions/two.csv --data data --against submissions/one.csv",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the submission")
    _add_data(parser, required=False)
    parser.add_argument("--against", type=Path, metavar="FILE", help="another submission: tell what flipped")


def _add_compare(verbs: Subparsers) -> None:
    parser = _adder(
        verbs,
        compare,
        "print the fold scores of runs side by side",
        "humanmade compare probe_lite0 demo",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs (default: all in runs/)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="CSV",
        default=COMPARISON,
        help="where the table is saved (default: runs/compare.csv)",
    )
    _add_force(parser)


def _add_audit(verbs: Subparsers) -> None:
    what = "say what gives the label away without a detector"
    parser = _adder(verbs, audit, what, "humanmade audit --data data")
    _add_data(parser, required=False)
    _add_weights(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/duplicates.png"),
        metavar="PNG",
        help="where near-duplicates are drawn side by side, if there are any (default: build/duplicates.png)",
    )
    _add_skip_broken(parser, "leave out pictures that cannot be read")


def _add_bench(verbs: Subparsers) -> None:
    what = "measure recipes side by side: folds, forecast, and a set they were not trained on"
    example = 'humanmade bench probe_lite0 "probe_lite0 head=difference" --data train --shifted wild'
    parser = _adder(verbs, bench, what, example)
    add = parser.add_argument
    add("recipes", nargs="+", metavar="LINE", help="recipe key=value ..., or a .txt file with such lines")
    add("--data", type=Path, required=True, metavar="D", help="the data folder to train on")
    add(
        "--shifted",
        type=Path,
        metavar="D",
        help="a labelled folder to predict as an unlabelled test set (default: the test rows of --data)",
    )
    add("--fold", type=_fold, metavar="k", help="train this fold only, or 'all' rows at once")
    add("--seeds", type=_count, default=1, metavar="N", help="trainings of each line, averaged (default: 1)")
    add("--out", type=Path, default=Path("runs/bench"), metavar="R", help="folder of the runs")
    add("--columns", default="", metavar="a,b", help="columns to print (default: all)")
    add("--markdown", type=Path, metavar="MD", help="write what is printed there too")
    add("--title", default="", help="the first lines of that file")
    _add_weights(parser)


def _add_explain(verbs: Subparsers) -> None:
    what = "draw where a run looks: worst mistakes, surest hits, most doubtful pictures, per source"
    parser = _adder(
        verbs, explain, what, "humanmade explain efficientnet_lite0 --data data --method layercam"
    )
    parser.add_argument("run", metavar="RUN", help="a run's name or folder")
    _add_data(parser, required=False)
    parser.add_argument(
        "--method",
        choices=("gradcam", "hirescam", "layercam"),
        default="gradcam",
        help="how a network's maps are made (default: gradcam); a probe's are exact",
    )
    parser.add_argument("--out", type=Path, metavar="PNG", help="the sheet (default: in the run folder)")
    _add_skip_broken(parser, "leave out pictures that cannot be read")
    _add_force(parser)
    _add_weights(parser)


def _add_reconstruct(verbs: Subparsers) -> None:
    what = "write the generated counterpart of every photo of a folder, as a data folder with pairs"
    parser = _adder(verbs, reconstruct, what, "humanmade reconstruct photos build/aligned")
    parser.add_argument("data", type=Path, metavar="D", help="a data folder; its human-made rows are taken")
    parser.add_argument("out", type=Path, metavar="OUT", help="the data folder to write")
    parser.add_argument(
        "--autoencoder", default="taef2", metavar="NAME", help="whose weights (default: taef2)"
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="the first N photos only")
    _add_skip_broken(parser, "leave out pictures that cannot be read")
    _add_weights(parser)


def _add_skip_broken(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--skip-broken", action="store_true", help=what)


def _add_data(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="D",
        help="a data folder: the competition's layout or a manifest.csv; repeatable",
    )


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, metavar="W", help="folder of pretrained weights (default: HUMANMADE_WEIGHTS)"
    )


def _add_prevalence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prevalence",
        type=_share,
        default=0.5,
        metavar="p",
        help="assumed share of generated pictures (default: 0.5)",
    )


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace the --out file if it exists")


def _fold(text: str) -> int | str:
    return "all" if text == "all" else _number(text, int, lambda value: value >= 0, "a fold's number, or all")


def _threshold(text: str) -> float | str:
    return "oof" if text == "oof" else _number(text, float, math.isfinite, "a number, or oof")


def _share(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < 1, "a share between 0 and 1")


def _positive(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < math.inf, "a positive number")


def _count(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a positive whole number")


def _seed(text: str) -> int:
    return _number(text, int, lambda value: 0 <= value < 2**32, "a whole number of 0 to 4294967295")


def _number(text: str, kind: type[N], good: Callable[[N], bool], expected: str) -> N:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not good(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
    return value
