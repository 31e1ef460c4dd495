from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from humanmade.commands._verb import (
    COUNT,
    FOLD,
    SEED,
    Number,
    argument,
    option,
    patience,
    settings,
    skip_broken,
    verb,
)
from humanmade.kaggle import (
    EXPLORED,
    HOURS,
    LONGEST_HOURS,
    SMOKE_FOLDS,
    SMOKE_HOURS,
    SMOKE_PICTURES,
    STARTUP_HOURS,
)

if TYPE_CHECKING:
    from humanmade.kaggle.push_request import PushRequest

MOST_HOURS = LONGEST_HOURS - STARTUP_HOURS
SESSION = Number(
    float, lambda hours: 0 < hours <= MOST_HOURS, f"a number of hours above 0, at most {MOST_HOURS:g}"
)


@verb("Kaggle", "humanmade push train --recipe convnext_tiny --wait")
@argument("kernel", type=click.Choice(["train", "predict", "blend", "explore"]), metavar="KERNEL")
@option(
    "--recipe R", "a shipped recipe's name or a .toml file", default="", show_default=f"explore: {EXPLORED}"
)
@settings
@option("--hours H", "train: stop in time to end within H hours; others are cut off", SESSION, default=HOURS)
@option(
    "--run KERNEL",
    "predict, blend: a kernel, slug or owner/slug, whose outputs are taken up",
    name="runs",
    multiple=True,
)
@option("--resume", "train: go on from the outputs of this kernel's last run")
@option(
    "--attach DATASET",
    "more weights than those that the recipe needs, by slug or owner/slug",
    multiple=True,
)
@option(
    "--attach-model MODEL",
    "a Kaggle Model with weights: owner/model/framework/variation/version",
    name="models",
    multiple=True,
)
@option("--extra DATASET", "train: a dataset of labelled pictures for `cv --extra`", multiple=True)
@option("--limit N", "train: a run on N pictures (whole pairs), beside the whole one", COUNT)
@option("--fold k", "train: this fold only, or 'all' rows at once", FOLD)
@option("--folds K", "train: how many folds", COUNT, show_default="the recipe's")
@option("--seed N", "train: the one seed to train with", SEED)
@skip_broken("train: leave out any number of pictures that cannot be read, not 1 % at most")
@option(
    "--smoke",
    f"train: {SMOKE_PICTURES:,} pictures, {SMOKE_FOLDS} folds, {SMOKE_HOURS} hours at most; says what the "
    "whole would take",
)
@option("--wait", "follow it until it has ended")
@option("--dry-run", "only build and test the script; needs no account")
@patience
def push(
    kernel: str,
    recipe: str,
    settings: tuple[str, ...],
    hours: float,
    runs: tuple[str, ...],
    resume: bool,
    attach: tuple[str, ...],
    models: tuple[str, ...],
    extra: tuple[str, ...],
    limit: int | None,
    fold: int | str | None,
    folds: int | None,
    seed: int | None,
    skip_broken: bool,
    smoke: bool,
    wait: bool,
    dry_run: bool,
    patience: float,
) -> None:
    """Run a recipe on Kaggle's GPUs, from one self-contained script.

    KERNEL is train, predict, blend, or explore: a notebook that looks at the data and at a cheap recipe.
    """
    from humanmade.kaggle.client import known_owner
    from humanmade.kaggle.push_request import CvOptions, PushRequest

    if kernel == "explore":
        recipe = recipe or EXPLORED
    options = CvOptions(limit, fold, folds, seed, skip_broken)
    if smoke:
        options, hours = options.smoke(recipe, settings), min(hours, SMOKE_HOURS)
    request = PushRequest(
        kernel,
        recipe,
        known_owner(),
        settings=settings,
        hours=hours,
        runs=runs,
        resume=resume,
        attach=attach,
        options=options,
        extra=extra,
        models=models,
    )
    _send(request, None if dry_run else patience, wait)


def _send(request: PushRequest, patience: float | None, wait: bool) -> None:
    """Build a kernel, test it, and push it and follow it; without patience only build and test."""
    from humanmade.kaggle import bundle, kernels, push_request
    from humanmade.kaggle.client import Client
    from humanmade.progress import warn

    request = replace(request, run_recipes=kernels.recipes_of(request.owned(request.runs)))
    bundle.check(request)
    if lost := kernels.unpulled(request):
        warn(lost)
    client = None if patience is None else Client(patience)
    if client:
        request = push_request.with_ready_datasets(client, replace(request, owner=client.owner))
    folder = bundle.build(request, Path("build"))
    print(bundle.self_test(folder), request.told, sep="\n", flush=True)
    if client is None:
        print(f"{folder}: built and not pushed (--dry-run)")
        return
    pushed = kernels.push(client, request, folder)
    print(f"pushed {pushed}: {pushed.url}", flush=True)
    if wait:
        print(kernels.follow(client, pushed))
    else:
        verb = request.kernel
        print(f"humanmade status {verb} --wait follows it; humanmade pull {verb} fetches its run")
