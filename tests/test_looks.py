"""Looks at labelled sets: counted once each, and what their number says of the best."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanmade import looks
from humanmade.errors import UserError
from humanmade.looks import Look, Seen
from humanmade.run import Run

ROWS = pd.DataFrame({"digest": ["aa", "bb"], "label": [0, 1]})


def scores(auc: float, worse: float | None = None, error: float = 0.02) -> dict[str, float]:
    return {"auc": auc, "worse": auc if worse is None else worse, "worse_error": error}


def made_run(name: str, recipe: str = "lr = 1\n", under: str = "runs") -> Run:
    folder = Path(under) / name
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe)
    (folder / "pictures.csv").write_text("id,digest\na,aa\n")
    (folder / "folds.csv").write_text("id,fold,group\na,0,0\n")
    return Run(folder)


def look_at(run: Run, found: dict[str, float], rows: pd.DataFrame = ROWS) -> Seen:
    seen = looks.record("evaluate", [Path("bench/wild")], rows, run.name, [run], found)
    assert seen
    return seen


def test_the_same_look_is_not_counted_twice():
    one, other = made_run("one"), made_run("other", "lr = 2\n")
    assert look_at(one, scores(0.7)).number == 1 and look_at(other, scores(0.6)).number == 2
    again = look_at(one, scores(0.7 + 1e-12), ROWS[::-1])
    assert (again.number, again.before, len(again.looks)) == (1, True, 2)
    assert look_at(made_run("copy"), scores(0.7)).before, "the recipe counts, not the run's name"
    assert look_at(one, scores(0.71)).number == 3, "more folds are another look"
    assert look_at(other, scores(0.7)).number == 4
    elsewhere = look_at(one, scores(0.7), ROWS.assign(label=[1, 0]))
    assert elsewhere.number == 1 and len(looks.read(looks.RUNS / looks.NAME)) == 5


def test_settings_and_pictures_of_a_run_are_part_of_its_recipe():
    one, same, more = (made_run(name) for name in ("a", "b", "d"))
    other = made_run("c", "lr = 3\n")
    (more.folder / "pictures.csv").write_text("id,digest\na,ab\n")
    hashes = [looks.recipe_sha256([run]) for run in (one, same, other, more)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
    assert looks.recipe_sha256([one, same]) != hashes[0], "a mean over seeds is another look"


def test_looks_are_counted_beside_the_runs(tmp_path: Path):
    assert looks.place(Path("runs/bench/one")) == looks.place(Path("runs/one")) == Path("runs/looks.csv")
    assert looks.place(Path.cwd() / "runs/x") == Path("runs/looks.csv")
    assert looks.place(tmp_path / "other/one") == tmp_path / "other/looks.csv"


def test_looks_at_the_same_moment_are_all_counted():
    runs = [made_run(f"r{number}", f"lr = {number}\n") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        numbers = [*pool.map(lambda run: look_at(run, scores(0.7)).number, runs)]
    assert sorted(numbers) == [*range(1, 17)]
    assert [path.name for path in Path("runs").iterdir() if path.is_file()] == [looks.NAME]


def test_a_damaged_count_is_named_and_one_class_is_no_look():
    look_at(made_run("one"), scores(0.7))
    path = looks.RUNS / looks.NAME
    path.write_text(path.read_text().replace("0.7", "x"))
    with pytest.raises(UserError, match=r"looks\.csv: line 2: damaged \('auc' is 'x'"):
        looks.read(path)
    found = looks.record("evaluate", [Path()], ROWS, "r", [made_run("two")], scores(float("nan")))
    assert found is None


def test_expected_maxima_are_those_of_order_statistics():
    assert looks.expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert looks.expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi))
    assert looks.expected_maximum(3) == pytest.approx(1.5 / np.sqrt(np.pi))
    assert looks.expected_maximum(100) == pytest.approx(2.50759, abs=1e-4)


@given(st.integers(1, 60), st.floats(0.005, 0.05), st.floats(1.05, 4))
def test_optimism_grows_with_looks_and_shrinks_with_true_spread(count: int, error: float, times: float):
    pattern = [0.5 - error, 0.5 + error]
    few, more = (
        looks.optimism(pattern * pairs, [error] * len(pattern * pairs)) for pairs in (count, 3 * count)
    )
    assert 0 < few < more
    wide = [0.5 + 2 * times * (score - 0.5) for score in pattern]
    assert looks.optimism(wide * count, [error] * 2 * count) < few
    assert looks.optimism([0.7], [error]) == 0 == looks.optimism(pattern, [0.0, 0.0])


def test_optimism_is_what_the_best_of_noisy_looks_lacks():
    rng, truly, error = np.random.default_rng(0), 0.03, 0.02
    lacking, said = [], []
    for _ in range(400):
        true = 0.6 + truly * rng.normal(size=20)
        seen = true + error * rng.normal(size=20)
        lacking.append(seen.max() - true[seen.argmax()])
        said.append(looks.optimism(seen.tolist(), [error] * 20))
    assert np.mean(said) == pytest.approx(np.mean(lacking), rel=0.15)


def look(worse: float, error: float = 0.02) -> Look:
    return Look("d", "bench", "bench/wild", "s", "r", "h", 100, worse, worse, error)


def test_an_improvement_within_one_error_is_not_announced():
    known = [look(0.60), look(0.70), look(0.65)]
    for worse, said in (
        (0.715, "not beyond noise better (0.015 +- 0.028)"),
        (0.74, "is beyond noise better (0.040 +- 0.028)"),
        (0.69, "not better (-0.010 +- 0.028)"),
    ):
        text = looks.sentence(Seen([*known, look(worse)], 4, False))
        assert text.startswith("look 4 at this set (bench/wild): best so far 0.700 (look 2); this one is ")
        assert said in text and "The best of 4 is expected to be 0.0" in text
    assert "is expected to be 0.000 better" in looks.sentence(
        Seen([replace(each, error=1e-6) for each in known], 3, False)
    )
    again = looks.sentence(Seen(known, 2, True))
    assert again.startswith(
        "seen before as look 2 of 3 at this set (bench/wild): best of the others 0.650 (look 3)"
    )
    first = looks.sentence(Seen(known[:1], 1, False))
    assert first.startswith("look 1 at this set (bench/wild): 0.600 +- 0.020;")
