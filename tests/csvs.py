"""CSV files as people's programs write them: what they hold does not depend on it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st


@dataclass(frozen=True)
class Dialect:
    """One program's way."""

    mark: bool
    """Whether a byte-order mark comes first."""
    ends: str
    quoting: int
    last_end: bool
    """Whether the last line ends, too."""


dialects = st.builds(
    Dialect,
    mark=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    last_end=st.booleans(),
)

names = st.lists(
    st.sampled_from(
        [",", '"', ";", "'", " ", "a", "b", "1", "NA", "\u00fc", "\u8a9e", "\U0001f642", "e\u0301"]
    ),
    min_size=1,
    max_size=4,
).map("".join)
"""Names that need quotes, more than one byte, or look like another column."""


def text(rows: Sequence[Sequence[object]], dialect: Dialect) -> bytes:
    """A table's bytes, header first."""
    out = io.StringIO()
    csv.writer(out, quoting=dialect.quoting, lineterminator=dialect.ends).writerows(rows)
    said = out.getvalue() if dialect.last_end else out.getvalue().removesuffix(dialect.ends)
    return ("\ufeff" * dialect.mark + said).encode()


def write(path: Path, rows: Sequence[Sequence[object]], dialect: Dialect) -> None:
    """Write them."""
    path.write_bytes(text(rows, dialect))
