"""Submissions: written one way, and checked by a gate before anything leaves the house."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from humanmade.errors import UserError
from humanmade.files import whole_file

HEADER = ["id", "label"]
MOST_SHOWN = 20
"""Changed labels that are listed one by one."""


def answer(
    ids: Sequence[str], logits: npt.ArrayLike, prevalence: float, threshold: float | None = None
) -> tuple[npt.NDArray[Any], str]:
    """What is submitted for logits, and how it was made, in words.

    Args:
        prevalence: the share of rows, by rank, that is labelled 1.
        threshold: label 1 above this logit instead.
    """
    import numpy as np

    from humanmade.metrics import labels_at_prevalence

    if threshold is None:
        return labels_at_prevalence(ids, logits, prevalence), f"the top {prevalence:.0%} by rank"
    return (np.asarray(logits) > threshold).astype(int), f"logit above {threshold:g}"


def write(path: Path, ids: Sequence[str], labels: npt.ArrayLike) -> None:
    """Write `id,label` rows and check them at once."""
    import numpy as np

    with whole_file(path) as scratch:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(HEADER)
            rows.writerows(zip(ids, np.asarray(labels).tolist(), strict=True))
        check(scratch, ids)


def check(path: Path, ids: Sequence[str]) -> dict[str, int]:
    """Let a submission through the gate, or refuse it at its first bad row.

    Args:
        ids: those of test.csv, in its order.

    Returns:
        The label of each id.

    Raises:
        UserError: naming the file, the line, what was found and what was expected.
    """
    rows = _rows(path)
    if rows and rows[0] and rows[0][0].startswith("\ufeff"):
        raise UserError(f"{path}: starts with a byte-order mark; save it as plain UTF-8")
    if not rows or rows[0] != HEADER:
        raise UserError(
            f"{path}: line 1: found header '{','.join(rows[0]) if rows else ''}'; expected 'id,label'"
            + (" (an index column was written too)" if rows and rows[0][1:] == HEADER else "")
        )
    known, seen = set(ids), Counter[str]()
    for line, row in enumerate(rows[1:], 2):
        if len(row) != 2:
            raise UserError(f"{path}: line {line}: {len(row)} values; expected 2, id and label")
        name, label = row
        seen[name] += 1
        if name not in known:
            raise UserError(f"{path}: line {line}: id '{name}' is not in test.csv{_hint(name, ids)}")
        if seen[name] > 1:
            raise UserError(f"{path}: line {line}: id '{name}' stands twice; each test id is given once")
        if label not in ("0", "1"):
            raise UserError(
                f"{path}: line {line}: label '{label}'; expected 0 or 1 (labels, not probabilities or logits)"
            )
    _check_complete(path, rows[1:], ids)
    return {name: int(label) for name, label in rows[1:]}


def flips(labels: Mapping[str, int], against: Mapping[str, int]) -> list[str]:
    """The ids whose label differs between two checked submissions, in order."""
    return [name for name, label in labels.items() if against[name] != label]


def summary(labels: Mapping[str, int]) -> str:
    """What a checked submission holds, in words."""
    return f"{len(labels)} rows, {sum(labels.values())} labelled 1"


def changes(labels: Mapping[str, int], against: Mapping[str, int]) -> list[str]:
    """What differs from another checked submission, in lines."""
    flipped = flips(labels, against)
    ones = sum(labels[name] for name in flipped)
    lines = [f"{len(flipped)} labels differ: {ones} became 1, {len(flipped) - ones} became 0"]
    lines += [f"  {name}: {against[name]} -> {labels[name]}" for name in flipped[:MOST_SHOWN]]
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


def _check_complete(path: Path, rows: list[list[str]], ids: Sequence[str]) -> None:
    given = [row[0] for row in rows]
    if len(given) < len(ids):
        present = set(given)
        missing = next(name for name in ids if name not in present)
        raise UserError(
            f"{path}: {len(given)} rows for {len(ids)} test ids; the first missing is '{missing}'"
        )
    for line, (found, expected) in enumerate(zip(given, ids, strict=True), 2):
        if found != expected:
            raise UserError(
                f"{path}: line {line}: id '{found}', expected '{expected}'; rows stand in test.csv's order"
            )


def _hint(name: str, ids: Sequence[str]) -> str:
    """Say what was probably done wrong with an id."""
    ends = {known.rsplit("/", 1)[-1]: known for known in ids}
    right = ends.get(name.replace("\\", "/").rsplit("/", 1)[-1])
    return f"; it is written '{right}' there" if right else f" (ids look like '{ids[0]}')"
