"""Folds that cannot leak: pairs, given groups and near-duplicates stay on one side.

Folds depend on the data, their number, `fold_seed` and the kind of split, never on the recipe,
so that runs can be compared and stacked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from humanmade.errors import UserError
from humanmade.images.hashing import chains, near_pairs

Mask = npt.NDArray[np.bool_]

SPLITS = {
    "pairs": "pairs, groups and near-duplicates on one side",
    "source": "sources held out",
}
"""What each kind of split keeps to, in words."""


@dataclass(frozen=True)
class Folds:
    """The folds of a table's train rows, and which of its rows each fold may train on."""

    table: pd.DataFrame
    """`id, fold, group`: one row a train picture; the fold is the first that holds it out."""
    held_out: Mask
    """Folds x train rows: what each fold holds out (by source, a picture may be held out twice)."""
    rows: pd.DataFrame
    """The train rows in the order of `table`, then the extra rows; `group` as in `join_groups`."""
    by_source: bool = False
    """Whether folds hold sources out, so that extra rows of a held-out source may not be trained on."""

    def __len__(self) -> int:
        return len(self.held_out)

    def validation(self, fold: int) -> pd.DataFrame:
        """The rows that a fold holds out."""
        return self.rows[: len(self.table)][self.held_out[fold]]

    def training(self, fold: int) -> pd.DataFrame:
        """The rows that a fold trains on: no group with a held-out picture, extra rows included."""
        held_out = self.validation(fold)
        rows = self.rows[~self.rows["group"].isin(held_out["group"])]
        if self.by_source:
            sources = pd.MultiIndex.from_frame(held_out[["label", "source"]])
            same_source = pd.MultiIndex.from_frame(rows[["label", "source"]]).isin(sources)
            rows = rows[~((rows["split"] == "extra") & same_source)]
        assert set(rows["id"]).isdisjoint(held_out["id"])
        assert set(rows["group"]).isdisjoint(held_out["group"])
        return rows


def make(table: pd.DataFrame, count: int, seed: int, split: str) -> Folds:
    """Cut the train rows of a table (with `phash`) into folds.

    Args:
        count: folds of a `pairs` split; a `source` split has as many as it needs.
        split: `pairs` (stratified, grouped) or `source` (a generator and a photo source held out).

    Raises:
        UserError: too few groups or sources.
    """
    train = table[table["split"] == "train"].sort_values("id")
    rows = pd.concat([train, table[table["split"] == "extra"].sort_values("id")], ignore_index=True)
    rows["group"] = join_groups(rows)
    train, by_source = rows[: len(train)], split == "source"
    held_out = hold_sources_out(train) if by_source else _by_group(train, count, seed)
    assert held_out.any(axis=0).all(), "a train row is in no fold"
    table = train[["id"]].assign(fold=held_out.argmax(axis=0), group=train["group"])
    folds = Folds(table, held_out, rows, by_source)
    for fold in range(len(folds)):
        _check_classes(folds, fold, split)
    return folds


def join_groups(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Number the connected sets of rows that share a pair, a group or nearly a pHash."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = [near_pairs(rows["phash"].to_numpy(dtype=np.uint64))]
    for column in ("pair", "group"):
        named = np.flatnonzero(rows[column] != "")
        links.append(named[chains(pd.factorize(rows[column].iloc[named])[0])])
    edges = np.concatenate(links)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(rows), len(rows)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def sources_by_label(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Names of the generators and of the photo sources among labelled rows, sorted."""
    named = rows[rows["source"] != ""]
    generators, photos = (sorted(named.loc[named["label"] == k, "source"].unique()) for k in (1, 0))
    return generators, photos


def hold_sources_out(rows: pd.DataFrame) -> Mask:
    """What each fold holds out (folds x rows): fold k has generator k mod G and photo source k mod P.

    Raises:
        UserError: rows without a source, or fewer than two generators or photo sources.
    """
    unnamed = int((rows["source"] == "").sum())
    generators, photos = sources_by_label(rows)
    if len(generators) < 2 or len(photos) < 2 or unnamed:
        raise UserError(
            f"--split source: the data names {len(generators)} generators and {len(photos)} photo "
            f"sources ({unnamed} rows without one); it needs two of each at least, in the "
            "manifest's column source"
        )
    label, source = rows["label"].to_numpy(), rows["source"].to_numpy()
    return np.stack(
        [
            (label == 1) & (source == generators[k % len(generators)])
            | (label == 0) & (source == photos[k % len(photos)])
            for k in range(max(len(generators), len(photos)))
        ]
    )


def stratified_groups(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], count: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Shuffled folds of whole groups, each with about the same share of each label.

    scikit-learn 1.6, which Kaggle has, shuffles wrongly (one group's labels stand for another's), so
    groups are shuffled here, as later versions do, and every version cuts the same folds.

    Returns:
        Row numbers of each fold's training and held-out rows.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names, codes = np.unique(groups, return_inverse=True)
    place = np.argsort(np.random.RandomState(seed).permutation(len(names)))
    return list(StratifiedGroupKFold(count).split(labels, labels, place[codes]))


def _by_group(rows: pd.DataFrame, count: int, seed: int) -> Mask:
    labels, groups = rows["label"].to_numpy(), rows["group"].to_numpy()
    distinct = len(np.unique(groups))
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if fewest < count:
        raise UserError(
            f"{count} folds need at least {count} groups of each class; found {fewest} "
            f"(of {distinct} groups in all; pairs and near-duplicates count as one): use fewer folds"
        )
    held_out = np.zeros((count, len(groups)), dtype=bool)
    for fold, (_, test) in enumerate(stratified_groups(labels, groups, count, seed)):
        held_out[fold, test] = True
    return held_out


def _check_classes(folds: Folds, fold: int, split: str) -> None:
    for verb, rows in (("trains on", folds.training(fold)), ("holds out", folds.validation(fold))):
        if rows["label"].nunique() < 2:
            raise UserError(
                f"fold {fold} of --split {split} {verb} {len(rows)} pictures, not of both classes; "
                "use fewer folds, or check the columns pair, group and source"
            )
