"""What a finished kernel left: fetched, verified and landed in `runs/` and `submissions/`."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from humanmade import files, ledger, run
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle import outputs, packing
from humanmade.kaggle.client import Client
from humanmade.kaggle.kernels import STATE, Pushed, Session, judge, look
from humanmade.progress import warn
from humanmade.run import RUNS, Run


def pull(client: Client, pushed: Pushed, force: bool = False) -> list[str]:
    """Fetch the outputs of a push that has ended, verify them, and land its runs and its submission.

    Of one that failed the finished folds land, as an unfinished run.

    Args:
        force: replace what is there under the same name.

    Returns:
        What landed, a line each.

    Raises:
        KaggleError: it has not ended, failed without a finished fold, or an output is not what it wrote.
        UserError: something else lies where an output would land.
    """
    session = look(client, pushed)
    if not session.ended:
        raise KaggleError(
            f"{pushed}: is {session.status}; humanmade status {pushed.kernel} --wait follows it"
        )
    listing = _judged_listing(pushed, session)
    if listing.runs and all(_is_here(RUNS / name, pushed) for name in listing.runs):
        return [f"{RUNS / name}: is here already" for name in listing.runs]
    for name in listing.runs:
        if (RUNS / name).exists() and not force:
            raise UserError(f"{RUNS / name}: is another run; move it away, or give --force to replace it")
    scratch = STATE / f"{pushed.slug}-{pushed.run_id}"
    packing.require_space(scratch, listing.size, f"to pull of {pushed.reference}")
    outputs.download(client, pushed.reference, listing.files, scratch)
    for name in listing.runs:
        if not (scratch / outputs.RUNS / name / run.RECIPE).is_file():
            raise KaggleError(
                f"{pushed.reference}: its outputs hold no {run.RECIPE} of run {name}; push again"
            )
        packing.unpack_folds(scratch / outputs.RUNS / name)
    lines = [_land_run(scratch, name, pushed, listing.unfinished) for name in listing.runs]
    lines += _land_submission(scratch, pushed, force)
    shutil.rmtree(scratch)
    return lines


def _judged_listing(pushed: Pushed, session: Session) -> outputs.Listing:
    """What a push left, if it was this one and left anything that is whole."""
    if session.run_id != pushed.run_id:
        judge(pushed, session)
    listing = outputs.read_listing(session.told, pushed.reference)
    try:
        judge(pushed, session)
    except KaggleError as error:
        if not listing.finished_folds:
            raise
        warn(f"{error}; what follows is of its finished folds")
        return replace(listing, unfinished=True)
    return listing


def _is_here(folder: Path, pushed: Pushed) -> bool:
    note = folder / run.KERNEL
    advice = f"remove {folder}"
    return note.is_file() and files.read_json(note, ("run_id",), advice)["run_id"] == pushed.run_id


def _land_run(scratch: Path, name: str, pushed: Pushed, unfinished: bool) -> str:
    """Move a fetched run to its place, beside which it was verified."""
    fetched, place = Run(scratch / outputs.RUNS / name), RUNS / name
    folds = len(fetched.scores.folds) or len(list(fetched.folder.glob(f"fold*/{run.DONE}")))
    note = {key: asdict(pushed)[key] for key in ("version", "run_id", "url", "date")}
    files.write_json(fetched.folder / run.KERNEL, {"kernel": pushed.reference} | note)
    if place.exists():
        place.replace(scratch / f"replaced-{name}")
    fetched.folder.replace(place)
    more = "; unfinished: push --resume goes on with it" if unfinished else ""
    return f"{place}: {folds} folds{more}"


def _land_submission(scratch: Path, pushed: Pushed, force: bool) -> list[str]:
    """Keep a submission that is not just that of the one run that landed, with its note of origin."""
    fetched = scratch / run.SUBMISSION
    if not fetched.is_file():
        return []
    digest = files.sha256(fetched)
    for path in RUNS.glob(f"*/{run.SUBMISSION}"):
        if files.sha256(path) == digest:
            return [f"{path}: its submission"]
    place = ledger.LEDGER.parent / f"{pushed.slug}.csv"
    if place.exists() and files.sha256(place) != digest and not force:
        raise UserError(f"{place}: is another submission; move it away, or give --force to replace it")
    files.make_folder(place.parent)
    noted = ledger.origin_file(fetched)
    if noted.is_file():
        noted.replace(ledger.origin_file(place))
    fetched.replace(place)
    return [f"{place}: its submission"]
