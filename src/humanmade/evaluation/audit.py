"""What gives the label away without a detector: stored facts, duplicates, train against test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from humanmade.data import inventory
from humanmade.data.folds import join_groups
from humanmade.data.loader import read_picture
from humanmade.errors import UserError
from humanmade.evaluation import audit_facts, canaries, distance, sheet
from humanmade.evaluation.sheet import Cell
from humanmade.images.facts import SHOWN
from humanmade.images.hashing import near_pairs
from humanmade.progress import warn
from humanmade.scores import Distance

PER_ROW = 8
"""Near-duplicates side by side on their sheet."""

DRAWN = 24
"""Near-duplicates that are shown."""

LOOSE = "pairs do not share their content, so content can tell the label."


@dataclass(frozen=True)
class Audit:
    """What was found; `verdict` says it in plain words."""

    train: int
    test: int
    by_label: pd.DataFrame
    """`fact, auc, human, generated`: what each fact alone tells of the label in train, and its medians."""
    by_split: pd.DataFrame
    """`fact, auc, train, test`: the same for train against test."""
    stored: dict[str, float]
    """`auc` and `f1` of the label by a classifier on stored facts alone, in folds that keep groups."""
    adversarial: float | None
    """AUC of telling train from test by stored facts; None without test rows."""
    distance: Distance | None
    """How far test is from train by frozen embeddings; None without test rows or without weights."""
    duplicates: pd.DataFrame
    """`first, second, first_split, second_split, same_label`: near-duplicates outside of pairs."""
    pairs: dict[str, float]
    """Of pairs in train: their number, the shares with one size and in adjacent rows, and the median
    Hamming distance of pHashes `inside` pairs and `across` pairs, of 64 bits."""
    canaries: dict[str, float]
    """AUC of the label by each detector that is dumb on purpose, in folds that keep groups."""
    kinds: list[str]
    """Facts by which the test set falls into two kinds while train does not tell labels by them."""

    def first_duplicates(self) -> pd.DataFrame:
        """`DRAWN` duplicates at most, test against train first; `labels` are same, opposite or unknown."""
        across = self.duplicates["first_split"] != self.duplicates["second_split"]
        shown = pd.concat([self.duplicates[across], self.duplicates[~across]]).head(DRAWN)
        labels = shown["same_label"].map({True: "same", False: "opposite"})
        known = (shown[["first_split", "second_split"]] == "train").all(axis=1)
        return shown.assign(labels=labels.where(known, "unknown"))

    @property
    def verdict(self) -> list[str]:
        """What leaks, how badly, and what the kit does about it."""
        return [
            *_about_labels(self),
            *(f"SHORTCUT in train: {alarm}." for alarm in canaries.alarms(self.canaries)),
            *_about_test(self),
            *_about_duplicates(self),
            *_about_pairs(self),
        ]


def audit(table: pd.DataFrame) -> Audit:
    """Audit a table with the inventory's columns. Labels of test rows are not looked at."""
    table = table[~table["broken"] & table["split"].isin(["train", "test"])].reset_index(drop=True)
    facts = audit_facts.numbers(inventory.survey(table["path"].tolist()))
    train, labels = (table["split"] == "train").to_numpy(), table["label"].to_numpy()
    groups = join_groups(table)
    stored = facts.drop(columns=list(SHOWN))
    by_label = audit_facts.alone(facts[train], labels[train], ("human", "generated"))
    return Audit(
        train=int(train.sum()),
        test=int((~train).sum()),
        by_label=by_label,
        by_split=audit_facts.alone(facts, (~train).astype(int), ("train", "test")),
        stored=audit_facts.classified(stored[train], labels[train], groups[train]) or {},
        adversarial=(audit_facts.classified(stored, (~train).astype(int), groups) or {}).get("auc"),
        distance=_distance(table[train], table[~train]),
        duplicates=_duplicates(table),
        pairs=_pairs(table[train], facts[train]),
        canaries=canaries.of_groups(table[train], groups[train]),
        kinds=audit_facts.kinds(facts[~train], dict(by_label[["fact", "auc"]].to_numpy())),
    )


def _distance(train: pd.DataFrame, test: pd.DataFrame) -> Distance | None:
    """How far test is from train by the reference network, whatever the order of the rows."""
    try:
        return distance.measure(train.sort_values("id"), test)
    except UserError as error:
        warn(f"train and test are not compared by embeddings: {error}")
        return None


def draw_duplicates(path: Path, found: Audit, table: pd.DataFrame) -> int:
    """Draw `Audit.first_duplicates` one above the other; how many are drawn."""
    paths = table.set_index("id")["path"]
    cells = []
    for pair in found.first_duplicates().to_dict("records"):
        names, opposite = (pair["first"], pair["second"]), pair["labels"] == "opposite"
        lines = [f"{pair['first_split']} / {pair['second_split']}", *names, *["opposite labels"] * opposite]
        pictures = tuple(read_picture(paths[name]) for name in names)
        cells.append(Cell(pictures, "\n".join(lines), opposite))
    if cells:
        sheet.draw(path, [("", cells[k : k + PER_ROW]) for k in range(0, len(cells), PER_ROW)])
    return len(cells)


def _duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Near-duplicates that are not the two pictures of one pair; of several equal ones, a chain."""
    pairs = near_pairs(table["phash"].to_numpy(dtype=np.uint64))
    first, second = (table.iloc[pairs[:, side]].reset_index(drop=True) for side in (0, 1))
    partners = (first["pair"] == second["pair"]) & (first["pair"] != "")
    duplicates = pd.DataFrame({"first": first["id"], "second": second["id"]}).assign(
        first_split=first["split"], second_split=second["split"], same_label=first["label"] == second["label"]
    )
    return duplicates[~partners].reset_index(drop=True)


def _pairs(train: pd.DataFrame, facts: pd.DataFrame) -> dict[str, float]:
    named = train[train["pair"] != ""]
    if named.empty:
        return {}
    sizes = facts.loc[named.index, ["width", "height"]].assign(pair=named["pair"])
    position = pd.Series(np.arange(len(train)), index=train.index)[named.index]
    span = position.groupby(named["pair"]).agg(["min", "max", "size"])
    whole = span.index[span["size"] == 2]
    if whole.empty:
        return {"pairs": 0}
    same = (sizes.groupby("pair").nunique() == 1).all(axis=1)[whole]
    adjacent = (span["max"] - span["min"] == 1)[whole]
    hashes = named[named["pair"].isin(whole)].sort_values("pair")["phash"].to_numpy(dtype=np.uint64)
    first, second = hashes[::2], hashes[1::2]
    return {
        "pairs": len(whole),
        "same_size": float(same.mean()),
        "adjacent": float(adjacent.mean()),
        "inside": float(np.median(np.bitwise_count(first ^ second))),
        "across": float(np.median(np.bitwise_count(first ^ np.roll(second, 1)))),
    }


def _named(facts: pd.DataFrame) -> str:
    """The most telling facts, for a sentence."""
    return ", ".join(f"{fact} (AUC {auc:.2f})" for fact, auc in facts[["fact", "auc"]].head(3).to_numpy())


def _about_labels(result: Audit) -> list[str]:
    clear = result.by_label[result.by_label["auc"] >= audit_facts.TELLING]
    seen = clear["fact"].isin(SHOWN)
    lines = []
    if not seen.all():
        lines.append(f"LEAK in train: {_named(clear[~seen])} tells the label without a pixel.")
    if result.stored:
        lines.append(
            f"All stored facts together reach AUC {result.stored['auc']:.2f}, F1 {result.stored['f1']:.2f} "
            "on train. Detectors here see pixels only, and both classes go through the same crops and codecs."
        )
    if seen.any():
        lines.append(
            f"Bias in train: {_named(clear[seen])} differs between the classes, so a detector may learn it "
            "instead of traces; strong colour and blur augmentation takes it away."
        )
    return lines


def _about_test(result: Audit) -> list[str]:
    if not result.test:
        return ["No test rows: nothing is said about train against test."]
    lines = []
    if result.kinds:
        lines.append(
            f"LEAK in test: the test pictures fall into two kinds by {'; '.join(result.kinds)}, which train "
            "does not. If one kind is the photos, that alone gives the test label away: it scores on this "
            "test set and detects nothing. No detector here sees it."
        )
    if result.distance:
        far, advice = result.distance, "Fold scores should carry over."
        if far.auc >= audit_facts.TELLING:
            advice = "Read the forecast, not the folds."
        lines.append(
            f"By what the pictures show, test is told from train with AUC {far.auc:.2f}; {far.unlike:.0%} of "
            f"test is unlike anything in train (5 % would be usual). {advice}"
        )
    auc = result.adversarial
    if auc is not None and auc < audit_facts.TELLING:
        lines.append(f"Stored facts cannot tell train from test (AUC {auc:.2f}).")
    elif auc is not None:
        lines.append(
            f"Stored facts can tell train from test (AUC {auc:.2f}; most: {_named(result.by_split)}): other "
            "sources, so fold scores are too good."
        )
    return lines


def _about_duplicates(result: Audit) -> list[str]:
    table = result.duplicates
    within = table[(table[["first_split", "second_split"]] == "train").all(axis=1)]
    opposite = int((~within["same_label"]).sum())
    lines = []
    if len(within):
        lines.append(f"{len(within)} near-duplicates within train: folds keep them on one side.")
    if opposite:
        lines.append(f"{opposite} of them carry opposite labels: look at them, they may be unmarked pairs.")
    if known := _near_train(table):
        lines.append(f"{known} test pictures nearly equal one in train: their labels are known beforehand.")
    return lines or ["No near-duplicates outside of pairs."]


def _near_train(duplicates: pd.DataFrame) -> int:
    """How many test pictures hang together with a train picture, by one link or several."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = duplicates[["first", "second"]].to_numpy().ravel()
    splits = duplicates[["first_split", "second_split"]].to_numpy().ravel()
    codes, ids = pd.factorize(ends)
    links = (np.ones(len(duplicates)), (codes[::2], codes[1::2]))
    part = connected_components(coo_array(links, shape=(len(ids), len(ids))), directed=False)[1]
    tested = np.zeros(len(ids), dtype=np.bool_)
    tested[codes] = splits == "test"
    return int((tested & np.isin(part, part[~tested])).sum())


def _about_pairs(result: Audit) -> list[str]:
    pairs = result.pairs
    if not pairs:
        return ["The data names no pairs."]
    if not pairs["pairs"]:
        return [
            "Pairs are named, but none is of two pictures: nothing is said of them. Folds keep them whole."
        ]
    lines = [
        f"{pairs['pairs']:.0f} pairs; {pairs['same_size']:.1%} have one size, "
        f"{pairs['adjacent']:.1%} stand in adjacent rows. Folds and batches keep them whole.",
        f"pHashes differ in {pairs['inside']:.0f} of 64 bits inside pairs, {pairs['across']:.0f} "
        "across: " + ("pairs share their content." if pairs["inside"] < 0.75 * pairs["across"] else LOOSE),
    ]
    if pairs["same_size"] < 0.9:
        lines.append("Pictures of a pair often differ in size: they may not be counterparts.")
    return lines


def as_text(result: Audit) -> str:
    """Lay the audit out: both tables' most telling facts, then the verdict."""
    lines = [f"{result.train} train and {result.test} test pictures"]
    for title, table in (
        ("What each fact alone tells of the label (train):", result.by_label),
        ("What each fact alone tells of train against test:", result.by_split),
    ):
        if len(table):
            shown = table.head(8).to_string(index=False, float_format=lambda value: f"{value:.3f}")
            lines += ["", title, shown]
    if result.canaries:
        lines += ["", *canaries.lines(result.canaries)]
    return "\n".join([*lines, "", "Verdict", *(f"- {line}" for line in result.verdict)])
