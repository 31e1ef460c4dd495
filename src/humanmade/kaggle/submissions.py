"""Submissions: sent once, followed until they are scored, kept in the ledger."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from humanmade import files, ledger
from humanmade.data.competition import SLUG
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle.client import Client, PassingError, pauses, plain
from humanmade.ledger import Row
from humanmade.progress import Waiting, warn
from humanmade.run import RUNS, Run
from humanmade.scores import MEAN

PAGE = 100
SMALLEST_PAGE = 20
"""Kaggle may send fewer than asked for; fewer than this is the last page."""
SCORING_SECONDS = 1800.0
"""Longest wait for a score; `scores` asks again later."""
KERNEL_NOTE = "kernel.json"
"""In a pulled run's folder: which kernel made it."""
RULES = (
    f"join the competition and accept its rules at https://www.kaggle.com/competitions/{SLUG}/rules, "
    "then run this again"
)


def refuse_sent(file: Path) -> None:
    """Refuse a submission that the ledger has.

    Raises:
        UserError: naming when it was sent and what it scored.
    """
    digest = ledger.sha256(file)
    for row in ledger.read():
        if row["sha256"] == digest:
            public = f", public score {row['public']}" if row["public"] else ""
            raise UserError(
                f"{file}: was sent on {row['date'] or 'an unknown date'} as {row['file']}{public}; "
                "--again sends it once more"
            )


def send(client: Client, file: Path, message: str) -> Row:
    """Send a checked submission and write it into the ledger.

    Args:
        message: the description on Kaggle; the start of the file's hash is added to it.

    Returns:
        Its row of the ledger.
    """
    row = describe(file) | {"note": message}
    tag = f"[{row['sha256'][:12]}]"
    before = {entry.ref for entry in listed(client)}

    def arrived() -> int:
        found = (entry.ref for entry in latest(client) if entry.ref not in before and _tagged(entry, tag))
        return int(next(found, 0))

    def attempt() -> int:
        # An attempt whose answer was lost may have arrived; a second one would cost a day's submission.
        earlier = arrived()
        if earlier:
            return earlier
        text = f"{message} {tag}".strip()
        answer = client.api.competition_submit(str(file), text, SLUG, quiet=True)
        if answer.message == client.api.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE:
            raise PassingError("the upload failed")
        ref = int(answer.ref or arrived())
        if not ref:
            said = plain(answer.message or "no reason given")
            raise KaggleError(
                f"submit: Kaggle gave no reference ({said}); humanmade scores tells if it arrived"
            )
        return ref

    row["ref"] = str(client.call(f"submit {file}", attempt, no=RULES))
    row["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ledger.record([row])
    return row


def follow(client: Client, row: Row) -> Row:
    """Wait until a submission is scored, and write the score into the ledger.

    Raises:
        KaggleError: Kaggle could not score it; the line says why.
    """
    with Waiting(row["file"]) as line:
        for pause in pauses():
            entries = client.call("score", latest, client, no=RULES)
            entry = next((entry for entry in entries if str(entry.ref) == row["ref"]), None)
            state = entry.status.name if entry else "not listed yet"
            line.show(state.lower())
            if entry and state != "PENDING":
                row = _scored(row, entry)
                ledger.record([row])
                if state == "ERROR":
                    reason = entry.error_description or "no reason given"
                    raise KaggleError(f"{row['file']}: Kaggle could not score it: {reason}")
                break
            if line.seconds > SCORING_SECONDS:
                warn(f"{row['file']}: still not scored; humanmade scores asks again")
                break
            time.sleep(pause)
    return row


def refresh(client: Client) -> list[Row]:
    """Bring the ledger up to date with Kaggle's list; submissions sent elsewhere are added.

    Returns:
        All rows of the ledger.
    """
    known = {row["ref"]: row for row in ledger.read()}
    rows: list[Row] = []
    for entry in reversed(listed(client)):
        row = known.get(str(entry.ref)) or {
            "ref": str(entry.ref),
            "date": f"{entry.date:%Y-%m-%dT%H:%M:%SZ}" if entry.date else "",
            "file": entry.file_name or "",
            "note": entry.description or "",
        }
        rows.append(_scored(row, entry))
    return ledger.record(rows)


def listed(client: Client) -> list[Any]:
    """All submissions that Kaggle has of the team, latest first."""
    found: dict[int, Any] = {}
    page = 1
    while True:
        entries = client.call(
            "submissions",
            client.api.competition_submissions,
            SLUG,
            page_number=page,
            page_size=PAGE,
            no=RULES,
        )
        new = [entry for entry in entries or [] if entry.ref not in found]
        found |= {entry.ref: entry for entry in new}
        if len(new) < SMALLEST_PAGE:
            return list(found.values())
        page += 1


def latest(client: Client) -> list[Any]:
    """The newest submissions, without a retry: for use inside a call that retries."""
    return client.api.competition_submissions(SLUG, page_number=1, page_size=PAGE) or []


def describe(file: Path) -> Row:
    """A ledger row of what is known here of a submission."""
    row = dict.fromkeys(ledger.COLUMNS, "") | {"file": _shown(file), "sha256": ledger.sha256(file)}
    noted = ledger.origin(file)
    if noted is None and (file.parent / "recipe.toml").is_file():
        run = Run(file.parent)
        noted = {"runs": [run.name], "blend": "", "threshold": "by rank", "fold_score": run.scores.f1}
    if noted is None:
        return row
    runs = [Run(RUNS / name) for name in noted["runs"] if (RUNS / name / "recipe.toml").is_file()]
    row |= {key: str(noted[key] or "") for key in ("blend", "threshold")}
    row |= {"runs": " ".join(noted["runs"]), "fold_score": _number(noted["fold_score"])}
    if len(noted["runs"]) == len(runs) == 1:
        scores = runs[0].scores
        row["shifted_score"] = _number(scores.corrupted[MEAN].f1 if scores.corrupted else None)
        row["forecast"] = _number(scores.forecast.f1 if scores.forecast else None)
    kernels = [
        files.read_json(run.folder / KERNEL_NOTE, ("kernel", "version"), "pull the run again")
        for run in runs
        if (run.folder / KERNEL_NOTE).is_file()
    ]
    row["kernel"] = " ".join(str(kernel["kernel"]) for kernel in kernels)
    row["version"] = " ".join(str(kernel["version"]) for kernel in kernels)
    return row


def as_text(rows: list[Row]) -> str:
    """Lay the ledger out for a terminal."""
    import pandas as pd

    columns = ["date", "file", "runs", "fold_score", "shifted_score", "forecast", "public", "private", "note"]
    table = pd.DataFrame(rows, columns=columns)
    shown = table.drop(columns=[name for name in table if not table[name].astype(bool).any()])
    return shown.to_string(index=False)


def _scored(row: Row, entry: Any) -> Row:
    """A row with what Kaggle says of it now."""
    scored = row | {"public": entry.public_score or "", "private": entry.private_score or ""}
    if entry.status.name == "ERROR" and "ERROR" not in row.get("note", ""):
        reason = entry.error_description or "no reason given"
        scored["note"] = "; ".join(filter(None, (row.get("note", ""), f"ERROR: {reason}")))
    return scored


def _tagged(entry: Any, tag: str) -> bool:
    return tag in (entry.description or "")


def _number(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, int | float) else ""


def _shown(file: Path) -> str:
    """The file below the working folder, else its name: others' machines have other paths."""
    resolved, here = file.resolve(), Path.cwd()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else file.name
