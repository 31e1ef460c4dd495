"""How much of src the tests reach, of what coverage wrote: `python -m tests.covered build/coverage.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST = {"lines": ("percent_statements_covered", 92.0), "branches": ("percent_branches_covered", 85.0)}
"""Of each: its name in the totals, and how many percent there must be."""


def check(report: Path) -> bool:
    """Print both shares; whether they are enough."""
    totals = json.loads(report.read_text())["totals"]
    for what, (name, least) in LEAST.items():
        print(f"{what} of src that the tests reach: {totals[name]:.1f} % (at least {least:.0f} %)")
    return all(totals[name] >= least for name, least in LEAST.values())


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1])))
