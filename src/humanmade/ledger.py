"""The ledger of submissions: what was sent, what made it, what it scored.

`submissions/ledger.csv` is kept in git and written by several people. Git joins both sides' lines
(`merge=union` in `.gitattributes`), so a merge may repeat the header and leave two versions of a row;
reading takes both, and the rows of one submission become one: what is empty in one comes from the other.
A column is named in `COLUMNS` and filled in by `describe`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from humanmade import competition, files, run
from humanmade.errors import UserError
from humanmade.run import RUNS, Run
from humanmade.scores import MEAN, Scores, parse

LEDGER = Path("submissions/ledger.csv")
COLUMNS = (
    "file",
    "sha256",
    "runs",
    "blend",
    "threshold",
    "fold_score",
    "shifted_score",
    "forecast",
    "kernel",
    "version",
    "ref",
    "date",
    "public",
    "private",
    "note",
    "data",
)
HIDDEN = ("sha256", "blend", "threshold", "kernel", "version", "ref", "data")
"""Columns that are not printed."""
KEYS = ("ref", "sha256")
ORIGIN = ("runs", "blend", "threshold", "fold_score")
"""What is noted beside a submission when it is made."""

Row = dict[str, str]


def read(path: Path = LEDGER) -> list[Row]:
    """Rows in the order in which they were first written; none if there is no ledger.

    Raises:
        UserError: a line is not of the ledger's columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline="")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not readable ({error})") from None
    rows, columns = [], []
    for line, cells in enumerate(lines, 1):
        if set(KEYS) <= set(cells):
            columns = cells
        elif len(cells) != len(columns) and cells:
            raise UserError(
                f"{path}: line {line}: {len(cells)} values for {len(columns)} columns; repair the line"
            )
        elif cells:
            rows.append(dict(zip(columns, cells, strict=True)))
    return [dict.fromkeys(COLUMNS, "") | row for row in joined(rows)]


def record(new: Iterable[Row], path: Path = LEDGER) -> list[Row]:
    """Add rows, or fill in those of submissions that are there; no row is ever removed.

    Returns:
        All rows.
    """
    rows = joined([*read(path), *new])
    columns = [*COLUMNS, *sorted({key for row in rows for key in row} - set(COLUMNS))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    # A value with a line end would be torn apart by a merge.
    writer.writerows({key: " ".join(value.split()) for key, value in row.items()} for row in rows)
    files.write_text(path, text.getvalue())
    return rows


def joined(rows: Sequence[Row]) -> list[Row]:
    """Make the rows of one submission one row; of two values the later one counts.

    Rows belong together by `ref`; a row without one by `sha256`.
    """
    kept: list[Row] = []
    for row in rows:
        match = next((old for old in kept if _same(old, row)), None)
        if match is None:
            kept.append(dict(row))
        else:
            match.update({key: value for key, value in row.items() if value})
    return kept


def _same(old: Row, new: Row) -> bool:
    refs = old.get("ref", ""), new.get("ref", "")
    if all(refs):
        return refs[0] == refs[1]
    return bool(new.get("sha256")) and old.get("sha256") == new.get("sha256")


def is_of(row: Row, key: str) -> bool:
    """Whether a submission was made of one run alone, or is one blend's: by the run's name or its hash."""
    return key in (row.get("runs"), row.get("sha256"))


def of_data(rows: Sequence[Row], data: str) -> list[Row]:
    """The submissions of runs that were trained on the data of this fingerprint."""
    return [
        row for row in rows if (row.get("data") or _data([*_runs_here(row.get("runs", "").split())])) == data
    ]


def _runs_here(names: Iterable[str]) -> Iterator[Run]:
    return (Run(RUNS / name) for name in names if (RUNS / name / run.RECIPE).is_file())


def _data(runs: Sequence[Run]) -> str:
    """Fingerprint of the data that all runs were trained on; empty where they differ or there are none."""
    fingerprints = {made.scores.data for made in runs}
    return fingerprints.pop() if len(fingerprints) == 1 else ""


def leaderboard(key: str, rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """Public and private score of the latest scored submission of this run alone, or of this blend."""
    scored = [row for row in rows if is_of(row, key) and score(row, "public") is not None]
    return (score(scored[-1], "public"), score(scored[-1], "private")) if scored else (None, None)


def foretold(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """The score that was forecast and the public one, of every submission that has both."""
    pairs = [(score(row, "forecast"), score(row, "public")) for row in rows]
    return [(forecast, public) for forecast, public in pairs if forecast is not None and public is not None]


def score(row: Row, column: str) -> float | None:
    """A score of a row as a number; None where there is none."""
    try:
        value = float(row.get(column, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def note_origin(
    submission: Path,
    runs: Sequence[str],
    blend: str,
    threshold: str,
    fold_score: float | None,
    scores: Scores | None = None,
    held_out: Mapping[str, str] | None = None,
) -> None:
    """Leave `<submission>.json` beside a submission: what the ledger will say of it.

    Args:
        scores: of a blend's held-out rows, by which it is compared with runs.
        held_out: a fingerprint of each run's held-out logits, by which it shows whether they changed since.
    """
    origin = dict(zip(ORIGIN, (list(runs), blend, threshold, fold_score), strict=True))
    noted = {"sha256": files.sha256(submission)} | origin
    scored = {"scores": scores.to_json(), "held_out": dict(held_out or {})} if scores else {}
    files.write_json(origin_file(submission), noted | scored)


def origin(submission: Path) -> dict[str, Any] | None:
    """What `note_origin` noted of these very bytes, or of a file that is gone; None if nothing."""
    note = origin_file(submission)
    if not note.is_file():
        return None
    noted = files.read_json(note, ("sha256", *ORIGIN), "remove it")
    return noted if not submission.is_file() or noted["sha256"] == files.sha256(submission) else None


def blend_scores(noted: Mapping[str, Any]) -> Scores | None:
    """The scores that the origin of a blend holds; None where it could not be scored."""
    if "scores" not in noted:
        return None
    scores: Scores = parse(Scores, noted["scores"], "a blend's origin", "make the blend again")
    return scores


def origin_file(submission: Path) -> Path:
    """Where the origin of a submission is noted."""
    return submission.with_name(submission.name + ".json")


def describe(submission: Path) -> Row:
    """A row with what is known here of a submission: what made it, and what was foreseen of it."""
    row = dict.fromkeys(COLUMNS, "") | {"file": _shown(submission), "sha256": files.sha256(submission)}
    noted = origin(submission) or _of_a_run(submission.parent)
    if noted is None:
        return row
    runs = runs_of(submission)
    row |= {key: str(noted[key] or "") for key in ("blend", "threshold")}
    row |= {"runs": " ".join(noted["runs"]), "fold_score": _number(noted["fold_score"]), "data": _data(runs)}
    alone = runs[0].scores if len(noted["runs"]) == len(runs) == 1 else None
    if scores := alone or blend_scores(noted):
        metric = competition.CURRENT.metric
        row["shifted_score"] = _number(getattr(scores.corrupted.get(MEAN), metric, None))
        row["forecast"] = _number(getattr(scores.forecast, metric, None))
    kernels = [
        files.read_json(made.folder / run.KERNEL, ("kernel", "version"), "pull the run again")
        for made in runs
        if (made.folder / run.KERNEL).is_file()
    ]
    return row | {key: " ".join(str(kernel[key]) for kernel in kernels) for key in ("kernel", "version")}


def runs_of(submission: Path) -> list[Run]:
    """The runs that made a submission and are here; none where that is not known."""
    noted = origin(submission) if submission.is_file() else None
    if noted is None and (submission.parent / run.RECIPE).is_file():
        return [Run(submission.parent)]
    return [*_runs_here(noted["runs"])] if noted else []


def _of_a_run(folder: Path) -> dict[str, Any] | None:
    """The origin of the submission that a run wrote itself; None where the folder is not a run's."""
    if not (folder / run.RECIPE).is_file():
        return None
    made = Run(folder)
    cut = "by rank" if competition.CURRENT.form == "labels" else ""
    score = getattr(made.scores, competition.CURRENT.metric)
    return dict(zip(ORIGIN, ([made.name], "", cut, score), strict=True))


def _number(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, int | float) else ""


def _shown(file: Path) -> str:
    """The file below the working folder, else its name: others' machines have other paths."""
    resolved, here = file.resolve(), Path.cwd()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else file.name
