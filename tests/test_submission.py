from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanmade import competition, submission
from humanmade.errors import UserError
from tests import csvs
from tests.csvs import dialects, names

IDS = ["test_data_v2/aa.jpg", "test_data_v2/bb.jpg", "test_data_v2/cc.jpg"]
GOOD = "id,label\ntest_data_v2/aa.jpg,1\ntest_data_v2/bb.jpg,0\ntest_data_v2/cc.jpg,1\n"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        submission.check(path, IDS)
    return str(error.value)


def test_what_is_written_passes(tmp_path: Path):
    path = tmp_path / "s.csv"
    submission.write(path, IDS, [1, 0, 1])
    assert path.read_text() == GOOD
    assert submission.check(path, IDS) == dict(zip(IDS, [1, 0, 1], strict=True))


def test_crlf_passes(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert submission.check(path, IDS)[IDS[0]] == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace("id,label", ",id,label"), "index column"),
        (lambda t: t.replace("id,label\n", ""), "line 1: found header"),
        (
            lambda t: t.replace("test_data_v2/bb", "bb"),
            "line 3: id 'bb.jpg' is not in test.csv; it is written",
        ),
        (
            lambda t: t.replace("test_data_v2/bb", "/kaggle/input/test_data_v2/bb"),
            "it is written 'test_data_v2/bb",
        ),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,0.3"), "line 3: label '0.3'; expected 0 or 1"),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,"), "line 3: label ''"),
        (lambda t: t.replace("bb.jpg,0", "bb.jpg,0,1"), "line 3: 3 values"),
        (lambda t: t.replace("bb.jpg", "aa.jpg"), "line 3: id 'test_data_v2/aa.jpg' stands twice"),
        (lambda t: t.replace("test_data_v2/bb.jpg,0\n", ""), "2 rows for 3 test ids; the first missing is"),
        (lambda t: "\n".join([t.split("\n")[0], *sorted(t.split("\n")[1:4])[::-1]]), "test.csv's order"),
        (lambda t: "", "line 1"),
    ],
)
def test_the_gate_names_what_is_wrong(tmp_path: Path, change, says: str):
    assert says in refused(tmp_path, change(GOOD))


def test_a_submission_that_is_not_text(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="not a readable CSV"):
        submission.check(path, IDS)


def test_a_quote_that_never_ends(tmp_path: Path):
    assert "not a CSV table" in refused(tmp_path, 'id,label\n"a,1\n')


def test_a_byte_order_mark_is_named(tmp_path: Path):
    assert "byte-order mark" in refused(tmp_path, "\ufeff" + GOOD)


def test_a_refused_write_leaves_no_file(tmp_path: Path):
    with pytest.raises(UserError):
        submission.write(tmp_path / "s.csv", IDS, [0, 1, 2])
    assert not (tmp_path / "s.csv").exists()


def test_flips():
    before, after = dict.fromkeys(IDS, 0), dict.fromkeys(IDS, 0) | {IDS[1]: 1}
    assert submission.flips(after, before) == [IDS[1]]


@st.composite
def submissions(draw: st.DrawFn) -> dict[str, float]:
    """Ids that need quotes as often as not, with values of either form."""
    ids = draw(st.lists(names, min_size=2, max_size=8, unique=True))
    values = st.floats(0, 1) if competition.CURRENT.form == "probabilities" else st.integers(0, 1)
    return {name: draw(values) for name in ids}


DAMAGES: dict[str, tuple[Callable[[list[list[object]], int], object], str]] = {
    "lost": (lambda rows, at: rows.pop(at), "{less} rows for {all} test ids; the first missing is"),
    "twice": (lambda rows, at: rows.insert(at + 1, [*rows[at]]), "line {next}: id "),
    "swapped": (lambda rows, at: rows.insert(1, rows.pop(max(2, at))), "line 2: id "),
    "value": (lambda rows, at: rows[at].__setitem__(1, 1.5), "line {line}: {column} '1.5'; expected"),
    "empty": (lambda rows, at: rows[at].__setitem__(1, ""), "line {line}: {column} ''; expected"),
    "unknown": (lambda rows, at: rows[at].__setitem__(0, "\u2603"), "line {line}: id '\u2603' is not in "),
    "wider": (lambda rows, at: rows[at].append(0), "line {line}: 3 values; expected 2"),
    "index": (
        lambda rows, _: [row.insert(0, place) for place, row in enumerate(rows)],
        "line 1: found header",
    ),
    "headless": (lambda rows, _: rows.pop(0), "line 1: found header"),
}


@pytest.mark.parametrize("form", submission.FORMS)
def test_the_gate_lets_through_what_is_whole_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Literal["labels", "probabilities"]
):
    monkeypatch.setattr(competition, "CURRENT", replace(competition.CURRENT, form=form))
    path, reached = tmp_path / "s.csv", Counter[str]()

    @settings(max_examples=30)
    @given(submissions(), dialects, st.data())
    def check(values: dict[str, float], dialect: csvs.Dialect, data: st.DataObject) -> None:
        ids, column = [*values], competition.CURRENT.header[1]
        unmarked = replace(dialect, mark=False)
        submission.write(path, ids, [*values.values()])
        assert submission.check(path, ids) == values
        whole: list[list[object]] = [list(competition.CURRENT.header), *map(list, values.items())]
        csvs.write(path, whole, unmarked)
        assert submission.check(path, ids) == values, "however quoted, and with any line ends"
        assert not submission.flips(values, values)
        at = data.draw(st.integers(1, len(ids)))
        numbers = {"line": at + 1, "next": at + 2, "all": len(ids), "less": len(ids) - 1, "column": column}
        for damage, (change, says) in DAMAGES.items():
            rows = [[*row] for row in whole]
            change(rows, at)
            csvs.write(path, rows, unmarked)
            with pytest.raises(UserError) as error:
                submission.check(path, ids)
            assert says.format(**numbers) in str(error.value) and str(path) in str(error.value), damage
            reached[damage] += 1

    check()
    assert min(reached[damage] for damage in DAMAGES) >= 25, reached


@pytest.mark.parametrize(
    ("form", "cell", "good"),
    [("labels", cell, cell in "01") for cell in ("0", "1", "2", "-1", "1.0", " 1")]
    + [
        ("probabilities", cell, cell in ("0", "1", "1e-3"))
        for cell in ("0", "1", "1e-3", "-0.001", "1.001", "nan", "inf", "x")
    ],
)
def test_each_form_has_its_values(tmp_path: Path, monkeypatch, form: str, cell: str, good: bool):
    monkeypatch.setattr(competition, "CURRENT", replace(competition.CURRENT, form=form))
    text = GOOD.replace("bb.jpg,0", f"bb.jpg,{cell}")
    if good:
        (tmp_path / "s.csv").write_text(text)
        assert submission.check(tmp_path / "s.csv", IDS)[IDS[1]] == float(cell)
    else:
        assert f"line 3: label '{cell}'; expected" in refused(tmp_path, text)


def test_what_is_submitted_is_said(monkeypatch: pytest.MonkeyPatch):
    labels, how = submission.answer(["a", "b", "c", "d"], [0.5, 2.0, 1.0, 1.0], 0.5)
    assert labels.tolist() == [0, 1, 1, 0] and how == "the top 50% by rank"
    labels, how = submission.answer(["a", "b", "c"], [0.5, 2.0, 1.0], 0.5, 1.0)
    assert labels.tolist() == [0, 1, 0] and how == "logit above 1"
    assert submission.summary({"a": 0, "b": 1, "c": 1}) == "3 rows, 2 labelled 1"
    monkeypatch.setattr(competition, "CURRENT", replace(competition.CURRENT, form="probabilities"))
    assert submission.summary({"a": 0.25, "b": 0.5}) == "2 rows, mean probability 0.375"
    assert submission.summary({}) == "0 rows, mean probability 0.000"
    values, how = submission.answer(["a"], [0.0], 0.5)
    assert values.tolist() == [0.5] and how == "probabilities"
    with pytest.raises(UserError, match="--threshold: this competition takes probabilities"):
        submission.answer(["a"], [0.0], 0.5, 0.0)


@pytest.mark.parametrize("count", [19, 20, 21, 30])
def test_the_first_changes_are_listed(count: int):
    before = {f"{number:02}": number % 2 for number in range(count)} | {"same": 1}
    after = {name: 1 - value for name, value in before.items()} | {"same": 1}
    lines = submission.changes(after, before)
    assert lines[0] == f"{count} labels differ: {(count + 1) // 2} became 1, {count // 2} became 0"
    assert submission.changes(after, after) == ["no labels differ"]
    assert lines[1:3] == ["  00: 0 -> 1", "  01: 1 -> 0"]
    assert lines[21:] == ([f"  ... and {count - 20} more"] if count > 20 else [])
    assert len(lines) == 1 + min(count, 20) + (count > 20)


def test_an_unknown_id_is_told_by_its_likeness(tmp_path: Path):
    here = "line 3: id '{}' is not in test.csv"
    text = GOOD.replace("test_data_v2/bb.jpg", "test_data_v2\\bb.jpg")
    assert refused(tmp_path, text).endswith("; it is written 'test_data_v2/bb.jpg' there")
    said = refused(tmp_path, GOOD.replace("test_data_v2/bb.jpg", "zz.jpg"))
    assert said.endswith(f"{here.format('zz.jpg')} (ids look like 'test_data_v2/aa.jpg')")
    swapped = "\n".join(GOOD.split("\n")[place] for place in (0, 1, 3, 2)) + "\n"
    assert "line 3: id 'test_data_v2/cc.jpg', expected 'test_data_v2/bb.jpg'; rows" in refused(
        tmp_path, swapped
    )
