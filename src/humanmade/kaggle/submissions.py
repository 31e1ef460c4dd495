"""Submissions: sent once, followed until they are scored, kept in the ledger."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanmade import competition, files, ledger
from humanmade.data import manifest
from humanmade.errors import Interrupted, KaggleError, UserError
from humanmade.kaggle.client import Client, plain
from humanmade.ledger import Row
from humanmade.progress import Waiting, warn

PAGE = 100
SMALLEST_PAGE = 20
"""Kaggle may send fewer than asked for; fewer than this is the last page."""
SCORING_SECONDS = 1800.0
"""Longest wait for a score; `scores` asks again later."""


def test_ids(folders: Sequence[Path]) -> list[str]:
    """Ids of the competition's test rows, which a submission is checked against.

    Raises:
        UserError: the folders hold no test table.
    """
    table = competition.CURRENT.test_table
    if not any((folder / table).is_file() for folder in folders):
        raise UserError(f"{folders[0]}: holds no {table} to check against; humanmade data downloads it")
    return manifest.submission_ids(manifest.load(folders, pictures=False)).tolist()


def refuse_sent(file: Path) -> None:
    """Refuse a submission that the ledger has.

    Raises:
        UserError: naming when it was sent and what it scored.
    """
    digest = files.sha256(file)
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
    row = ledger.describe(file) | {"note": message}
    tag = f"[{row['sha256'][:12]}]"
    before = {entry.ref for entry in listed(client)}

    def arrived() -> int:
        new = (entry for entry in _page(client) if entry.ref not in before)
        return next((int(entry.ref) for entry in new if tag in (entry.description or "")), 0)

    def attempt() -> int:
        # An attempt whose answer was lost may have arrived; a second one would cost a day's submission.
        if earlier := arrived():
            return earlier
        text = f"{message} {tag}".strip()
        answer = client.api.competition_submit(str(file), text, competition.CURRENT.slug, quiet=True)
        ref = int(answer.ref or arrived())
        if not ref:
            reason = plain(answer.message or "no reason given")
            raise KaggleError(
                f"submit: Kaggle gave no reference ({reason}); humanmade scores tells if it arrived"
            )
        return ref

    row["ref"] = str(client.call(f"submit {file}", attempt, no=competition.CURRENT.advice))
    row["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ledger.record([row])
    return row


def follow(client: Client, row: Row) -> Row:
    """Wait until a submission is scored, and write the score into the ledger.

    Raises:
        KaggleError: Kaggle could not score it; the line says why.
        Interrupted: the user waits no longer.
    """
    try:
        entry = _ended(client, row)
    except KeyboardInterrupt:
        raise Interrupted("it is sent; humanmade scores asks for its score") from None
    if entry is None:
        warn(f"{row['file']}: still not scored; humanmade scores asks again")
        return row
    row = _scored(row, entry)
    ledger.record([row])
    if entry.status.name == "ERROR":
        raise KaggleError(f"{row['file']}: Kaggle could not score it: {_reason(entry)}")
    return row


def _ended(client: Client, row: Row) -> Any:
    """What Kaggle says of a submission that it is done with; None where that takes too long."""
    for line in Waiting(row["file"]):
        entries = client.call("score", _page, client, no=competition.CURRENT.advice)
        entry = next((entry for entry in entries if str(entry.ref) == row["ref"]), None)
        state = entry.status.name if entry else "not listed yet"
        line.show(state.lower())
        if entry and state != "PENDING":
            return entry
        if line.seconds > SCORING_SECONDS:
            break
    return None


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
    by_ref: dict[int, Any] = {}
    for number in itertools.count(1):
        entries = client.call("submissions", _page, client, number, no=competition.CURRENT.advice)
        new = [entry for entry in entries if entry.ref not in by_ref]
        by_ref |= {entry.ref: entry for entry in new}
        if len(new) < SMALLEST_PAGE:
            break
    return list(by_ref.values())


def _page(client: Client, number: int = 1) -> list[Any]:
    """A page of submissions, the newest on the first; without a retry: for use inside a call that retries."""
    slug = competition.CURRENT.slug
    return client.api.competition_submissions(slug, page_number=number, page_size=PAGE) or []


def result(row: Row) -> str:
    """What a submission scored, in words."""
    foreseen = f"; out of fold {row['fold_score']}" if row["fold_score"] else ""
    private = row["private"] or "not shown yet"
    return f"public {row['public'] or 'not scored yet'}, private {private}{foreseen}"


def as_text(rows: list[Row]) -> str:
    """Lay the ledger out for a terminal."""
    import pandas as pd

    if not rows:
        return "nothing was submitted yet"
    columns = [name for name in ledger.COLUMNS if name not in ledger.HIDDEN]
    table = pd.DataFrame(rows, columns=columns).fillna("")
    shown = table.drop(columns=[name for name in table if not table[name].astype(bool).any()])
    return shown.map(plain).to_string(index=False)


def _scored(row: Row, entry: Any) -> Row:
    """A row with what Kaggle says of it now."""
    scored = row | {"public": entry.public_score or "", "private": entry.private_score or ""}
    if entry.status.name == "ERROR" and "ERROR" not in row.get("note", ""):
        scored["note"] = "; ".join(filter(None, (row.get("note", ""), f"ERROR: {_reason(entry)}")))
    return scored


def _reason(entry: Any) -> str:
    return plain(entry.error_description or "no reason given")
