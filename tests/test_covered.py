import json
from pathlib import Path

import pytest

from tests.covered import check


@pytest.mark.parametrize(
    ("lines", "branches", "enough"), [(92, 85, True), (91.9, 99, False), (99, 84.9, False)]
)
def test_both_shares_must_be_enough(tmp_path: Path, capsys, lines: float, branches: float, enough: bool):
    report = tmp_path / "coverage.json"
    totals = {"percent_statements_covered": lines, "percent_branches_covered": branches}
    report.write_text(json.dumps({"totals": totals}))
    assert check(report) is enough
    assert f"lines of src that the tests reach: {lines:.1f} % (at least 92 %)" in capsys.readouterr().out
