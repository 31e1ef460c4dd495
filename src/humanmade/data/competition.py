"""The competition's own layout: its files, its pairs, its facts.

`train.csv` has the header `,file_name,label` (an unnamed row number); rows 2k and 2k+1 by that
number are one pair, a photo and its generated counterpart. `test.csv` has the one column `id`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from humanmade.errors import UserError
from humanmade.files import read_csv
from humanmade.progress import warn

SLUG = "detect-ai-vs-human-generated-images"
DATASET = "alessandrasala79/ai-vs-human-generated-dataset"
PICTURES = ("train_data", "test_data_v2")
ROW_NUMBERS = ("Unnamed: 0", "")


def holds(folder: Path) -> bool:
    """Whether a folder holds the competition's tables."""
    return (folder / "train.csv").is_file()


def holds_pictures(folder: Path) -> bool:
    """Whether a folder holds the competition's pictures."""
    return any((folder / name).is_dir() for name in PICTURES)


def read(folder: Path, pictures: Path) -> pd.DataFrame:
    """Rows of the competition with `name, path, label, split, source, repo, pair, group`.

    Labels found beside the tables are not used: a file with the test's labels is warned of and
    left alone, a label column in test.csv is refused.

    Args:
        folder: holds train.csv, and test.csv and groups.csv if there are any.
        pictures: holds the folders of pictures; often the same.
    """
    for path in sorted(folder.glob("*labels*.csv")):
        warn(f"{path}: ignored; labels of the test set are never used")
    parts = [_read_train(folder / "train.csv")]
    if (folder / "test.csv").is_file():
        parts.append(_read_test(folder / "test.csv"))
    rows = pd.concat(parts, ignore_index=True)
    rows["root"] = str(pictures)
    rows["group"] = _read_groups(folder / "groups.csv", rows["name"])
    return rows.assign(source="", repo="")


def _read_train(path: Path) -> pd.DataFrame:
    table = read_csv(path, ("file_name", "label"))
    number = next((name for name in ROW_NUMBERS if name in table.columns), None)
    if number is None:
        numbers = pd.Series(range(len(table)))
        if len(table) % 2:
            raise UserError(
                f"{path}: has no row numbers and {len(table)} rows; pairs are rows 2k and 2k+1, so a row "
                "is missing or too many: restore the original file"
            )
    else:
        numbers = pd.to_numeric(table[number], errors="coerce")
        bad = numbers.isna() | numbers.duplicated() | (numbers % 1 != 0)
        if bad.any():
            line = int(bad.to_numpy().argmax())
            raise UserError(
                f"{path}: line {line + 2}: row number '{table[number].iloc[line]}' is not a whole "
                "number or stands twice; the pairs follow from it, so restore the original file"
            )
    rows = pd.DataFrame({"name": table["file_name"], "label": table["label"], "split": "train"})
    rows["pair"] = (numbers // 2).astype(int).astype(str)
    _check_pairs(path, rows)
    return rows


def _check_pairs(path: Path, rows: pd.DataFrame) -> None:
    pairs = rows.groupby("pair", sort=False)["label"].agg(["size", "nunique"])
    wrong = pairs.index[(pairs["size"] == 2) & (pairs["nunique"] == 1)]
    if len(wrong):
        lines = [int(line) + 2 for line in rows.index[rows["pair"] == wrong[0]]]
        raise UserError(
            f"{path}: lines {lines[0]} and {lines[1]} should be a photo and its generated "
            "counterpart but carry one label; rows 2k and 2k+1 are pairs, so restore the file's order"
        )


def _read_test(path: Path) -> pd.DataFrame:
    table = read_csv(path, ("id",))
    extra = [name for name in table.columns if "label" in name.lower() or "target" in name.lower()]
    if extra:
        raise UserError(
            f"{path}: column '{extra[0]}' would give the test labels away; remove it (test.csv has "
            "the one column id)"
        )
    return pd.DataFrame({"name": table["id"], "label": "", "split": "test", "pair": ""})


def _read_groups(path: Path, names: pd.Series[str]) -> pd.Series[str]:
    if not path.is_file():
        return pd.Series("", index=names.index)
    table = read_csv(path, ("id", "group"))
    twice = table["id"].duplicated()
    if twice.any():
        line = int(twice.to_numpy().argmax())
        raise UserError(f"{path}: line {line + 2}: id '{table['id'].iloc[line]}' stands twice")
    unknown = ~table["id"].isin(names)
    if unknown.any():
        line = int(unknown.to_numpy().argmax())
        raise UserError(
            f"{path}: line {line + 2}: id '{table['id'].iloc[line]}' is not in train.csv or test.csv; "
            f"ids look like '{names.iloc[0]}'"
        )
    return names.map(table.set_index("id")["group"]).fillna("")
