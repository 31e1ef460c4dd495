"""The ledger: one row a submission, whoever wrote it and whatever git made of it."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanmade import files, ledger
from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.scores import CorruptedScores, Forecast, Scores

KEPT = Path(__file__).parents[1] / "submissions"


MakeRun = Callable[[str, str], None]


@pytest.fixture
def run_of() -> MakeRun:
    """Make a run of a name that was trained on data of a fingerprint."""

    def make(name: str, data: str) -> None:
        recipes.save(recipes.load("probe_lite0"), Path("runs") / name / "recipe.toml")
        Scores(data).write(Path("runs") / name / "scores.json")

    return make


def row(ref: str, **values: str) -> ledger.Row:
    return {"ref": ref, "sha256": f"hash of {ref}", "file": f"{ref}.csv", **values}


def test_rows_are_added_filled_in_and_never_lost():
    ledger.record([row("1", runs="a"), row("2")])
    ledger.record([row("2", public="0.7"), row("3")])
    rows = ledger.read()
    assert [(r["ref"], r["public"]) for r in rows] == [("1", ""), ("2", "0.7"), ("3", "")]
    ledger.record([row("2", public="")])
    assert ledger.read()[1]["public"] == "0.7"
    header = ledger.LEDGER.read_text().splitlines()[0]
    assert header == ",".join(ledger.COLUMNS)


def test_a_file_sent_twice_has_two_rows_and_one_without_ref_finds_its_own():
    ledger.record([row("1", sha256="same"), row("2", sha256="same")])
    ledger.record([{"sha256": "same", "note": "found"}])
    assert [(r["ref"], r["note"]) for r in ledger.read()] == [("1", "found"), ("2", "")]


def test_a_merge_with_two_headers_and_two_versions_of_a_row_is_read():
    ledger.record([row("1"), row("2", public="0.7", note="with, comma\nand line end")])
    text = ledger.LEDGER.read_text()
    lines = text.splitlines()
    other = lines[2].replace("0.7", "")
    ledger.LEDGER.write_text("\n".join([*lines, lines[0], other, lines[1], "ref,sha256,new", "4,d,x", ""]))
    rows = ledger.read()
    assert [r["ref"] for r in rows] == ["1", "2", "4"]
    assert rows[1]["public"] == "0.7" and rows[1]["note"] == "with, comma and line end"
    assert rows[2]["new"] == "x" and rows[2]["public"] == ""
    ledger.record([])
    assert len(ledger.LEDGER.read_text().splitlines()) == 4 and ledger.read()[2]["new"] == "x"


def test_a_torn_line_is_named():
    ledger.record([row("1")])
    with ledger.LEDGER.open("a") as file:
        file.write("<<<<<<< mine\n")
    with pytest.raises(UserError, match="line 3: 1 values for 16 columns"):
        ledger.read()


def test_a_ledger_that_is_no_table_is_named():
    for damaged in (b"ref,sha256\n" + b"x" * 200_000, b"\xff\xfe"):
        ledger.LEDGER.parent.mkdir(exist_ok=True)
        ledger.LEDGER.write_bytes(damaged)
        with pytest.raises(UserError, match=r"ledger\.csv: not readable"):
            ledger.read()


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_git_merges_two_peoples_ledgers():
    shutil.copytree(KEPT, "submissions", ignore=shutil.ignore_patterns("*.json"))
    git("init", "-q", "-b", "main")
    ledger.record([row("1")])
    git("add", "-A")
    git("commit", "-qm", "first")
    git("checkout", "-qb", "theirs")
    ledger.record([row("1", public="0.6"), row("2", note="theirs")])
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "main")
    ledger.record([row("1", private="0.5"), row("3", note="mine")])
    git("commit", "-qam", "mine")
    git("merge", "-q", "theirs", "-m", "both")
    rows = {r["ref"]: r for r in ledger.read()}
    assert set(rows) == {"1", "2", "3"}
    assert rows["1"]["public"] == "0.6" and rows["1"]["private"] == "0.5"


def test_the_leaderboard_score_of_a_run_is_of_it_alone():
    rows = [
        row("1", runs="a", public="0.6"),
        row("2", runs="a b", public="0.9"),
        row("3", runs="a", public="0.7", private="0.65"),
        row("4", runs="a"),
    ]
    assert ledger.leaderboard("a", rows) == (0.7, 0.65)
    assert ledger.leaderboard("b", rows) == (None, None)


def test_submissions_are_of_the_data_that_their_runs_were_trained_on(run_of: MakeRun):
    run_of("here", "one"), run_of("other", "two")
    rows = [row("1", runs="here"), row("2", runs="here other"), row("3", runs="gone", data="one")]
    rows += [row("4", runs="gone"), row("5", runs="here", data="two")]
    assert [r["ref"] for r in ledger.of_data(rows, "one")] == ["1", "3"]
    assert [r["ref"] for r in ledger.of_data(rows, "two")] == ["5"]
    files.write_text(Path("runs/here/submission.csv"), "id,label\n")
    assert ledger.describe(Path("runs/here/submission.csv"))["data"] == "one"


def test_a_run_elsewhere_is_not_taken_for_the_one_of_its_name_here(run_of: MakeRun, tmp_path: Path):
    run_of("same", "one")
    elsewhere = tmp_path / "elsewhere" / "same"
    shutil.copytree("runs/same", elsewhere)
    Scores("two", forecast=Forecast(0.8, 0.65, 0.6, 0.9)).write(elsewhere / "scores.json")
    files.write_text(elsewhere / "submission.csv", "id,label\n")
    told = ledger.describe(elsewhere / "submission.csv")
    assert (told["data"], told["forecast"]) == ("two", "0.65000")


def test_what_was_foretold_stands_beside_what_came():
    rows = [row("1", forecast="0.6", public="0.7"), row("2", forecast="0.5"), row("3", public="0.9")]
    assert ledger.foretold(rows) == [(0.6, 0.7)] and ledger.foretold([]) == []


def test_a_row_says_which_kernel_made_a_run_and_what_a_blend_foresaw(run_of: MakeRun):
    run_of("here", "one")
    Path("runs/here/submission.csv").write_text("id,label\n")
    assert ledger.describe(Path("runs/here/submission.csv"))["kernel"] == ""
    files.write_json(Path("runs/here/kernel.json"), {"kernel": "me/k", "version": 3})
    told = ledger.describe(Path("runs/here/submission.csv"))
    assert (told["kernel"], told["version"], told["threshold"]) == ("me/k", "3", "by rank")
    Path("s.csv").write_text("id,label\n")
    foreseen = Scores(
        "one", forecast=Forecast(0.7, 0.6, 0.5, 0.9), corrupted={"mean": CorruptedScores(0.8, 0.75)}
    )
    ledger.note_origin(Path("s.csv"), ["here", "gone"], "mean", "by rank", None, foreseen)
    noted = ledger.origin(Path("s.csv"))
    assert noted and ledger.blend_scores(noted) == foreseen
    told = ledger.describe(Path("s.csv"))
    assert (told["forecast"], told["shifted_score"], told["fold_score"]) == ("0.60000", "0.75000", "")
    assert told["runs"] == "here gone" and [run.name for run in ledger.runs_of(Path("s.csv"))] == ["here"]
    ledger.note_origin(Path("s.csv"), ["here"], "", "", 0.5)
    noted = ledger.origin(Path("s.csv"))
    assert noted and ledger.blend_scores(noted) is None
    assert ledger.describe(Path("s.csv"))["forecast"] == "", "that run foresaw nothing"
    Scores("one", forecast=Forecast(0.8, 0.65, 0.6, 0.9)).write(Path("runs/here/scores.json"))
    assert ledger.describe(Path("s.csv"))["forecast"] == "0.65000", "what it foresees is of the run alone"


def test_an_origin_is_of_the_very_bytes():
    Path("s.csv").write_text("id,label\n")
    assert ledger.origin(Path("s.csv")) is None
    ledger.note_origin(Path("s.csv"), ["a"], "mean", "by rank", 0.9)
    noted = ledger.origin(Path("s.csv"))
    assert noted and noted["runs"] == ["a"] and noted["fold_score"] == 0.9
    Path("s.csv").write_text("id,label\nx,1\n")
    assert ledger.origin(Path("s.csv")) is None


VALUES = st.sampled_from(["", "", "0.5", "0.6", "a, b", 'say "x"', "ü 語"])


@st.composite
def known(draw: st.DrawFn, refs: list[str] | None = None) -> list[ledger.Row]:
    """What one person knows: rows of some submissions, each with its own file, some cells empty."""
    chosen = refs or draw(st.lists(st.sampled_from("123"), unique=True, min_size=1))
    return [
        row(ref, **{column: draw(VALUES) for column in ("public", "private", "note", "fold_score")})
        for ref in chosen
    ]


def facts(rows: Iterable[ledger.Row]) -> set[tuple[str, str, str]]:
    """Every cell that says something."""
    return {(r["ref"], key, value) for r in rows for key, value in r.items() if value}


def test_no_merge_of_two_ledgers_loses_a_submission_or_a_score():
    reached, path = Counter[str](), Path("two.csv")

    @settings(max_examples=100)
    @given(known(), known(), known(), st.booleans(), st.randoms())
    def check(base, ours, theirs, mixed: bool, random) -> None:
        texts = []
        for mine in (ours, theirs):
            path.unlink(missing_ok=True)
            ledger.record(base, path)
            ledger.record(mine, path)
            assert ledger.record([], path) == ledger.read(path), "reading and writing again changes nothing"
            texts.append(path.read_text().splitlines(keepends=True))
        # Git's union: the lines of both, those that both have once or, where the sides differ, twice.
        lines = texts[0] + [line for line in texts[1] if mixed or line not in texts[0]]
        if mixed:
            lines = [lines[0], *random.sample(lines[1:], len(lines) - 1)]
        path.write_text("".join(lines))
        rows = ledger.read(path)
        refs = [r["ref"] for r in rows]
        assert sorted(refs) == sorted({r["ref"] for r in (*base, *ours, *theirs)}), "each once"
        told = facts([*base, *ours, *theirs])
        assert facts(rows) <= told | {(r["ref"], c, "") for r in rows for c in r}, "nothing is invented"
        assert {key[:2] for key in facts(rows)} == {key[:2] for key in told}, "no cell becomes empty"
        reached["asserted"] += 1
        reached["shared"] += bool({r["ref"] for r in ours} & {r["ref"] for r in theirs})
        reached["both"] += bool(ours and theirs and base)

    check()
    assert reached["asserted"] >= 100 and min(reached["shared"], reached["both"]) >= 25, reached


def test_a_row_without_a_ref_is_of_the_submission_with_its_hash():
    reached = Counter[str]()

    @given(st.permutations([row("1"), row("2"), {"sha256": "hash of 2", "note": "n"}, {"sha256": "x"}]))
    def check(rows: list[ledger.Row]) -> None:
        joined = ledger.joined(rows)
        assert len(joined) == 3 and ledger.joined(joined) == joined
        assert next(r for r in joined if r.get("ref") == "2")["note"] == "n"
        reached["asserted"] += 1

    check()
    assert reached["asserted"] >= 20
    assert len(ledger.joined([{"note": "a"}, {"note": "b"}])) == 2, "rows that say neither are not one"
