"""Kernels: pushed, followed to their end, and their outputs brought home, verified.

Kaggle's status may still be the previous run's after a push, an output link may serve an error page, and
a push may go through without its data. So each push has a run id that the kernel writes into its
outputs, and each output has a hash in `outputs.json`; nothing counts before they agree.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from humanmade import files, ledger
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle import outputs
from humanmade.kaggle.client import Client, pauses, plain
from humanmade.kaggle.submissions import KERNEL_NOTE
from humanmade.progress import Waiting
from humanmade.run import RUNS, Run

STATE = RUNS / ".kaggle"
"""What was pushed, and outputs that are being fetched."""
FINAL = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")
LONGEST_HOURS = 12.0
STARTUP_HOURS = 0.5
"""What a session takes beside its kernel's own budget: starting, mounting, saving outputs."""
SUBMISSION = "submission.csv"


@dataclass(frozen=True)
class Pushed:
    """A push that Kaggle took."""

    kernel: str
    recipe: str
    reference: str
    """`owner/slug`."""
    version: int
    run_id: str
    url: str
    date: str

    @property
    def slug(self) -> str:
        """The kernel's name on Kaggle."""
        return self.reference.split("/")[1]


@dataclass(frozen=True)
class Session:
    """What Kaggle says of a kernel at one look."""

    status: str
    failure: str
    run_id: str
    """That of the outputs; empty where there is none."""
    log: str


def push(client: Client, folder: Path, pushed: Pushed, hours: float) -> Pushed:
    """Push a kernel's folder, and note it.

    An attempt whose answer was lost is repeated: the same script with the same run id becomes one more
    version, and the outputs of either are this push's.

    Args:
        pushed: what is known before; Kaggle's answer fills in reference, version and url.
        hours: the kernel's own time budget.

    Raises:
        KaggleError: Kaggle refused it, or took it without some of its data.
    """
    metadata = files.read_json(folder / "kernel-metadata.json", ("id", "title"), "build the kernel again")
    if metadata.get("enable_gpu"):
        print(check_quota(client, hours), flush=True)
    limit = str(int(min(hours + STARTUP_HOURS, LONGEST_HOURS) * 3600))
    what = f"push {metadata['id']}"
    answer = client.call(what, client.api.kernels_push, str(folder), limit)
    if answer.error:
        raise KaggleError(f"{what}: Kaggle refused it ({plain(answer.error)})")
    invalid = {
        "datasets": answer.invalid_dataset_sources,
        "competitions": answer.invalid_competition_sources,
        "kernels": answer.invalid_kernel_sources,
        "models": answer.invalid_model_sources,
        "tags": answer.invalid_tags,
    }
    lacking = "; ".join(f"{kind} {', '.join(names)}" for kind, names in invalid.items() if names)
    if lacking:
        raise KaggleError(
            f"{what}: Kaggle does not know {lacking} and runs version {answer.version_number} without; "
            f"stop it at {answer.url}, and correct what is attached"
        )
    named = "/".join(answer.ref.strip("/").split("/")[-2:]) or metadata["id"]
    if named.lower() != metadata["id"].lower():
        raise KaggleError(f"{what}: Kaggle calls it {named}; title and id do not agree, rename one of them")
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    done = Pushed(**asdict(pushed) | {"version": answer.version_number, "url": answer.url, "date": date})
    files.write_json(STATE / f"{done.slug}.json", asdict(done))
    return done


def check_quota(client: Client, hours: float) -> str:
    """Compare the hours asked for with what is left of this week's GPU quota.

    Returns:
        The quota in one line.

    Raises:
        UserError: less is left than the kernel may take.
    """
    answer = client.call("GPU quota", client.api.quota_view)
    quota = answer.gpu_quota
    if quota is None or quota.total_time_allowed is None:
        return "GPU quota: Kaggle does not tell"
    allowed = quota.total_time_allowed.total_seconds() / 3600
    spent = [time.total_seconds() / 3600 for time in (quota.time_used, quota.time_reserved) if time]
    left = allowed - sum(spent)
    text = f"GPU quota: {left:.1f} of {allowed:.1f} hours are left this week"
    if hours > left:
        refreshes = answer.quota_refresh_time
        when = f" or wait until {refreshes:%Y-%m-%d}" if refreshes else ""
        raise UserError(f"{text}; this kernel may take {hours:g}: give a smaller --hours{when}")
    return f"{text}; this kernel may take {hours:g}"


def find(kernel: str, recipe: str = "") -> Pushed:
    """The latest push of a kernel, by its folder's name, its slug or `owner/slug`.

    Raises:
        UserError: nothing of that name was pushed from here.
    """
    notes = []
    for path in sorted(STATE.glob("*.json")):
        keys = tuple(Pushed.__dataclass_fields__)
        note = files.read_json(path, keys, "remove it; the kernel itself is on Kaggle")
        notes.append(Pushed(**{key: note[key] for key in keys}))
    known = [
        note
        for note in notes
        if kernel in (note.kernel, note.slug, note.reference) and recipe in ("", note.recipe)
    ]
    if not known:
        listed = ", ".join(sorted({f"{note.kernel} {note.recipe}".strip() for note in notes}))
        raise UserError(f"kernel '{kernel}': not pushed from here; pushed were: {listed or 'none'}")
    return max(known, key=lambda note: note.date)


def look(client: Client, pushed: Pushed) -> Session:
    """Ask for a kernel's status, and once it ended whose outputs it shows."""
    answer = client.call(
        f"status of {pushed.reference}",
        client.api.kernels_status,
        pushed.reference,
        no=f"is it still there? see {pushed.url}",
    )
    status, failure = answer.status.name, plain(answer.failure_message or "")
    if status not in FINAL:
        return Session(status, failure, "", "")
    links, log = outputs.links(client, pushed.reference)
    return Session(status, failure, outputs.run_id(client, links), log)


def follow(client: Client, pushed: Pushed) -> None:
    """Wait until this push's run has ended, whatever the run before it left behind.

    Raises:
        KaggleError: it failed, was cancelled, or never started.
    """
    with Waiting(f"{pushed.reference} version {pushed.version}") as line:
        running, alive = False, 0.0
        for pause in pauses():
            session = look(client, pushed)
            ended = session.status in FINAL
            if not ended:
                running, alive = True, line.seconds
            # A run that fails early leaves no id; having been seen running, it is this one.
            ours = session.run_id == pushed.run_id or (running and not session.run_id)
            if ended and ours:
                line.show(session.status.lower())
                return judge(pushed, session)
            line.show(f"the run before: {session.status.lower()}" if ended else session.status.lower())
            if ended and line.seconds - alive > client.patience:
                if not session.run_id:
                    return judge(pushed, session)
                raise KaggleError(
                    f"{pushed.reference}: after {client.patience:.0f} s Kaggle still shows another run's "
                    f"outputs; look at {pushed.url}"
                )
            time.sleep(pause)


def judge(pushed: Pushed, session: Session) -> None:
    """Raise unless a session completed with outputs of this push.

    Raises:
        KaggleError: with the end of the kernel's log, which is kept in a file.
    """
    if session.status == "COMPLETE" and session.run_id == pushed.run_id:
        return
    kept = STATE / f"{pushed.slug}.log"
    text = _log_text(session.log)
    files.write_text(kept, text)
    last = plain(next((line for line in reversed(text.splitlines()) if line.strip()), ""))
    reason = session.failure or last or "no reason given"
    what = f"{pushed.reference} version {pushed.version}"
    if session.run_id not in ("", pushed.run_id):
        raise KaggleError(f"{what}: Kaggle shows another run's {session.status}; look at {pushed.url}")
    if session.status == "COMPLETE":
        raise KaggleError(f"{what}: ended without {outputs.OUTPUTS} ({reason}); its log is {kept}")
    saved = "; push --resume goes on from what it saved" if session.run_id else ""
    raise KaggleError(f"{what}: {session.status} ({reason}); its log is {kept}{saved}")


def pull(client: Client, pushed: Pushed, force: bool = False) -> list[str]:
    """Fetch the outputs of a finished push, verify them, and land its runs and its submission.

    Args:
        force: replace what is there under the same name.

    Returns:
        What landed, a line each.

    Raises:
        KaggleError: it has not finished, failed, or an output is not what the kernel wrote.
        UserError: something else lies where an output would land.
    """
    session = look(client, pushed)
    if session.status not in FINAL:
        raise KaggleError(
            f"{pushed.reference} version {pushed.version}: is {session.status}; "
            f"humanmade status {pushed.kernel} --wait follows it"
        )
    judge(pushed, session)
    links, _ = outputs.links(client, pushed.reference)
    listing = outputs.read_listing(
        outputs.text(client, links, outputs.OUTPUTS), pushed.reference, pushed.run_id
    )
    runs = sorted({PurePosixPath(name).parts[1] for name in listing["files"] if name.startswith("runs/")})
    landed = [name for name in runs if _is_here(RUNS / name, pushed)]
    if runs and landed == runs:
        return [f"{RUNS / name}: is here already" for name in landed]
    _refuse_replacing([RUNS / name for name in runs], force)
    scratch = STATE / f"{pushed.slug}-{pushed.run_id}"
    outputs.download(client, pushed.reference, listing["files"], scratch)
    for name in runs:
        if not (scratch / "runs" / name / "recipe.toml").is_file():
            raise KaggleError(
                f"{pushed.reference}: its outputs hold no recipe.toml of run {name}; push again"
            )
    lines = [_land_run(scratch, name, pushed, listing["unfinished"]) for name in runs]
    lines += _land_submission(scratch, pushed, force)
    shutil.rmtree(scratch)
    return lines


def _is_here(folder: Path, pushed: Pushed) -> bool:
    note = folder / KERNEL_NOTE
    if not note.is_file():
        return False
    return bool(files.read_json(note, ("run_id",), f"remove {folder}")["run_id"] == pushed.run_id)


def _refuse_replacing(folders: list[Path], force: bool) -> None:
    for folder in folders:
        if folder.exists() and not force:
            raise UserError(f"{folder}: is another run; move it away, or give --force to replace it")


def _land_run(scratch: Path, name: str, pushed: Pushed, unfinished: bool) -> str:
    """Move a fetched run to its place, beside which it was verified."""
    fetched, place = Run(scratch / "runs" / name), RUNS / name
    folds = len(fetched.scores.folds)
    note = {key: asdict(pushed)[key] for key in ("version", "run_id", "url", "date")}
    files.write_json(fetched.folder / KERNEL_NOTE, {"kernel": pushed.reference} | note)
    if place.exists():
        old = scratch / f"replaced-{name}"
        place.replace(old)
    fetched.folder.replace(place)
    more = "; unfinished: push --resume goes on with it" if unfinished else ""
    return f"{place}: {folds} folds{more}"


def _land_submission(scratch: Path, pushed: Pushed, force: bool) -> list[str]:
    """Keep a submission that is not just that of the one run that landed, with its note of origin."""
    fetched = scratch / SUBMISSION
    if not fetched.is_file():
        return []
    digest = ledger.sha256(fetched)
    for path in RUNS.glob(f"*/{SUBMISSION}"):
        if ledger.sha256(path) == digest:
            return [f"{path}: its submission"]
    place = ledger.LEDGER.parent / f"{pushed.slug}.csv"
    if place.exists() and ledger.sha256(place) != digest and not force:
        raise UserError(f"{place}: is another submission; move it away, or give --force to replace it")
    files.make_folder(place.parent)
    noted = ledger.origin_file(fetched)
    if noted.is_file():
        noted.replace(ledger.origin_file(place))
    fetched.replace(place)
    return [f"{place}: its submission"]


def _log_text(log: str) -> str:
    """A kernel's log as plain text; Kaggle sends a JSON list of pieces."""
    try:
        return "".join(str(piece["data"]) for piece in json.loads(log))
    except (ValueError, KeyError, TypeError):
        return log
