"""The table of pictures: folders in, one validated data frame out.

Columns of the table, one row a picture:

- `id`: unique; the path as the folder's own table writes it, prefixed with the folder's name when
  several folders are joined.
- `name`: the id within its own folder, which is what a submission wants.
- `path`: where the file is.
- `label`: 1 generated, 0 human-made, -1 unknown.
- `split`: train, test, or extra (joins the training part of every fold).
- `source` (generator or photo source), `repo` (collection or pipeline a picture came through), `pair`,
  `group`: text, empty where unknown.

A folder is in the competition's layout, or has a manifest.csv, or has no table (`humanmade.data.folders`):
class folders, or plain pictures, which are test rows without labels. The paths of a manifest are relative to
its folder and never leave it; where it has a column `root` (an absolute folder), that row's path is relative
to it, or absolute and inside it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from humanmade import competition
from humanmade.data import folders as tableless
from humanmade.errors import UserError
from humanmade.files import read_csv
from humanmade.progress import warn
from humanmade.seeding import stable_seed

MANIFEST = "manifest.csv"
COLUMNS = ["id", "name", "path", "label", "split", "source", "repo", "pair", "group"]
_TEXTS = ("source", "repo", "pair", "group")
_LEAVES = r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\x00"


def load(
    folders: Sequence[Path],
    extra: Sequence[Path] = (),
    limit: int | None = None,
    keep_test_labels: bool = False,
    pictures: bool = True,
) -> pd.DataFrame:
    """Read, join and check data folders.

    Args:
        folders: a folder with the competition's tables and one with its pictures count as one.
        extra: folders whose labelled rows join every training part.
        limit: keep about this many train rows (whole pairs, both classes), extra rows and test rows.
        keep_test_labels: only to evaluate; otherwise labels of test rows are dropped, and said so.
        pictures: whether they must be there; the ids alone can be read without them.

    Raises:
        UserError: anything that would make the table wrong, naming file and line.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit}: expected 1 or more")
    table = _read(folders, pictures)
    if not keep_test_labels:
        table = _hide_test_labels(table)
    if extra:
        # A colon cannot be mistaken for a joined data folder of the same name.
        more = _read(extra, prefix="extra:")
        labelled = (more["split"] == "train") & (more["label"] >= 0)
        if not labelled.any():
            raise UserError(
                f"--extra {extra[0]}: has no labelled train rows; expected a label 0 or 1 a picture"
            )
        if not labelled.all():
            warn(f"--extra: {labelled.sum()} of {len(labelled)} rows are taken, those of train with a label")
        more = more[labelled].assign(split="extra")
        table = pd.concat([table, more], ignore_index=True)
        _check_unique(table, "the joined folders")
    if pictures:
        _check_files(table)
    return table if limit is None else _limit(table, limit)


def check_trainable(table: pd.DataFrame) -> None:
    """Refuse a table from which nothing can be learned: no train rows, or one class only."""
    labels = table.loc[table["split"] == "train", "label"]
    if labels.empty:
        raise UserError("the data has no train rows; cv needs labelled rows with split train")
    counts = labels.value_counts()
    if len(counts) < 2:
        raise UserError(f"all {len(labels)} train rows have label {counts.index[0]}; both 0 and 1 are needed")


def to_predict(folders: Sequence[Path]) -> pd.DataFrame:
    """The rows of folders that one would want predictions of: test rows where there are any, else all.

    A folder without a table is taken as a folder of pictures.
    """
    if len(folders) == 1 and folders[0].is_dir() and not has_table(folders[0]):
        table = complete(tableless.plain(folders[0])).assign(label=-1)
    else:
        table = load(folders)
    test = table[table["split"] == "test"]
    return (table if test.empty else test).reset_index(drop=True).assign(split="test")


def check_test_readable(table: pd.DataFrame) -> None:
    """Refuse a table of whose test pictures not one can be read."""
    broken = table.loc[table["split"] == "test", "broken"]
    if len(broken) and broken.all():
        raise UserError(f"none of the {len(broken)} test pictures can be read; repair them")


def submission_ids(table: pd.DataFrame) -> pd.Series[str]:
    """Test ids as a submission writes them, in order.

    They are the folder's own where all test rows come from one folder, else the joined ids.

    Raises:
        UserError: there are no test rows.
    """
    test = table[table["split"] == "test"]
    if test.empty:
        raise UserError("the data has no test rows, which a submission is made of")
    return test["id"] if test["name"].duplicated().any() else test["name"]


def _match_pictures(folders: Sequence[Path], pictures: bool = True) -> list[tuple[Path, Path]]:
    """Give each folder of tables its folder of pictures: itself, or another one of the list."""
    for folder in folders:
        if not os.path.isdir(folder):  # noqa: PTH112 - pathlib ends in an error at a name too long
            raise UserError(f"--data {folder}: no such folder")
        if not tableless.is_utf8(str(folder)):
            raise UserError(f"--data {str(folder)!r}: its name is not UTF-8; rename it")
    contest = competition.CURRENT
    lacking = [f for f in folders if competition.holds(f) and not competition.holds_pictures(f)]
    bare = [f for f in folders if competition.holds_pictures(f) and f not in lacking]
    if lacking and pictures and len(bare) != 1:
        raise UserError(
            f"{lacking[0]}: holds {contest.train_table} but no {contest.pictures[0]}/; also give the one "
            "folder that holds the pictures, as a second --data"
        )
    tables = [folder for folder in folders if not (lacking and folder in bare)]
    return [(folder, bare[0] if folder in lacking and bare else folder) for folder in tables]


def _read_folder(folder: Path, pictures: Path) -> pd.DataFrame:
    own, contest = (folder / MANIFEST).is_file(), competition.holds(folder)
    train, test = (folder / name for name in competition.CURRENT.tables)
    if own and contest:
        raise UserError(f"{folder}: holds both {MANIFEST} and {train.name}; keep one of them")
    if own:
        sources, rows = [folder / MANIFEST], _read_manifest(folder / MANIFEST)
    elif contest:
        sources, rows = [train, test], competition.read(folder, pictures)
    else:
        sources, rows = [folder], tableless.read(folder)
    if rows.empty:
        raise UserError(f"{sources[0]}: has no rows")
    rows = complete(rows)
    labels = rows["label"].str.strip().map({"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": -1})
    _refuse_first(
        rows,
        rows["relative"].str.contains(_LEAVES, regex=True) | (rows["relative"] == ""),
        sources,
        "path '{relative}' is empty or leaves the folder; expected a path relative to it, without '..'",
    )
    _refuse_first(
        rows,
        labels.isna() | ((labels == -1) & (rows["split"] != "test")),
        sources,
        "column label: found '{label}'; expected 0 (human-made) or 1 (generated)",
    )
    rows["label"] = labels.astype(int)
    _check_unique(rows, " and ".join(map(str, sources)))
    return rows[COLUMNS]


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `name, root, label, split` and what else is known, with all `COLUMNS` and `relative`."""
    rows = rows.assign(**{column: "" for column in _TEXTS if column not in rows})
    relative = rows.get("relative", rows["name"])
    return rows.assign(relative=relative, path=rows["root"] + "/" + relative, id=rows["name"])


def has_table(folder: Path) -> bool:
    """Whether a folder holds a manifest or the competition's tables."""
    return (folder / MANIFEST).is_file() or competition.holds(folder)


def _read_manifest(path: Path) -> pd.DataFrame:
    table = read_csv(path, ("path", "label"))
    known = ["label", "split", "root", *_TEXTS]
    rows = table.reindex(columns=known, fill_value="").assign(relative=table["path"])
    rows["name"] = table.get("id", table["path"])
    rows["split"] = rows["split"].replace("", "train")
    bad = ~rows["split"].isin(["train", "test"])
    _refuse_first(rows, bad, [path], "column split: '{split}'; expected train or test")
    # Paths are relative to a row's root, where it has one, or lie inside it.
    given = rows["root"] != ""
    bad = given & ~rows["root"].str.startswith("/")
    _refuse_first(rows, bad, [path], "column root: '{root}'; expected an absolute folder")
    rows["root"] = rows["root"].str.rstrip("/").where(given, str(path.parent))
    inside = zip(rows["relative"], rows["root"], given, strict=True)
    rows["relative"] = [name.removeprefix(f"{root}/") if its else name for name, root, its in inside]
    return rows


def _refuse_first(rows: pd.DataFrame, bad: pd.Series[bool], sources: Sequence[Path], problem: str) -> None:
    """Refuse the first row that is bad, with its columns in the words of the problem.

    Args:
        sources: the one that the rows stand in, or one of the train and one of the test rows.
    """
    if bad.any():
        row = rows[bad].iloc[0]
        source = sources[-1] if row["split"] == "test" else sources[0]
        line = f"line {rows.index[bad][0] + 2}, " if source.is_file() else ""
        raise UserError(f"{source}: {line}{problem.format_map(row)}")


def _check_unique(rows: pd.DataFrame, where: str) -> None:
    empty, twice = rows["id"] == "", rows["id"].duplicated()
    if empty.any():
        raise UserError(f"{where}: an id is empty; every picture has one")
    if twice.any():
        row = rows[twice].iloc[0]
        raise UserError(f"{where}: id '{row['id']}' ({row['split']}) stands twice; ids are unique")


def _read(folders: Sequence[Path], pictures: bool = True, prefix: str = "") -> pd.DataFrame:
    """Rows of folders; of several, or with a prefix, no name can be mistaken for another folder's."""
    pairs = _match_pictures(folders, pictures)
    if not pairs:
        raise UserError("no data folder given")
    parts = [_read_folder(*pair) for pair in pairs]
    if prefix or len(parts) > 1:
        names = folder_names([folder for folder, _ in pairs])
        parts = [_prefixed(part, prefix + name) for part, name in zip(parts, names, strict=True)]
    return pd.concat(parts, ignore_index=True)


def _prefixed(part: pd.DataFrame, prefix: str) -> pd.DataFrame:
    # A group of the same name in two folders may be one scene: joining too much leaks nothing.
    names = {column: prefix + "/" + part[column] for column in ("id", "pair")}
    return part.assign(**{column: name.where(part[column] != "", "") for column, name in names.items()})


def folder_names(folders: Sequence[Path]) -> list[str]:
    """Name folders by their last part, or by as many as tell them all apart.

    Raises:
        UserError: one is given twice.
    """
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(folder.parts) for folder in resolved) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in resolved]
        if max(Counter(names).values()) == 1:
            return names
    twice = next(folder for number, folder in enumerate(resolved) if folder in resolved[:number])
    raise UserError(f"{twice}: the same folder is given twice; give it once")


def _hide_test_labels(table: pd.DataFrame) -> pd.DataFrame:
    labelled = (table["split"] == "test") & (table["label"] >= 0)
    if labelled.any():
        warn(f"{labelled.sum()} test rows carry labels; they are not looked at (evaluate does)")
    return table.assign(label=table["label"].mask(labelled, -1))


def _check_files(table: pd.DataFrame) -> None:
    missing = [path for path in table["path"] if not tableless.is_file(path)]
    if missing:
        raise UserError(
            f"{missing[0]}: no such file ({len(missing)} of {len(table)} pictures are missing); "
            "check that the pictures lie where the table says"
        )


def _limit(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Take whole pairs in a stable random order until train and extra rows are enough, both classes."""
    unit = table["pair"].mask(table["pair"] == "", table["id"])
    order = unit.map({name: stable_seed("limit", name) for name in unit.unique()})
    ranked = table.assign(unit=unit, order=order).sort_values(["order", "unit"], kind="stable")
    keep = table.index.isin(ranked[ranked["split"] == "test"].head(limit).index)
    for split in ("train", "extra"):
        rows = ranked[ranked["split"] == split]
        units = rows.groupby("unit", sort=False)["label"].agg(["size", "mean"])
        for _, part in units.groupby("mean"):
            share = limit * part["size"].sum() / len(rows)
            before = part["size"].cumsum() - part["size"]
            keep |= unit.isin(part.index[before < share]) & (table["split"] == split)
    return table[keep].reset_index(drop=True)
