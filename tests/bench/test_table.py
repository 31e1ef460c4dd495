import pandas as pd

from humanmade.bench import table as tables


def rows(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    named = {"recipe": [f"r{k}" for k in range(count)], "trained_on": "train", "set": "wild"}
    return pd.DataFrame(named | columns).reindex(columns=tables.columns())


def test_the_protocol_ranks_by_the_mean_over_sets():
    table = rows(
        recipe=["a", "a", "a", "b", "b", "b"],
        set=["wild", "new", "together"] * 2,
        worse=[0.8, 0.4, 0.9, 0.7, 0.6, 0.1],
        looks=[7, 2, None, 7, 2, None],
    )
    table["looks"] = table["looks"].astype("Int64")
    (said,) = tables.standings(table)
    assert said.splitlines()[1:] == [
        "  1. 0.650  b (wild 0.700, new 0.600)",
        "  2. 0.600  a (wild 0.800, new 0.400)",
        "looks behind each set: wild 7, new 2",
    ]
    each = table.assign(trained_on=["train", "other"] * 3)
    assert "(train -> wild 0.800, other -> new 0.400)" in tables.standings(each)[0]
    assert tables.standings(table.assign(worse=float("nan"))) == []


def test_a_document_leaves_empty_columns_out_unless_asked_for():
    table = rows(worse=[0.5, 0.25], looks=[3, None])
    table["looks"] = table["looks"].astype("Int64")
    lines = tables.as_markdown(table).splitlines()
    assert lines[0] == "| recipe | trained_on | set | worse | looks |"
    assert lines[2:] == ["| `r0` | train | wild | 0.500 | 3 |", "| `r1` | train | wild | 0.250 | - |"]
    assert tables.as_markdown(table, ["set", "cross"]).splitlines()[2] == "| wild | - |"
