from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from humanmade.data import folds
from humanmade.errors import UserError


def table_of(rows: list[dict[str, object]]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    defaults = {"split": "train", "pair": "", "group": "", "source": ""}
    filled = [defaults | {"id": f"r{i:04}"} | row for i, row in enumerate(rows)]
    table = pd.DataFrame(filled)
    if "phash" not in table:
        table["phash"] = rng.integers(0, 2**63, len(table)).astype(np.uint64)
    return table


def paired(count: int, **columns: object) -> pd.DataFrame:
    rows = [{"label": label, "pair": f"p{i}"} for i in range(count) for label in (0, 1)]
    return table_of(rows).assign(**columns)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Train rows in any order: most are in pairs of two, some in groups of a few, few look alike."""
    count = draw(st.integers(24, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = rng.permutation([f"p{i // 2}" if i // 2 % 4 else "" for i in range(count)])
    group = [f"g{i}" if i < count // 8 else "" for i in rng.integers(0, count, count)]
    scene = np.where(rng.random(count) < 0.1, rng.integers(0, count, count), np.arange(count))
    # Hashes of one scene lie two bits apart at most, those of different scenes far.
    phash = np.random.default_rng(5).integers(0, 2**63, count).astype(np.uint64)[scene]
    phash ^= np.uint64(1) << rng.integers(0, 2, count).astype(np.uint64)
    rows = table_of([{"label": int(label)} for label in rng.integers(0, 2, count)])
    return rows.assign(pair=pair, group=group, given=group, scene=scene, phash=phash)


LINKS = ("pair", "given", "scene")
"""Columns whose values may not cross; `given` are the groups of the table, which the folds number anew."""


def test_no_pair_group_or_near_duplicate_crosses():
    reached = Counter[str]()

    @settings(max_examples=60)
    @given(tables(), st.integers(0, 3))
    def check(table: pd.DataFrame, seed: int) -> None:
        reached["examples"] += 1
        try:
            made = folds.make(table, 3, seed, "pairs")
        except UserError:
            assume(False)  # too few groups of a class
        reached["asserted"] += 1
        reached.update(name for name in LINKS if table.loc[table[name] != "", name].duplicated().any())
        assert made.held_out.sum(axis=0).tolist() == [1] * len(table), "each row is held out once"
        for fold in range(3):
            train, held_out = made.training(fold), made.validation(fold)
            assert len(train) + len(held_out) == len(table)
            for name in LINKS:
                assert not set(train[name]) & set(held_out[name]) - {""}, name
        shuffled = table.sample(frac=1, random_state=seed)
        assert folds.make(shuffled, 3, seed, "pairs").table.equals(made.table), "row order does not matter"

    check()
    print(dict(reached))
    assert reached["asserted"] >= reached["examples"] / 2
    assert all(reached[name] >= reached["examples"] / 3 for name in LINKS)


def test_folds_are_stratified_and_follow_the_seed():
    table = paired(50)
    made = folds.make(table, 5, 0, "pairs")
    for k in range(5):
        assert made.validation(k)["label"].value_counts().to_dict() == {0: 10, 1: 10}
    assert made.table.equals(folds.make(table, 5, 0, "pairs").table)
    assert not made.table.equals(folds.make(table, 5, 1, "pairs").table)


def test_too_few_groups_are_refused():
    with pytest.raises(UserError, match="5 folds need at least 5 groups of each class; found 3"):
        folds.make(paired(3), 5, 0, "pairs")


@pytest.mark.parametrize("rare", [0, 1])
def test_the_rarer_class_decides_how_many_folds_there_can_be(rare: int):
    table = table_of([{"label": rare}] * 4 + [{"label": 1 - rare}] * 20)
    assert len(folds.make(table, 4, 0, "pairs")) == 4, "as many groups as folds suffice"
    with pytest.raises(UserError, match=r"5 folds need .* found 4 \(of 24 groups in all"):
        folds.make(table, 5, 0, "pairs")


def test_extra_rows_near_a_held_out_picture_do_not_train():
    table = paired(10)
    copy = table.iloc[[0]].assign(id="extra:copy", pair="", split="extra")
    other = table.iloc[[0]].assign(id="extra:new", pair="", split="extra", phash=np.uint64(12345))
    made = folds.make(pd.concat([table, copy, other]), 5, 0, "pairs")
    home = int(made.table.set_index("id")["fold"][table["id"][0]])
    for k in range(5):
        trained = set(made.training(k)["id"])
        assert "extra:new" in trained
        assert ("extra:copy" in trained) == (k != home)
        assert not made.validation(k)["id"].str.startswith("extra").any()
    assert not made.table["id"].str.startswith("extra").any()


def sourced() -> pd.DataFrame:
    rows = [{"label": 1, "source": f"gen{i % 3}"} for i in range(30)]
    rows += [{"label": 0, "source": f"photo{i % 2}"} for i in range(20)]
    return table_of(rows)


def test_source_folds_hold_out_generator_and_photo_source():
    table = sourced()
    made = folds.make(table, 5, 0, "source")
    assert len(made) == 3
    for k in range(3):
        held, train = made.validation(k), made.training(k)
        assert set(held["source"]) == {f"gen{k}", f"photo{k % 2}"}
        assert not set(train["source"]) & set(held["source"])
        assert len(train) + len(held) == 50
    by_id = made.table.set_index("id")["fold"]
    assert set(by_id[table.loc[table["source"] == "photo0", "id"]]) == {0}, "the first that held it out"


@st.composite
def sourced_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of two to four generators and photo sources, some in pairs and some that look alike."""
    count = draw(st.integers(30, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    generators, photos = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    rows = []
    for number in range(count):
        label = number % 2
        source = f"gen{number // 2 % generators}" if label else f"photo{number // 2 % photos}"
        rows.append(
            {
                "label": label,
                "source": source,
                "pair": f"p{rng.integers(count)}" if rng.random() < 0.3 else "",
            }
        )
    table = table_of(rows)
    alike = rng.random(count) < 0.1
    return table.assign(phash=np.where(alike, table["phash"][rng.integers(0, count, count)], table["phash"]))


def test_source_folds_never_train_on_what_they_hold_out():
    reached = Counter[str]()

    @settings(max_examples=25)
    @given(sourced_tables())
    def check(table: pd.DataFrame) -> None:
        reached["examples"] += 1
        try:
            made = folds.make(table, 2, 0, "source")
        except UserError:
            assume(False)  # groups leave a fold nothing to train on
        generators, photos = folds.sources_by_label(table)
        assert len(made) == max(len(generators), len(photos))
        assert made.held_out.any(axis=0).all(), "each row is held out"
        for fold in range(len(made)):
            train, held_out = made.training(fold), made.validation(fold)
            own = {generators[fold % len(generators)], photos[fold % len(photos)]}
            assert set(held_out["source"]) == own and set(train["source"]).isdisjoint(own)
            assert set(train["pair"]) & set(held_out["pair"]) <= {""}
            assert set(train["phash"]).isdisjoint(held_out["phash"])
        reached["asserted"] += 1
        reached["crossing"] += sum(
            len(made.training(k)) + made.held_out[k].sum() < len(table) for k in range(len(made))
        )

    check()
    assert reached["asserted"] >= reached["examples"] / 2 and reached["crossing"] >= 20, reached


def test_source_folds_leave_no_partner_of_a_held_out_picture_in_training():
    table = sourced()
    # The photo source held out in fold 0 has its counterparts in generator 2, not held out there.
    photos = table.index[table["source"] == "photo0"][:5]
    fakes = table.index[table["source"] == "gen2"][:5]
    for number, (a, b) in enumerate(zip(photos, fakes, strict=True)):
        table.loc[[a, b], "pair"] = f"p{number}"
    made = folds.make(table, 5, 0, "source")
    assert not set(table.loc[fakes, "id"]) & set(made.training(0)["id"])


def test_two_sources_of_each_class_suffice():
    two = sourced()[lambda table: table["source"] != "gen2"].reset_index(drop=True)
    assert len(folds.make(two, 2, 0, "source")) == 2
    unnamed = two.assign(source=two["source"].mask(two.index == 3, ""))
    with pytest.raises(UserError, match=r"names 2 generators and 2 photo sources \(1 rows without one\)"):
        folds.make(unnamed, 2, 0, "source")


@pytest.mark.parametrize("gone", ["gen", "photo"])
def test_source_folds_need_two_of_each(gone: str):
    table = sourced()
    table["source"] = table["source"].str.replace(f"{gone}.", f"{gone}0", regex=True)
    with pytest.raises(UserError, match="needs two of each"):
        folds.make(table, 5, 0, "source")


def test_chains_of_near_duplicates_are_one_group():
    table = paired(6)
    base = 0x0123456789ABCDEF
    table["phash"] = np.array([base ^ ((1 << (3 * i)) - 1) for i in range(12)], dtype=np.uint64)
    assert len(set(folds.join_groups(table.sort_values("id").reset_index(drop=True)))) == 1


def test_every_version_of_scikit_learn_cuts_the_same_folds():
    groups = np.repeat(np.arange(12), [1, 2, 3, 2, 1, 2, 2, 4, 1, 2, 2, 2])
    labels = np.arange(len(groups)) % 3 % 2
    held_out = [np.unique(groups[test]).tolist() for _, test in folds.stratified_groups(labels, groups, 3, 7)]
    assert held_out == [[0, 7, 9, 10], [5, 6, 8, 11], [1, 2, 3, 4]]


def test_extra_rows_of_a_held_out_source_do_not_train():
    table = sourced()
    extra = table.assign(id="x" + table["id"], split="extra", phash=table["phash"] ^ np.uint64(2**60 - 1))
    cut = folds.make(pd.concat([table, extra], ignore_index=True), 2, 0, "source")
    for fold in range(len(cut)):
        held_out, train = cut.validation(fold), cut.training(fold)
        assert (train["split"] == "extra").any(), "others stay"
        gone = set(zip(held_out["label"], held_out["source"], strict=True))
        assert gone.isdisjoint(zip(train["label"], train["source"], strict=True))
