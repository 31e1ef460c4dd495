"""Kernels: pushed, and followed to their end.

Kaggle's status may still be the previous run's after a push, an output link may serve an error page, and
a push may go through without its data. So each push has a run id that the kernel writes into its
outputs, and each output has a hash in `outputs.json`; nothing counts before they agree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from humanmade import files
from humanmade import recipe as recipes
from humanmade.errors import Interrupted, KaggleError, UserError
from humanmade.kaggle import LONGEST_HOURS, STARTUP_HOURS, outputs, whole_run
from humanmade.kaggle.bundle import METADATA
from humanmade.kaggle.client import Client, plain
from humanmade.kaggle.outputs import Listing
from humanmade.kaggle.push_request import PushRequest
from humanmade.progress import Waiting
from humanmade.run import KERNEL, RUNS

STATE = RUNS / ".kaggle"
"""What was pushed, and outputs that are being fetched."""
FINAL = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")


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

    def __str__(self) -> str:
        return f"{self.reference} version {self.version}"


@dataclass(frozen=True)
class KernelStatus:
    """What Kaggle says of a kernel at one look."""

    status: str
    failure: str
    listing: Listing | None = None
    """What `outputs.json` says; None where there is none."""
    log: str = ""

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.status in FINAL


def push(client: Client, request: PushRequest, folder: Path) -> Pushed:
    """Push the folder that was built for a request, and note it.

    An attempt whose answer was lost is repeated: the same script with the same run id becomes one more
    version, and the outputs of either are this push's.

    Raises:
        KaggleError: Kaggle refused it, or took it without some of its data.
        UserError: this week's GPU quota does not suffice.
    """
    if files.read_json(folder / METADATA, ("enable_gpu",), "build the kernel again")["enable_gpu"]:
        print(check_quota(client, request.hours), flush=True)
    limit = str(int(min(request.hours + STARTUP_HOURS, LONGEST_HOURS) * 3600))
    what = f"push {request.reference}"
    answer = client.call(what, client.api.kernels_push, str(folder), limit)
    if answer.error:
        raise KaggleError(f"{what}: Kaggle refused it ({plain(answer.error)})")
    kinds = ("dataset_sources", "competition_sources", "kernel_sources", "model_sources", "tags")
    invalid = {kind: getattr(answer, f"invalid_{kind}") for kind in kinds}
    lacking = "; ".join(
        f"{kind.replace('_source', '')} {', '.join(names)}" for kind, names in invalid.items() if names
    )
    if lacking:
        raise KaggleError(
            f"{what}: Kaggle does not know {lacking} and runs version {answer.version_number} without; "
            f"stop it at {answer.url}, and correct what is attached"
        )
    named = "/".join(answer.ref.strip("/").split("/")[-2:]) or request.reference
    if named.lower() != request.reference.lower():
        raise KaggleError(f"{what}: Kaggle calls it {named}; title and id do not agree, rename one of them")
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    names = (request.kernel, request.recipe, request.reference)
    pushed = Pushed(*names, answer.version_number, request.run_id, answer.url, date)
    files.write_json(STATE / f"{pushed.slug}.json", asdict(pushed))
    return pushed


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


def _pushes() -> list[Pushed]:
    """The latest push of each kernel from here."""
    keys = tuple(Pushed.__dataclass_fields__)
    notes = [
        files.read_json(path, keys, "remove it; the kernel itself is on Kaggle")
        for path in sorted(STATE.glob("*.json"))
    ]
    return [Pushed(**{key: note[key] for key in keys}) for note in notes]


def recipes_of(references: Sequence[str]) -> tuple[str, ...]:
    """The recipes that kernels, by `owner/slug`, were pushed with from here, of those that are still here."""
    names = (pushed.recipe for pushed in _pushes() if pushed.reference in references)
    return tuple(name for name in names if name in recipes.shipped() or Path(name).is_file())


def unpulled(request: PushRequest) -> str:
    """That the last push of this kernel was not pulled, whose run a further one makes unreachable, if so."""
    last = next((pushed for pushed in _pushes() if pushed.reference == request.reference), None)
    notes = (files.read_json(path, ("run_id",), f"remove {path}") for path in RUNS.glob(f"*/{KERNEL}"))
    if last is None or request.resume or request.kernel == "blend":
        return ""
    if any(note["run_id"] == last.run_id for note in notes):
        return ""
    return f"version {last.version} of {last.reference} was not pulled; from now on pull fetches this push"


def find(kernel: str, recipe: str = "") -> Pushed:
    """The latest push of a kernel, by its folder's name, its slug or `owner/slug`.

    Raises:
        UserError: nothing of that name was pushed from here.
    """
    pushes = _pushes()
    matches = [
        pushed
        for pushed in pushes
        if kernel in (pushed.kernel, pushed.slug, pushed.reference) and recipe in ("", pushed.recipe)
    ]
    if not matches:
        listed = ", ".join(sorted({f"{pushed.kernel} {pushed.recipe}".strip() for pushed in pushes}))
        raise UserError(f"kernel '{kernel}': not pushed from here; pushed were: {listed or 'none'}")
    return max(matches, key=lambda pushed: pushed.date)


def look(client: Client, pushed: Pushed) -> KernelStatus:
    """Ask for a kernel's status, and once it ended whose outputs it shows."""
    advice = f"is it still there? see {pushed.url}"
    what = f"status of {pushed.reference}"
    answer = client.call(what, client.api.kernels_status, pushed.reference, no=advice)
    seen = KernelStatus(answer.status.name, plain(answer.failure_message or ""))
    if not seen.ended:
        return seen
    links, log = outputs.links(client, pushed.reference)
    link = links.get(outputs.OUTPUTS)
    listing = outputs.listing(client, pushed.reference, link) if link else None
    return KernelStatus(seen.status, seen.failure, listing, _as_text(log))


def state(client: Client, pushed: Pushed) -> str:
    """How a push does, in its last line.

    Raises:
        KaggleError: it failed or was cancelled.
    """
    seen = look(client, pushed)
    what = f"{pushed}, pushed {pushed.date}"
    if not seen.ended:
        return f"{what}: {seen.status}"
    if seen.listing and seen.listing.run_id != pushed.run_id:
        return f"{what}: not started yet; Kaggle still shows the run before, {seen.status}"
    return _completed(what, pushed, seen)


def follow(client: Client, pushed: Pushed) -> str:
    """Wait until this push's run has ended, whatever the run before it left behind.

    Returns:
        What to do next, in its last line.

    Raises:
        KaggleError: it failed, was cancelled, or never started.
        Interrupted: Ctrl-C; the kernel runs on.
    """
    try:
        return _completed(str(pushed), pushed, _ended(client, pushed))
    except KeyboardInterrupt:
        advice = f"the kernel runs on; humanmade status {pushed.kernel} --wait follows it again"
        raise Interrupted(advice) from None


def _ended(client: Client, pushed: Pushed) -> KernelStatus:
    """The session at its end."""
    running, alive = False, 0.0
    for line in Waiting(str(pushed)):
        if line.seconds > 2 * LONGEST_HOURS * 3600:
            break
        seen = look(client, pushed)
        if not seen.ended:
            running, alive = True, line.seconds
        # A run that fails early leaves no id; having been seen running, it is this one.
        ours = seen.listing.run_id == pushed.run_id if seen.listing else running
        before = seen.ended and not ours
        line.show(f"{'the run before: ' * before}{seen.status.lower()}")
        if seen.ended and ours:
            return seen
        if before and line.seconds - alive > client.patience:
            if not seen.listing:
                return seen
            raise KaggleError(
                f"{pushed.reference}: after {client.patience:.0f} s Kaggle still shows another run's "
                f"outputs; look at {pushed.url}"
            )
    raise KaggleError(f"{pushed}: has not ended in {2 * LONGEST_HOURS:g} h; look at {pushed.url}")


def _completed(what: str, pushed: Pushed, seen: KernelStatus) -> str:
    """What a completed kernel said of the whole run, if it was not that itself, and what to do next."""
    judge(pushed, seen)
    next_step = f"{what}: COMPLETE; humanmade pull {pushed.kernel} fetches its run"
    return "\n".join([*whole_run.found(seen.log), next_step])


def judge(pushed: Pushed, seen: KernelStatus) -> None:
    """Raise unless a session completed with outputs of this push.

    Raises:
        KaggleError: with the end of the kernel's log, which is kept in a file.
    """
    listing = seen.listing
    if listing and listing.run_id != pushed.run_id:
        raise KaggleError(f"{pushed}: Kaggle shows another run's {seen.status}; look at {pushed.url}")
    if listing and seen.status == "COMPLETE":
        return
    kept = STATE / f"{pushed.slug}.log"
    files.write_text(kept, seen.log)
    last = plain(next((line for line in reversed(seen.log.splitlines()) if line.strip()), ""))
    reason = seen.failure or last or "no reason given"
    if seen.status == "COMPLETE":
        raise KaggleError(f"{pushed}: ended without {outputs.OUTPUTS} ({reason}); its log is {kept}")
    advice = "; pull fetches the folds that it finished, if any, and push --resume goes on"
    saved = advice if listing else ""
    raise KaggleError(f"{pushed}: {seen.status} ({reason}); its log is {kept}{saved}")


def _as_text(log: str) -> str:
    """A kernel's log as plain text; Kaggle sends a JSON list of pieces."""
    try:
        return "".join(str(piece["data"]) for piece in json.loads(log))
    except (ValueError, KeyError, TypeError):
        return log
