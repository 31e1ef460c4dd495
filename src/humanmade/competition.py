"""The competition: its names on Kaggle, its files, its metric and what is submitted; and reading its tables.

Everything that is true of one competition and not of pictures in general is asked of `CURRENT`. For another
competition of the same kind (two classes of pictures, one score a picture) describe it as one more
`Competition` here and let `CURRENT` be it: reading, folds, submission, gate, ledger, demo, download, and the
kernels' inputs follow. A form of submission that is new is added to `humanmade.submission.FORMS`, a metric to
`METRICS` and to what `humanmade.metrics` computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from humanmade.errors import UserError
from humanmade.files import read_csv, refuse_first
from humanmade.progress import warn

if TYPE_CHECKING:
    import pandas as pd

    Pairs = Callable[[Path, pd.DataFrame], pd.Series[str]]

METRICS = {"f1": "F1", "auc": "AUC"}
"""Keys of scores in `scores.json` that a leaderboard may be of, with their names."""
GROUPS = "groups.csv"
"""Beside the tables, `id,group`: pictures that folds must not part."""
MOST_ODD = 0.01
"""Share of the pairs that may carry one label; more means that the table is in another order."""


@dataclass(frozen=True)
class Competition:
    """What is true of one competition."""

    slug: str
    """Its name in Kaggle's addresses."""
    dataset: str
    """`owner/slug` of the dataset that holds the pictures."""
    pictures: tuple[str, str]
    """Folders of the train and of the test pictures; the tables write pictures with their folder."""
    more_pictures: tuple[str, ...] = ()
    """Folders of pictures that lie beside them and are not used."""
    train_table: str = "train.csv"
    test_table: str = "test.csv"
    train_columns: tuple[str, str] = ("file_name", "label")
    """Of the train table: the picture, and 1 for generated or 0 for human-made."""
    test_column: str = "id"
    pairs: Pairs | None = None
    """Names the pair of each train row, given the table and its path; None where there are no pairs."""
    header: tuple[str, str] = ("id", "label")
    """Columns of a submission."""
    form: Literal["labels", "probabilities"] = "labels"
    """What a submission gives of each picture (`humanmade.submission.FORMS`)."""
    metric: Literal["f1", "auc"] = "f1"
    """The leaderboard's."""
    prevalence: float = 0.5
    """Assumed share of generated pictures in the test set."""

    @property
    def tables(self) -> tuple[str, str]:
        """Both tables: train, test."""
        return self.train_table, self.test_table

    @property
    def metric_name(self) -> str:
        """The metric in words."""
        return METRICS[self.metric]

    @property
    def advice(self) -> str:
        """What to do when Kaggle refuses a stranger."""
        address = f"https://www.kaggle.com/competitions/{self.slug}/rules"
        return f"join the competition and accept its rules at {address}, then run this again"


ROW_NUMBERS = ("Unnamed: 0", "")
"""What the unnamed first column of a table may be called."""


def rows_2k(path: Path, table: pd.DataFrame) -> pd.Series[str]:
    """Pairs of rows 2k and 2k + 1 by the table's row number, or by position where it has none.

    Raises:
        UserError: a row number is not one, or a row is missing.
    """
    import pandas as pd

    column = next((name for name in ROW_NUMBERS if name in table.columns), None)
    if column is None:
        numbers = pd.Series(range(len(table)))
        if len(table) % 2:
            raise UserError(
                f"{path}: has no row numbers and {len(table)} rows; pairs are rows 2k and 2k+1, so a row "
                "is missing or too many: restore the original file"
            )
    else:
        numbers = pd.to_numeric(table[column], errors="coerce")
        problem = "row number '{}' is not a whole number or stands twice; the pairs follow from it"
        bad = numbers.isna() | numbers.duplicated() | (numbers % 1 != 0)
        refuse_first(path, bad, f"{problem}, so restore the original file", table[column])
    return (numbers // 2).astype(int).astype(str)


CURRENT = Competition(
    slug="detect-ai-vs-human-generated-images",
    dataset="alessandrasala79/ai-vs-human-generated-dataset",
    pictures=("train_data", "test_data_v2"),
    more_pictures=("test_data",),
    pairs=rows_2k,
)
"""The competition that is being played: Detect AI vs. Human-Generated Images."""


def holds(folder: Path) -> bool:
    """Whether a folder holds the competition's tables."""
    return (folder / CURRENT.train_table).is_file()


def holds_pictures(folder: Path) -> bool:
    """Whether a folder holds the competition's pictures."""
    return any((folder / name).is_dir() for name in CURRENT.pictures)


def read(folder: Path, pictures: Path) -> pd.DataFrame:
    """Rows of the competition with `name, root, label, split, pair, group`, numbered in each table anew.

    Labels found beside the tables are not used: a file with the test's labels is warned of and
    left alone, a label column in the test table is refused.

    Args:
        folder: holds the train table, and the test table and groups.csv if there are any.
        pictures: holds the folders of pictures; often the same.
    """
    import pandas as pd

    for path in sorted(folder.glob("*labels*.csv")):
        warn(f"{path}: ignored; labels of the test set are never used")
    parts = [_read_train(folder / CURRENT.train_table)]
    if (folder / CURRENT.test_table).is_file():
        parts.append(_read_test(folder / CURRENT.test_table))
    rows = pd.concat(parts)
    groups = _read_groups(folder / GROUPS, rows["name"]) if (folder / GROUPS).is_file() else ""
    return rows.assign(root=str(pictures), group=groups)


def _read_train(path: Path) -> pd.DataFrame:
    table = read_csv(path, CURRENT.train_columns)
    rows = table[[*CURRENT.train_columns]].set_axis(["name", "label"], axis=1).assign(split="train", pair="")
    if CURRENT.pairs:
        rows["pair"] = CURRENT.pairs(path, table)
        _unpair_odd(path, rows)
    return rows


def _unpair_odd(path: Path, rows: pd.DataFrame) -> None:
    """Take pairs that carry one label apart, in place, with a warning.

    Raises:
        UserError: more than one of them, and more than `MOST_ODD`: the table's order is not the maker's.
    """
    pairs = rows.groupby("pair", sort=False)["label"].agg(["size", "nunique"])
    odd = pairs.index[(pairs["size"] == 2) & (pairs["nunique"] == 1)]
    if not len(odd):
        return
    lines = [int(line) + 2 for line in rows.index[rows["pair"] == odd[0]]]
    what = (
        f"{path}: lines {lines[0]} and {lines[1]} should be a photo and its generated counterpart but carry "
        "one label"
    )
    if len(odd) > max(1, MOST_ODD * len(pairs)):
        raise UserError(
            f"{what}, and so {len(odd)} of {len(pairs)} pairs; rows 2k and 2k+1 are pairs, so restore the "
            "file's order"
        )
    warn(f"{what}; {len(odd)} of {len(pairs)} pairs are taken apart")
    rows.loc[rows["pair"].isin(odd), "pair"] = ""


def _read_test(path: Path) -> pd.DataFrame:
    table = read_csv(path, (CURRENT.test_column,))
    answers = [name for name in table.columns if "label" in name.lower() or "target" in name.lower()]
    if answers:
        raise UserError(
            f"{path}: column '{answers[0]}' would give the test labels away; remove it ({path.name} has "
            f"the one column {CURRENT.test_column})"
        )
    return table[[CURRENT.test_column]].set_axis(["name"], axis=1).assign(label="", split="test", pair="")


def _read_groups(path: Path, names: pd.Series[str]) -> pd.Series[str]:
    table = read_csv(path, ("id", "group"))
    ids = table["id"]
    refuse_first(path, ids.duplicated(), "id '{}' stands twice", ids)
    unknown = f"id '{{}}' is not in {' or '.join(CURRENT.tables)}; ids look like '{names.iloc[0]}'"
    refuse_first(path, ~ids.isin(names), unknown, ids)
    return names.map(table.set_index("id")["group"]).fillna("")
