"""The commands: one verb a function, nothing but arguments. Heavy imports wait for their verb."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from humanmade import __version__, arguments, places
from humanmade.errors import Interrupted, KaggleError, UserError
from humanmade.kaggle import verbs as kaggle_verbs

if TYPE_CHECKING:
    from humanmade.run import Run

    Subparsers = argparse._SubParsersAction[arguments.OneLineParser]

Verb = Callable[[argparse.Namespace], None]

DATA = Path("data")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad input or refused, 3 Kaggle said no, 130 interrupted.
    """
    # Set before anything imports albumentations, which else asks its package index at import.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    asked = _parser().parse_args(words)
    try:
        with places.weights_in(getattr(asked, "weights", None)):
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
    cross_validate(recipe, table, out, Options(asked.fold, asked.prevalence, hours))
    if not ranks.leads:
        return
    print(scorecard.as_text(out, table))
    if demo and out.finished():
        _score_hidden_demo(folders[0], out)


def evaluate(asked: argparse.Namespace) -> None:
    """Score a labelled folder with a run's finished folds, and count the look at it."""
    from dataclasses import asdict

    from humanmade import files, looks
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation.inference import run_logits
    from humanmade.run import Run

    run = Run.find(asked.run)
    _refuse_existing(asked.out, asked.force)
    table = manifest.load(asked.data, keep_test_labels=True)
    rows = inventory.attach(evaluation.labelled_rows(table, asked.split), asked.skip_broken)
    rows = rows[~rows["broken"]]
    if rows.empty:
        raise UserError("evaluate: none of the pictures can be read")
    evaluation.warn_of_training_rows(run, rows)
    logits = run_logits(run, rows)
    scores = evaluation.evaluate(rows, logits, asked.prevalence)
    values = asdict(scores)
    if asked.out:
        repo = {"repo": rows["repo"]} if (rows["repo"] != "").any() else {}
        files.write_csv(asked.out, rows[["id", "label", "source"]].assign(logit=logits, **repo))
    try:
        seen = looks.record("evaluate", asked.data, rows, run.recipe.name, [run], values)
        said = looks.sentence(seen) if seen else "not counted as a look: the set holds one class only"
    except (UserError, OSError) as error:
        # Scores that took minutes are not thrown away for it.
        seen, said = None, f"not counted as a look: {error}"
    if asked.json:
        values |= {"looks": len(seen.looks) if seen else None, "look": said}
    print(files.to_json(values) if asked.json else f"{evaluation.as_text(scores)}\n{said}")


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
    logits = run_logits(run, rows)
    files.write_csv(asked.out, pd.DataFrame({"id": rows["id"], "logit": logits}))
    print(f"{asked.out}: logits of {len(rows)} pictures")


def blend(asked: argparse.Namespace) -> None:
    """Blend runs or CSVs of logits into a checked submission."""
    from humanmade import fusion, ledger, metrics, submission
    from humanmade.data import manifest
    from humanmade.evaluation import blend as blending
    from humanmade.run import Run

    _refuse_existing(asked.out, asked.force)
    if asked.standardise and asked.threshold == "oof":
        raise UserError("--standardise: moves test logits away from the out-of-fold ones; leave one out")
    members = [blending.read_member(name) for name in asked.runs]
    if asked.standardise:
        members = [blending.standardised(member) for member in members]
    logits = blending.blend(members, asked.method)
    if asked.data:
        table = manifest.load(asked.data, pictures=False)
        test = table[table["split"] == "test"]
        logits = blending.in_order(logits, test["id"].tolist())
        logits.index = manifest.submission_ids(table)
    ids = logits.index.tolist()
    if not ids:
        raise UserError("blend: the data has no test rows")
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
    ledger.note_origin(
        asked.out,
        names,
        asked.method + " standardised" * asked.standardise,
        how,
        blending.fold_score(members, asked.method),
    )
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

    if asked.out != arguments.COMPARISON:
        _refuse_existing(asked.out, asked.force)
    table, text = comparing.report(_runs(asked.runs, "compare"), ledger.read())
    print(text)
    files.write_csv(asked.out, table)
    print(f"saved as {asked.out}")


def audit(asked: argparse.Namespace) -> None:
    """Say what gives the label away without a detector."""
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import audit as auditing

    table = inventory.attach(manifest.load(_data_or_demo(asked.data)[0]), asked.skip_broken)
    found = auditing.audit(table)
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
    explaining.require_maps(run)
    method = asked.method if run.recipe.detector == "network" else "exact"
    out = asked.out or run.folder / f"explain-{method}.png"
    _refuse_existing(asked.out, asked.force)
    table = manifest.load(_data_or_demo(asked.data)[0], keep_test_labels=True)
    split = "train" if (table.loc[table["split"] == "test", "label"] < 0).any() else None
    rows = inventory.attach(evaluation.labelled_rows(table, split), asked.skip_broken)
    rows = explaining.honest_logits(run, rows[~rows["broken"]])
    chosen = explaining.select(rows)
    maps, shown = explaining.explain(run, chosen, asked.method)
    title = f"{run.name}, {method}: pictures above, where the detector looks below; logits (yellow: wrong)"
    explaining.contact_sheet(out, chosen, maps, shown, title)
    print(f"{out}: {len(chosen)} pictures of {chosen['kind'].nunique()} sources")
    if run.recipe.detector == "network":
        correlation = explaining.randomised_correlation(run, chosen.head(6), asked.method)
        verdict = (
            "pass" if correlation < explaining.SANE else "FAIL: the maps show edges, not what was learned"
        )
        print(f"sanity: rank correlation with maps of random weights {correlation:.2f} ({verdict})")
    else:
        print("sanity: the maps of a probe are exact parts of its logits")
    caution = explaining.caution(run)
    if caution:
        print(caution)


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
    network = latent.load_autoencoder(asked.autoencoder)
    rows = latent.write_counterparts(photos, asked.out, network, asked.autoencoder)
    print(f"{asked.out}: {len(rows) // 2} photos with their counterparts, as a data folder with pairs")


def report(asked: argparse.Namespace) -> None:
    """Write one page of the audit, the runs and the leaderboard."""
    from humanmade import files, ledger
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import audit as auditing
    from humanmade.evaluation import report as reporting

    runs, found = _runs(asked.runs, "report"), None
    if asked.data:
        found = auditing.audit(inventory.attach(manifest.load(asked.data), asked.skip_broken))
    files.write_text(asked.out, reporting.report(runs, ledger.read(), found))
    print(f"{asked.out}: {len(runs)} runs{' and the audit' if found else ''}; open it in a browser")


def bench(asked: argparse.Namespace) -> None:
    """Measure recipes side by side."""
    from humanmade import files
    from humanmade.bench import calibration

    _refuse_bench(asked)
    said = calibration.report(calibration.read(asked.table)) if asked.table else _measured(asked)
    print("\n\n".join(said))
    if asked.markdown:
        files.write_text(asked.markdown, "\n\n".join([asked.title, *said]).strip() + "\n")


def _refuse_bench(asked: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and what would train and then have no world to judge."""
    unused = ("recipes", "data", "shifted", "each", "joined", "fold", "out", "columns", "weights")
    given = [name for name in unused if str(getattr(asked, name)) not in ("None", "False", "", "[]")]
    given += ["seeds"] * (asked.seeds != 1)
    if asked.table and not asked.calibrate:
        raise UserError("--table: only --calibrate reads it; give both")
    if asked.table and given:
        name = "recipes" if given[0] == "recipes" else f"--{given[0]}"
        raise UserError(f"{name}: with --table nothing is measured; leave one of them out")
    if not asked.table and not (asked.recipes and asked.data):
        lacking = "--data" if asked.recipes else "recipes"
        raise UserError(f"bench: no {lacking} given; give recipes and --data, or --calibrate --table CSV")
    if (asked.joined or asked.calibrate) and not asked.table and not asked.each:
        raise UserError(f"--{'joined' if asked.joined else 'calibrate'}: comes with --each; give both")
    if asked.calibrate and asked.fold == "all":
        raise UserError(
            "--calibrate: models are fitted on fold scores, and --fold all has none; leave one out"
        )
    if asked.calibrate and not asked.table and len(asked.data) + len(asked.shifted) < 3:
        raise UserError("--calibrate: needs three worlds at least; give more --data or --shifted folders")


def _measured(asked: argparse.Namespace) -> list[str]:
    """Measure what a bench asks for and lay it out."""
    from humanmade.bench import calibration
    from humanmade.bench import measure as measuring
    from humanmade.bench import table as tables
    from humanmade.bench.worlds import BENCH, Bench

    lines = measuring.read_lines(asked.recipes)
    columns = asked.columns.split(",") if asked.columns else []
    unknown = [name for name in columns if name not in tables.columns()]
    if unknown:
        raise UserError(f"--columns {unknown[0]}: known are {', '.join(tables.columns())}")
    same = Bench(
        data=asked.data,
        shifted=asked.shifted,
        out=asked.out or BENCH,
        each=asked.each,
        joined=asked.joined,
        fold=asked.fold,
        seeds=asked.seeds,
    )
    table = measuring.measure(lines, same)
    said = [tables.as_markdown(table, columns), *tables.standings(table)]
    return [*said, *(calibration.report(table) if asked.calibrate else [])]


def demo(asked: argparse.Namespace) -> None:
    """Write the embedded demo competition."""
    from humanmade.data.demo import HIDDEN, make

    folder = make(asked.folder)
    print(f"{folder}: the demo competition; try: humanmade cv demo --data {folder}")
    print(f"{folder / HIDDEN}: its test pictures with labels, for: humanmade evaluate")


def _runs(names: list[str], verb: str) -> list[Run]:
    """The runs asked for, else all in `runs/`."""
    from humanmade.run import RUNS, Run

    names = names or [str(path.parent) for path in sorted(RUNS.glob("*/recipe.toml"))]
    if not names:
        raise UserError(f"{verb}: no runs in {RUNS}/; make one with humanmade cv")
    return [Run.find(name) for name in names]


def _data_or_demo(folders: list[Path]) -> tuple[list[Path], bool]:
    """The folders asked for; else `data/` if it holds the competition; else the demo, which says so."""
    from humanmade.data import competition

    if folders:
        return folders, False
    if competition.holds(DATA):
        return [DATA], False
    from humanmade.data.demo import VERSION, make

    folder = places.cache("demo") / VERSION
    print(f"no --data and no competition in {DATA}/: this is the embedded demo ({folder})", flush=True)
    return [folder if folder.is_dir() else make(folder)], True


def _score_hidden_demo(folder: Path, run: Run) -> None:
    """Show the demo's lesson: what the hidden test labels say."""
    from humanmade.data import inventory, manifest
    from humanmade.data.demo import HIDDEN
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation.inference import run_logits

    rows = inventory.attach(manifest.load([folder / HIDDEN]))
    scores = evaluation.evaluate(rows, run_logits(run, rows))
    print("\nThe demo's hidden test labels, which no competition shows, say:")
    print(evaluation.as_text(scores))
    print("Other up-samplers made the test's fakes. No fold could know that.")


def _refuse_existing(path: Path | None, force: bool) -> None:
    if path and path.exists() and not force:
        raise UserError(f"{path}: exists; give another --out, or --force to replace it")


VERBS: tuple[tuple[Verb, Callable[[argparse.ArgumentParser], None], str, str], ...] = (
    (
        cv,
        arguments.cv,
        "train the folds of a recipe, score them, predict the test set",
        "humanmade cv probe_lite0 --data data --set image_size=256",
    ),
    (
        evaluate,
        arguments.evaluate,
        "score a labelled folder with a run's finished folds",
        "humanmade evaluate probe_lite0 --data wild",
    ),
    (
        predict,
        arguments.predict,
        "predict logits of a folder (its test rows where it has any) with a run",
        "humanmade predict probe_lite0 --data data --out logits.csv",
    ),
    (
        blend,
        arguments.blend,
        "blend runs, or CSVs of logits, into a checked submission",
        "humanmade blend probe_lite0 efficientnet_lite0 --out submissions/two.csv",
    ),
    (
        check,
        arguments.check,
        "check a submission against test.csv",
        "humanmade check submissions/two.csv --data data --against submissions/one.csv",
    ),
    (
        compare,
        arguments.compare,
        "print the fold scores of runs side by side",
        "humanmade compare probe_lite0 demo",
    ),
    (
        audit,
        arguments.audit,
        "say what gives the label away without a detector",
        "humanmade audit --data data",
    ),
    (
        bench,
        arguments.bench,
        "measure recipes side by side: folds, forecast, and sets they were not trained on",
        'humanmade bench probe_lite0 "probe_lite0 head=difference" --data train --shifted wild --shifted new',
    ),
    (
        explain,
        arguments.explain,
        "draw where a run looks: worst mistakes, surest hits, most doubtful pictures, per source",
        "humanmade explain efficientnet_lite0 --data data --method layercam",
    ),
    (
        report,
        arguments.report,
        "write one HTML page: the audit, runs side by side, folds, curves, maps, the leaderboard",
        "humanmade report --data data --out report.html",
    ),
    (
        reconstruct,
        arguments.reconstruct,
        "write the generated counterpart of every photo of a folder, as a data folder with pairs",
        "humanmade reconstruct photos build/aligned",
    ),
    (demo, arguments.demo, "write the embedded demo competition", "humanmade demo build/demo"),
)
"""Each verb with its options, what it does and an example."""


def _parser() -> argparse.ArgumentParser:
    parser = arguments.OneLineParser(
        prog="humanmade",
        description="Tell human-made pictures from generated ones, and foresee the leaderboard score.",
    )
    parser.add_argument("--version", action="version", version=f"humanmade {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, options, what, example in VERBS:
        options(_adder(verbs, verb, what, example))
    kaggle_verbs.add(partial(_adder, verbs))
    return parser


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
