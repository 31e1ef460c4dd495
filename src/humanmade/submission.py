"""Submissions: written one way, and checked by a gate before anything leaves the house.

Header and form are those of `humanmade.competition.CURRENT`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from humanmade import competition
from humanmade.errors import UserError
from humanmade.files import whole_file

MOST_SHOWN = 20
"""Changes that are listed one by one."""


@dataclass(frozen=True)
class Form:
    """What a submission gives of each picture."""

    parse: Callable[[str], float]
    """Reads a cell; a ValueError or KeyError refuses it."""
    expected: str
    rise: str
    fall: str
    summary: str
    """Words with the `total` and the `mean` of all values."""


def _probability(cell: str) -> float:
    value = float(cell)
    if not 0 <= value <= 1:
        raise ValueError
    return value


FORMS = {
    "labels": Form(
        {"0": 0, "1": 1}.__getitem__,
        "0 or 1 (labels, not probabilities or logits)",
        "became 1",
        "became 0",
        "{total:.0f} labelled 1",
    ),
    "probabilities": Form(
        _probability,
        "a probability of 0 to 1 (not a logit)",
        "rose",
        "fell",
        "mean probability {mean:.3f}",
    ),
}


def _form() -> Form:
    return FORMS[competition.CURRENT.form]


def answer(
    ids: Sequence[str], logits: npt.ArrayLike, prevalence: float, threshold: float | None = None
) -> tuple[npt.NDArray[Any], str]:
    """What is submitted for logits, and how it was made, in words.

    Args:
        prevalence: the share of rows, by rank, that is labelled 1.
        threshold: label 1 above this logit instead.

    Raises:
        UserError: a threshold where probabilities are submitted.
    """
    import numpy as np
    from scipy.special import expit

    from humanmade.metrics import labels_at_prevalence

    if competition.CURRENT.form == "probabilities":
        if threshold is not None:
            raise UserError("--threshold: this competition takes probabilities, not labels; leave it out")
        return np.asarray(expit(np.asarray(logits, dtype=np.float64))), "probabilities"
    if threshold is None:
        return labels_at_prevalence(ids, logits, prevalence), f"the top {prevalence:.0%} by rank"
    return (np.asarray(logits) > threshold).astype(int), f"logit above {threshold:g}"


def write(path: Path, ids: Sequence[str], values: npt.ArrayLike) -> None:
    """Write one row an id and check them at once."""
    import numpy as np

    with whole_file(path) as scratch:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(competition.CURRENT.header)
            rows.writerows(zip(ids, np.asarray(values).tolist(), strict=True))
        check(scratch, ids)


def check(path: Path, ids: Sequence[str]) -> dict[str, float]:
    """Let a submission through the gate, or refuse it at its first bad row.

    Args:
        ids: those of the test table, in its order.

    Returns:
        The value of each id.

    Raises:
        UserError: naming the file, the line, what was found and what was expected.
    """
    rows = _rows(path)
    _check_header(path, rows[0] if rows else [])
    values: dict[str, float] = {}
    known, seen = set(ids), Counter[str]()
    table, (id_column, column) = competition.CURRENT.test_table, competition.CURRENT.header
    for line, row in enumerate(rows[1:], 2):
        if len(row) != 2:
            raise UserError(f"{path}: line {line}: {len(row)} values; expected 2, {id_column} and {column}")
        name, cell = row
        seen[name] += 1
        if name not in known:
            raise UserError(f"{path}: line {line}: id '{name}' is not in {table}{_hint(name, ids)}")
        if seen[name] > 1:
            raise UserError(f"{path}: line {line}: id '{name}' stands twice; each test id is given once")
        try:
            values[name] = _form().parse(cell)
        except (ValueError, KeyError):
            raise UserError(f"{path}: line {line}: {column} '{cell}'; expected {_form().expected}") from None
    _check_complete(path, [*values], ids)
    return values


def summary(values: Mapping[str, float]) -> str:
    """What a checked submission holds, in words."""
    total = sum(values.values())
    words = _form().summary.format(total=total, mean=total / max(1, len(values)))
    return f"{len(values)} rows, {words}"


def flips(values: Mapping[str, float], against: Mapping[str, float]) -> list[str]:
    """The ids whose value differs between two checked submissions, in order."""
    return [name for name, value in values.items() if against[name] != value]


def changes(values: Mapping[str, float], against: Mapping[str, float]) -> list[str]:
    """What differs from another checked submission, in lines."""
    form, flipped = _form(), flips(values, against)
    rises = sum(values[name] > against[name] for name in flipped)
    what = f"{len(flipped) or 'no'} {competition.CURRENT.form} differ"
    lines = [f"{what}: {rises} {form.rise}, {len(flipped) - rises} {form.fall}" if flipped else what]
    lines += [f"  {name}: {against[name]} -> {values[name]}" for name in flipped[:MOST_SHOWN]]
    if len(flipped) > MOST_SHOWN:
        lines.append(f"  ... and {len(flipped) - MOST_SHOWN} more")
    return lines


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable CSV ({error})") from None
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV table ({error})") from None


def _check_header(path: Path, header: list[str]) -> None:
    expected = [*competition.CURRENT.header]
    if header and header[0].startswith("\ufeff"):
        raise UserError(f"{path}: starts with a byte-order mark; save it as plain UTF-8")
    if header != expected:
        raise UserError(
            f"{path}: line 1: found header '{','.join(header)}'; expected '{','.join(expected)}'"
            + (" (an index column was written too)" if header[1:] == expected else "")
        )


def _check_complete(path: Path, given: Sequence[str], ids: Sequence[str]) -> None:
    if len(given) < len(ids):
        there = set(given)
        missing = next(name for name in ids if name not in there)
        raise UserError(
            f"{path}: {len(given)} rows for {len(ids)} test ids; the first missing is '{missing}'"
        )
    for line, (name, expected) in enumerate(zip(given, ids, strict=True), 2):
        if name != expected:
            raise UserError(
                f"{path}: line {line}: id '{name}', expected '{expected}'; "
                f"rows stand in {competition.CURRENT.test_table}'s order"
            )


def _hint(name: str, ids: Sequence[str]) -> str:
    """Say what was probably done wrong with an id."""
    ends = {known.rsplit("/", 1)[-1]: known for known in ids}
    right = ends.get(name.replace("\\", "/").rsplit("/", 1)[-1])
    return f"; it is written '{right}' there" if right else f" (ids look like '{ids[0]}')"
