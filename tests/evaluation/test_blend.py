from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanmade import files, fusion, ledger, submission
from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.evaluation.blend import Blend, read_member
from humanmade.evaluation.worth import in_order, submit
from tests import csvs
from tests.csvs import dialects, names

IDS = ["a", "b", "c", "d"]


def csv_of(path: Path, logits: list[float], ids: list[str] = IDS) -> str:
    files.write_csv(path, pd.DataFrame({"id": ids, "logit": logits}))
    return str(path)


def run_of(folder: Path, test: list[float], oof: list[float], scale: float, folds: list[int]) -> str:
    folder.mkdir()
    recipes.save(recipes.load("probe_lite0"), folder / "recipe.toml")
    ids = [f"t{i}" for i in range(len(oof))]
    labels = [i % 2 for i in range(len(oof))]
    files.write_csv(folder / "folds.csv", pd.DataFrame({"id": ids, "fold": folds, "group": range(len(oof))}))
    files.write_csv(
        folder / "oof.csv", pd.DataFrame({"id": ids, "label": labels, "fold": folds, "logit": oof})
    )
    csv_of(folder / "test.csv", test)
    files.write_json(folder / "scores.json", {"scale": scale, "folds": [], "data": ""})
    return str(folder)


def test_logits_are_divided_by_each_runs_scale_and_not_shifted(tmp_path: Path):
    one = run_of(tmp_path / "one", [2.0, 4.0, -2.0, 0.0], [0, 2, 0, 2], 2.0, [0, 0, 1, 1])
    two = run_of(tmp_path / "two", [30.0, 10.0, 10.0, 10.0], [0, 10, 0, 10], 10.0, [0, 0, 1, 1])
    blended = Blend([read_member(one), read_member(two)], "mean").test
    assert blended.to_dict() == pytest.approx({"a": 2.0, "b": 1.5, "c": 0.0, "d": 0.5})


def test_rows_are_matched_by_id_not_by_position(tmp_path: Path):
    one = read_member(csv_of(tmp_path / "one.csv", [1.0, 2.0, 3.0, 4.0]))
    two = read_member(csv_of(tmp_path / "two.csv", [4.0, 3.0, 2.0, 1.0], IDS[::-1]))
    blended = Blend([one, two], "mean").test
    assert np.allclose(blended, one.test) and blended.index.tolist() == IDS


def test_other_ids_and_other_folds_are_refused(tmp_path: Path):
    one = read_member(csv_of(tmp_path / "one.csv", [1.0, 2.0, 3.0, 4.0]))
    short = read_member(csv_of(tmp_path / "short.csv", [1.0, 2.0, 3.0], IDS[:3]))
    with pytest.raises(UserError, match="lacks 'd'; 1 missing, 0 surplus"):
        Blend([one, short], "mean")
    with pytest.raises(UserError, match="has 'd' besides"):
        Blend([short, one], "mean")
    a = run_of(tmp_path / "a", [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], 1.0, [0, 0, 1, 1])
    b = run_of(tmp_path / "b", [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], 1.0, [0, 1, 0, 1])
    with pytest.raises(UserError, match=r"folds\.csv differs"):
        Blend([read_member(a), read_member(b)], "mean")
    with pytest.raises(UserError, match="given twice"):
        Blend([one, one], "mean")


def test_bad_csvs_are_refused(tmp_path: Path):
    for value in ("high", "inf", "nan", ""):
        (tmp_path / "x.csv").write_text(f"id,logit\na,{value}\n")
        with pytest.raises(UserError, match="line 2: column 'logit' is not a finite number"):
            read_member(str(tmp_path / "x.csv"))
    with pytest.raises(UserError, match="line 3: this id stands there twice"):
        read_member(csv_of(tmp_path / "y.csv", [1.0, 2.0], ["a", "a"]))


def test_the_oof_threshold_comes_with_a_nested_estimate(tmp_path: Path):
    run = run_of(tmp_path / "r", [1.0] * 4, [5.0, 7.0, 5.0, 7.0], 2.0, [0, 0, 1, 1])
    threshold, nested = Blend([read_member(run)], "mean").oof_threshold()
    assert threshold == pytest.approx(3.0) and nested == 1.0
    bare = read_member(csv_of(tmp_path / "x.csv", [1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(UserError, match="is a bare CSV"):
        Blend([bare], "mean").oof_threshold()


def test_test_order_and_missing_logits():
    logits = pd.Series([1.0, 2.0], index=["a", "b"])
    table = pd.DataFrame({"id": ["b", "x", "a"], "name": ["1", "2", "3"], "split": ["test", "train", "test"]})
    ordered = in_order(logits, table)
    assert ordered.tolist() == [2.0, 1.0] and ordered.index.tolist() == ["1", "3"]
    with pytest.raises(UserError, match="1 test ids have no logit, 'x' first"):
        in_order(logits, table.assign(split="test"))
    with pytest.raises(UserError, match="no test rows"):
        in_order(logits, table.assign(split="train"))


def test_weights_are_learned_from_held_out_logits(tmp_path: Path):
    good = run_of(tmp_path / "good", [1.0, 2.0, 3.0, 4.0], [-1, 1, -2, 2], 1.0, [0, 0, 1, 1])
    bad = run_of(tmp_path / "bad", [4.0, 3.0, 2.0, 1.0], [1, -1, 2, -2], 1.0, [0, 0, 1, 1])
    members = [read_member(good), read_member(bad)]
    for method in fusion.LEARNED:
        blend = Blend(members, method)
        assert blend.weights.tolist() == [1.0, 0.0] and blend.fold_score() == 1.0
        assert blend.test.tolist() == [1.0, 2.0, 3.0, 4.0]
    bare = read_member(csv_of(tmp_path / "x.csv", [1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(UserError, match="is a bare CSV"):
        _ = Blend([members[0], bare], "stack").test


def test_a_fold_is_blended_by_weights_that_the_others_taught(tmp_path: Path):
    """Each member is right in one fold and wrong in the other, so who was right before is wrong now."""
    first = run_of(tmp_path / "first", [1.0, 2.0, 3.0, 4.0], [-1, 1, 1, -1], 1.0, [0, 0, 1, 1])
    second = run_of(tmp_path / "second", [1.0, 2.0, 3.0, 4.0], [1, -1, -1, 1], 1.0, [0, 0, 1, 1])
    for method in fusion.LEARNED:
        blend = Blend([read_member(first), read_member(second)], method)
        assert blend.held_out["logit"].tolist() == [1, -1, 1, -1]


def test_labels_are_cut_by_rank_at_a_logit_or_out_of_fold(tmp_path: Path):
    one = run_of(tmp_path / "one", [1.0, 2.0, 3.0, 4.0], [-1, 1, -2, 2], 1.0, [0, 0, 1, 1])

    def cut(prevalence: float | None = None, threshold: float | str | None = None) -> tuple[list[int], str]:
        blend = Blend([read_member(one)], "mean", prevalence)
        labels, lines = submit(blend, blend.test, tmp_path / "s.csv", threshold)
        return labels.tolist(), lines[0].split(" (")[1].removesuffix(")")

    assert cut() == ([0, 0, 1, 1], "the top 50% by rank")
    assert cut(0.25) == ([0, 0, 0, 1], "the top 25% by rank")
    assert cut(None, 1.5) == ([0, 1, 1, 1], "logit above 1.5")
    labels, words = cut(None, "oof")
    assert sum(labels) >= 3 and words.startswith("logit above ") and "nested out-of-fold F1 1.000" in words
    for wrong in ({"prevalence": 50}, {"prevalence": 0.0}, {"threshold": "0.5"}):
        with pytest.raises(UserError, match=r"expected a (share between 0 and 1|logit, or oof)"):
            cut(**wrong)
    with pytest.raises(UserError, match=r"found method 'stacking'; expected one of mean, rank"):
        Blend([read_member(one)], "stacking")


def test_runs_of_one_name_are_not_mistaken_for_one_another(tmp_path: Path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    one, two = (
        run_of(tmp_path / place / "same", [1.0, 2.0, 3.0, 4.0], [-1, 1, -2, 2], 1.0, [0, 0, 1, 1])
        for place in ("here", "there")
    )
    with pytest.raises(UserError, match=r"another run is called same too; rename a folder"):
        Blend([read_member(one), read_member(two)], "mean")
    (tmp_path / "link").symlink_to(one)
    with pytest.raises(UserError, match="given twice"):
        Blend([read_member(one), read_member(str(tmp_path / "link"))], "mean")


def test_a_submission_notes_runs_by_their_own_names(tmp_path: Path):
    names = [
        run_of(tmp_path / name, [1.0, 2.0, 3.0, 4.0], oof, 1.0, [0, 0, 1, 1])
        for name, oof in (("good", [-1, 1, -2, 2]), ("bad", [1, -1, 2, -2]))
    ]
    blend, out = Blend([read_member(name) for name in names], "climb"), tmp_path / "s.csv"
    _, lines = submit(blend, blend.test, out, threshold=2.5)
    assert lines[0] == "weights: good 1.00, bad 0.00"
    assert lines[1] == f"{out}: 4 rows, 2 labelled 1 (logit above 2.5)"
    noted = ledger.origin(out)
    assert noted and noted["runs"] == ["good", "bad"] and noted["threshold"] == "logit above 2.5"
    assert noted["fold_score"] == 1.0


@st.composite
def predictions(draw: st.DrawFn) -> tuple[list[str], list[list[int]]]:
    """Ids that need quotes as often as not, and two members' logits with ties."""
    ids = draw(st.lists(names, min_size=2, max_size=8, unique=True))
    logits = st.lists(st.integers(-3, 3), min_size=len(ids), max_size=len(ids))
    return ids, [draw(logits), draw(logits)]


def test_a_blend_knows_ids_and_logits_and_nothing_of_how_they_were_written(tmp_path: Path):
    reached = Counter[str]()

    @settings(max_examples=60)
    @given(predictions(), st.tuples(dialects, dialects), st.sampled_from([0.1, 0.5, 0.9]), st.randoms())
    def check(drawn, ways: tuple[csvs.Dialect, csvs.Dialect], prevalence: float, random) -> None:
        ids, logits = drawn
        rows = [list(zip(ids, map(float, own), strict=True)) for own in logits]
        members = []
        for name, own, way in zip(("one", "two"), rows, ways, strict=True):
            random.shuffle(own)
            csvs.write(tmp_path / f"{name}.csv", [["id", "logit"], *own], way)
            members.append(read_member(str(tmp_path / f"{name}.csv")))
        scales = [np.std(own) or 1.0 for own in logits]
        expected = np.mean([np.array(own) / scale for own, scale in zip(logits, scales, strict=True)], axis=0)
        blend = Blend(members, "mean")
        blended = blend.test
        assert blended[ids].tolist() == pytest.approx(expected)
        assert blended.index.tolist() == [name for name, _ in rows[0]], "in the first member's order"
        assert Blend(members[::-1], "mean").test[ids].tolist() == pytest.approx(blended[ids].tolist())
        out = tmp_path / "s.csv"
        labels = dict(
            zip(blended.index, submit(replace(blend, prevalence=prevalence), blended, out)[0], strict=True)
        )
        assert submission.check(out, [*blended.index]) == labels
        assert sum(labels.values()) == round(prevalence * len(ids))
        turned = blended.sample(frac=1, random_state=1)
        again = submit(replace(blend, prevalence=prevalence), turned, out)[0]
        assert dict(zip(turned.index, again, strict=True)) == labels, "ties are broken by id, not by row"
        stretched = replace(members[0], test=np.exp(members[0].test))
        ranks = [Blend([first, members[1]], "rank").test for first in (members[0], stretched)]
        assert ranks[0].tolist() == pytest.approx(ranks[1].tolist()), "ranks see the order alone"
        reached["asserted"] += 1
        reached["tied"] += bool(blended.duplicated().any())
        reached["moved"] += rows[0] != list(zip(ids, map(float, logits[0]), strict=True))

    check()
    assert reached["asserted"] >= 60 and min(reached["tied"], reached["moved"]) >= 20, reached
