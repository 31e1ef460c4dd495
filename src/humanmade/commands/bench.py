from pathlib import Path

import click

from humanmade.commands._verb import (
    COUNT,
    FOLD,
    PATH,
    argument,
    as_json,
    data,
    on_command_line,
    option,
    tell,
    verb,
    weights,
)


@verb("Judge", 'humanmade bench probe_lite0 "probe_lite0 head=difference" --data train --shifted wild')
@argument("recipes", nargs=-1, metavar="[LINE]...")
@data()
@option(
    "--shifted D",
    "a labelled folder to predict as unlabelled test rows and to be judged on, alone and with the others",
    PATH,
    multiple=True,
    show_default="the test rows of --data",
)
@option("--each", "train on each --data folder by itself, and let the others judge it beside --shifted")
@option("--joined", "with --each: train on every two --data folders as well, judged by the others")
@option(
    "--calibrate", "with --each: fit the forecast, whole worlds left out, and print the constants to ship"
)
@option("--table CSV", "with --calibrate: an earlier bench's table.csv, instead of measuring", PATH)
@option("--fold k", "train this fold only, or 'all' rows at once", FOLD)
@option("--seeds N", "trainings of each line, averaged", COUNT, default=1)
@option("--out R", "folder of the runs", PATH, show_default="runs/bench")
@option("--columns a,b", "columns to print", default="", show_default="all")
@weights
@as_json
@click.pass_context
def bench(
    context: click.Context,
    recipes: tuple[str, ...],
    data: tuple[Path, ...],
    shifted: tuple[Path, ...],
    each: bool,
    joined: bool,
    calibrate: bool,
    table: Path | None,
    fold: int | str | None,
    seeds: int,
    out: Path | None,
    columns: str,
) -> None:
    """Measure recipes side by side: folds, forecast, and sets they were not trained on.

    LINE is `recipe key=value ...`, or a .txt file with such lines.
    """
    import pandas as pd

    from humanmade.bench import calibration, measure
    from humanmade.bench.worlds import BENCH, Bench

    if table:
        calibration.refuse_besides(on_command_line(context))
        rows = calibration.read(table)
        blocks = calibration.report(rows)
    else:
        lines = measure.read_lines(recipes)
        job = Bench(data, shifted, out or BENCH, each, joined, calibrate, fold, seeds)
        blocks = measure.report(lines, job, columns)
        rows = pd.read_csv(job.out / "table.csv")
    tell("\n\n".join(blocks), rows)
