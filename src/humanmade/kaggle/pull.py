"""What a kernel left: fetched, verified, and landed in `runs/` and `submissions/`."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from humanmade import files, ledger, run
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle import archives, outputs
from humanmade.kaggle.client import Client
from humanmade.kaggle.kernels import STATE, KernelStatus, Pushed, judge, look
from humanmade.kaggle.outputs import Listing
from humanmade.progress import progress, warn
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
    listing = _whole(pushed, look(client, pushed))
    runs = {RUNS / name: _is_here(RUNS / name, pushed) for name in listing.runs}
    here = runs | {
        place: runs.get(place.parent, kept) for place, kept in _submission(listing, pushed).items()
    }
    if here and all(here.values()):
        return [f"{place}: is here already" for place in here]
    for place, ours in here.items():
        if place.exists() and not (ours or force or _may_go_on(place, pushed)):
            what = "run" if place in runs else "submission"
            raise UserError(f"{place}: is another {what}; move it away, or give --force to replace it")
    scratch = STATE / f"{pushed.slug}-{pushed.run_id}"
    archives.require_space(scratch, listing.bytes, f"to pull of {pushed.reference}")
    _fetch_all(client, pushed.reference, listing.files, scratch)
    for place in runs:
        if not (scratch / place / run.RECIPE).is_file():
            raise KaggleError(
                f"{pushed.reference}: its outputs hold no {run.RECIPE} of run {place.name}; push again"
            )
        archives.unpack_folds(scratch / place)
        if place.exists() and not (runs[place] or force or _goes_on(Run(scratch / place), Run(place))):
            raise UserError(f"{place}: is of another recipe or data; move it away, or give --force")
    lines = [
        _land_run(scratch, place, pushed, listing.unfinished) for place, ours in runs.items() if not ours
    ]
    for place, ours in here.items():
        if place not in runs and not ours:
            lines.append(_land_submission(scratch / run.SUBMISSION, place))
    shutil.rmtree(scratch)
    return lines


def _whole(pushed: Pushed, seen: KernelStatus) -> Listing:
    """What a push left, if it has ended, was this one, and left anything that is whole."""
    if not seen.ended:
        raise KaggleError(f"{pushed}: is {seen.status}; humanmade status {pushed.kernel} --wait follows it")
    listing = seen.listing
    try:
        judge(pushed, seen)
    except KaggleError as error:
        if not listing or listing.run_id != pushed.run_id or not listing.finished_folds:
            raise
        warn(f"{error}; what follows is of its finished folds")
        listing = replace(listing, unfinished=True)
    assert listing, "without outputs.json judge raises"
    return listing


def _is_here(place: Path, pushed: Pushed) -> bool:
    note = place / run.KERNEL
    return note.is_file() and files.read_json(note, ("run_id",), f"remove {place}")["run_id"] == pushed.run_id


def _may_go_on(place: Path, pushed: Pushed) -> bool:
    """Whether a run, or the submission in one, is an unfinished one of an earlier session of this kernel."""
    folder = place if place.is_dir() else place.parent
    note = folder / run.KERNEL
    if not note.is_file() or not Run(folder).scores.unfinished:
        return False
    kernel: str = files.read_json(note, ("kernel",), f"remove {folder}")["kernel"]
    return kernel == pushed.reference


def _goes_on(fetched: Run, here: Run) -> bool:
    """Whether a fetched run can be what a later session made of one that is here."""
    return fetched.recipe == here.recipe and fetched.scores.data == here.scores.data


def _fetch_all(client: Client, reference: str, hashes: dict[str, str], scratch: Path) -> None:
    """Fetch files into `scratch` until each has its hash; what is there already is kept.

    Links are asked for again once, for they expire.

    Raises:
        KaggleError: an output is missing, or not what the kernel wrote.
    """
    for attempt in (1, 2):
        missing = [name for name, digest in hashes.items() if not _is_whole(scratch / name, digest)]
        if not missing:
            return
        links, _ = outputs.links(client, reference)
        for name in progress(missing, f"pulling {reference}", "files", len(missing)):
            if name not in links:
                raise KaggleError(f"{reference}: {name} is not among its {len(links)} outputs; push it again")
            try:
                _fetch(client, name, links[name], scratch / name, hashes[name])
            except KaggleError as error:
                if attempt == 2:
                    raise
                warn(f"{error}; asking for new links")


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and files.sha256(path) == digest


def _fetch(client: Client, name: str, link: str, place: Path, digest: str) -> None:
    def get() -> None:
        with aside.open("wb") as file:
            file.writelines(outputs.served(link))

    with files.whole_file(place) as aside:
        client.call(f"output {name}", get)
        if not _is_whole(aside, digest):
            with aside.open("rb") as file:
                page = file.read(200).lstrip()[:1] == b"<"
            problem = "an error page" if page else "other bytes"
            raise KaggleError(f"output {name}: its link served {problem}, not what the kernel wrote")


def _land_run(scratch: Path, place: Path, pushed: Pushed, unfinished: bool) -> str:
    """Move a fetched run to its place, beside which it was verified."""
    fetched = Run(scratch / place)
    folds = len(fetched.scores.folds) or len(list(fetched.folder.glob(f"fold*/{run.DONE}")))
    note = {key: asdict(pushed)[key] for key in ("version", "run_id", "url", "date")}
    files.write_json(fetched.folder / run.KERNEL, {"kernel": pushed.reference} | note)
    if place.exists():
        place.replace(scratch / f"replaced-{place.name}")
    fetched.folder.replace(place)
    more = "; unfinished: push --resume goes on with it" if unfinished else ""
    return f"{place}: {folds} folds{more}"


def _submission(listing: Listing, pushed: Pushed) -> dict[Path, bool]:
    """Where a submission is to be, in its run if it is just that of one, and whether it is there."""
    digest = listing.files.get(run.SUBMISSION)
    own = (RUNS / name / run.SUBMISSION for name in listing.runs)
    place = next((path for path in own if listing.files.get(path.as_posix()) == digest), None)
    place = place or ledger.LEDGER.parent / f"{pushed.slug}.csv"
    return {place: _is_whole(place, digest)} if digest else {}


def _land_submission(fetched: Path, place: Path) -> str:
    """Keep a submission with its note of origin, unless it landed with its run."""
    if not _is_whole(place, files.sha256(fetched)):
        files.make_folder(place.parent)
        noted = ledger.origin_file(fetched)
        if noted.is_file():
            noted.replace(ledger.origin_file(place))
        fetched.replace(place)
    return f"{place}: its submission"
