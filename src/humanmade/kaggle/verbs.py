"""The Kaggle commands: one verb a function, nothing but arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from humanmade.arguments import number
from humanmade.errors import Interrupted, UserError

if TYPE_CHECKING:
    from humanmade.kaggle.client import Client

Verb = Callable[[argparse.Namespace], None]
Adder = Callable[[Verb, str, str], argparse.ArgumentParser]

DATA = Path("data")
KERNELS = ("train", "predict", "blend")


def data(asked: argparse.Namespace) -> None:
    """Download the competition."""
    from humanmade.kaggle import download

    print(download.download(_client(asked), asked.data))


def push(asked: argparse.Namespace) -> None:
    """Run a kernel on Kaggle."""
    from humanmade.kaggle import bundle, kernels, order
    from humanmade.kaggle.client import known_owner

    client = None if asked.dry_run else _client(asked)
    wanted = order.order(
        client.owner if client else known_owner(),
        asked.kernel,
        asked.recipe,
        asked.set,
        asked.hours,
        asked.runs,
        asked.resume,
        asked.attach,
    )
    if client:
        wanted = order.with_ready_weights(client, wanted)
    folder = bundle.build(wanted, Path("build"))
    print(bundle.self_test(folder), flush=True)
    if client is None:
        print(f"{folder}: built and not pushed (--dry-run)")
        return
    pushed = kernels.push(client, wanted, folder)
    print(f"pushed {pushed}: {pushed.url}", flush=True)
    if asked.wait:
        print(kernels.follow(client, pushed))
    else:
        kernel = asked.kernel
        print(f"humanmade status {kernel} --wait follows it; humanmade pull {kernel} fetches its run")


def status(asked: argparse.Namespace) -> None:
    """Say how a pushed kernel does."""
    from humanmade.kaggle import kernels

    pushed = kernels.find(asked.kernel, asked.recipe)
    tell = kernels.follow if asked.wait else kernels.status
    print(tell(_client(asked), pushed))


def pull(asked: argparse.Namespace) -> None:
    """Fetch a finished kernel's outputs."""
    from humanmade.kaggle import kernels
    from humanmade.kaggle.pull import pull as fetch

    pushed = kernels.find(asked.kernel, asked.recipe)
    for line in fetch(_client(asked), pushed, asked.force):
        print(line)


def submit(asked: argparse.Namespace) -> None:
    """Send a submission and wait for its score."""
    from humanmade import competition, submission
    from humanmade.data import manifest
    from humanmade.kaggle import submissions

    folders = asked.data or [DATA]
    table = competition.CURRENT.test_table
    if not any((folder / table).is_file() for folder in folders):
        raise UserError(f"{folders[0]}: holds no {table} to check against; humanmade data downloads it")
    ids = manifest.submission_ids(manifest.load(folders, pictures=False)).tolist()
    submission.check(asked.file, ids)
    if not asked.again:
        submissions.refuse_sent(asked.file)
    client = _client(asked)
    row = submissions.send(client, asked.file, asked.message)
    print(f"{asked.file}: sent, ref {row['ref']}; waiting for its score", flush=True)
    try:
        row = submissions.follow(client, row)
    except KeyboardInterrupt:
        raise Interrupted("it is sent; humanmade scores asks for its score") from None
    foreseen = f"; out of fold {row['fold_score']}" if row["fold_score"] else ""
    private = row["private"] or "not shown yet"
    print(f"{asked.file}: public {row['public'] or 'not scored yet'}, private {private}{foreseen}")


def scores(asked: argparse.Namespace) -> None:
    """Bring the ledger up to date and print it."""
    from humanmade.kaggle import submissions

    rows = submissions.refresh(_client(asked))
    print(submissions.as_text(rows) if rows else "nothing was submitted yet")


def weights(asked: argparse.Namespace) -> None:
    """Upload pretrained weights as private datasets."""
    from humanmade.kaggle import weights as datasets

    found = {name: datasets.find(name) for name in asked.names}
    client = _client(asked)
    for name, paths in found.items():
        reference = datasets.push(client, name, paths)
        print(f"{name}: ready in {reference}; push attaches it to recipes that need it", flush=True)


def add(adder: Adder) -> None:
    """Add the verbs to the command line."""
    _add_data(adder)
    _add_push(adder)
    for verb, what in (
        (status, "say how a pushed kernel does"),
        (pull, "fetch a finished kernel's outputs, verify them, and land its run in runs/"),
    ):
        parser = adder(verb, what, f"humanmade {verb.__name__} train --recipe convnext_tiny")
        parser.add_argument("kernel", metavar="KERNEL", help=f"{', '.join(KERNELS)}, or a kernel's slug")
        parser.add_argument(
            "--recipe", default="", metavar="R", help="which recipe's (default: the last pushed)"
        )
        if verb is status:
            parser.add_argument("--wait", action="store_true", help="follow it until it has ended")
        else:
            parser.add_argument("--force", action="store_true", help="replace a run of the same name")
        _add_patience(parser)
    _add_submit(adder)
    what = "bring the ledger of submissions up to date with Kaggle and print it"
    _add_patience(adder(scores, what, "humanmade scores"))
    _add_weights(adder)


def _add_data(adder: Adder) -> None:
    what = "download the competition's tables and pictures, going on where an earlier download broke off"
    parser = adder(data, what, "humanmade data --data data")
    parser.add_argument("--data", type=Path, default=DATA, metavar="D", help="the folder (default: data)")
    _add_patience(parser)


def _add_push(adder: Adder) -> None:
    what = "run a recipe on Kaggle's GPUs, from one self-contained script"
    parser = adder(push, what, "humanmade push train --recipe convnext_tiny --wait")
    add = parser.add_argument
    add("kernel", choices=KERNELS, metavar="KERNEL", help=f"which kernel: {', '.join(KERNELS)}")
    add("--recipe", default="", metavar="R", help="a shipped recipe's name or a .toml file")
    add("--set", action="append", default=[], metavar="key=value", help="override a recipe key; repeatable")
    add(
        "--hours",
        type=_hours,
        default=11.0,
        metavar="H",
        help="stop in time to end within H hours (default: 11)",
    )
    add(
        "--run",
        dest="runs",
        action="append",
        default=[],
        metavar="KERNEL",
        help="predict, blend: take up the outputs of this kernel, by slug or owner/slug; repeatable",
    )
    add("--resume", action="store_true", help="train: go on from the outputs of this kernel's last run")
    add(
        "--attach",
        action="append",
        default=[],
        metavar="DATASET",
        help="more weights than what weights push made for the recipe, by slug or owner/slug; repeatable",
    )
    add("--wait", action="store_true", help="follow it until it has ended")
    add("--dry-run", action="store_true", help="only build and test the script; needs no account")
    _add_patience(parser)


def _add_submit(adder: Adder) -> None:
    what = "check a submission, send it, wait for its score, write it into the ledger"
    parser = adder(submit, what, 'humanmade submit submissions/two.csv -m "two probes"')
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the submission")
    add("-m", "--message", default="", metavar="TEXT", help="its description")
    add("--again", action="store_true", help="send it although the ledger has it")
    add(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="D",
        help="folder with test.csv (default: data); repeatable",
    )
    _add_patience(parser)


def _add_weights(adder: Adder) -> None:
    what = "upload pretrained weights as private datasets, which kernels can attach"
    parser = adder(weights, what, "humanmade weights push vit_small_patch14_dinov2.lvd142m")
    add = parser.add_argument
    add("action", choices=("push",), metavar="push", help="what to do with them")
    add("names", nargs="+", metavar="NAME", help="a timm model with its tag, or an autoencoder")
    add("--weights", type=Path, metavar="W", help="folder to look in first (default: HUMANMADE_WEIGHTS)")
    _add_patience(parser)


def _add_patience(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=300.0,
        metavar="S",
        help="seconds to go on trying when Kaggle does not answer (default: 300)",
    )


def _client(asked: argparse.Namespace) -> Client:
    from humanmade.kaggle.client import Client

    return Client(asked.patience)


def _hours(text: str) -> float:
    from humanmade.kaggle.order import LONGEST_HOURS

    expected = f"a number of hours above 0, at most {LONGEST_HOURS:g}"
    return number(text, float, lambda value: 0 < value <= LONGEST_HOURS, expected)


def _seconds(text: str) -> float:
    return number(text, float, lambda value: 0 < value <= 86400, "a number of seconds above 0, at most 86400")
