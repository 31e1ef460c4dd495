"""What numbers that say nothing, or are none, come to: each has one outcome, and it is written here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from humanmade import detectors, files, fusion, metrics
from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.data import folds, inventory, manifest
from humanmade.detectors import heads
from humanmade.detectors.base import Logits
from humanmade.detectors.ensemble import Ensemble
from humanmade.errors import UserError
from humanmade.schema import LinearHeadRecipe
from humanmade.sensitivity import sensitivity
from humanmade.training.budget import Budget
from humanmade.training.checkpoint import load_weights, save_weights
from tests.conftest import TINY_PROBE, MakeFolder

NAN, INFINITE = float("nan"), float("inf")
ONE_CLASS = ([1, 1, 1], [0.5, 1.0, 2.0])
CONSTANT = ([0, 1, 1, 0], [3.0, 3.0, 3.0, 3.0])
TIED = ([0, 1, 1], [1.0, 1.0, 2.0])

OUTCOMES: dict[str, tuple[Callable[[], Any], Any]] = {
    "one class, AUC": (lambda: metrics.auc(*ONE_CLASS), NAN),
    "one class, F1": (lambda: metrics.summary(*ONE_CLASS)["f1"], 1.0),
    "one class, balanced accuracy": (lambda: metrics.balanced_accuracy([1, 1], [1, 0]), NAN),
    "one class, found at a false-positive rate": (lambda: metrics.tpr_at_fpr(*ONE_CLASS), NAN),
    "one class, sensitivity": (lambda: sensitivity([[0.0, 1.0], [1.0, 1.0]], [1, 1]), NAN),
    "one class, sources": (lambda: metrics.source_aucs(*ONE_CLASS, ["a", "b", "b"]), {}),
    "one class, repos": (lambda: metrics.inside_aucs(*ONE_CLASS, ["a", "b", "b"]), {}),
    "constant logits, AUC": (lambda: metrics.auc(*CONSTANT), 0.5),
    "constant logits, found at a false-positive rate": (lambda: metrics.tpr_at_fpr(*CONSTANT), 0.0),
    "constant logits, threshold": (lambda: metrics.best_threshold(*CONSTANT), 2.0),
    "constant logits, ranks": (lambda: fusion.rank(np.full((3, 2), 7.0)).tolist(), [0.0, 0.0, 0.0]),
    "constant logits, sensitivity": (lambda: sensitivity([[1.0, 2.0], [1.0, 2.0]], [0, 1]), INFINITE),
    "constant logits, sources apart": (lambda: metrics.offset(*CONSTANT, ["a", "b", "c", "d"]), 0.0),
    "ties, AUC": (lambda: metrics.auc(*TIED), 0.75),
    "ties, labels": (
        lambda: metrics.labels_at_prevalence(["b", "a", "c"], [1, 1, 0], 1 / 3).tolist(),
        [0, 1, 0],
    ),
    "ties, ranks": (lambda: fusion.rank(np.array([[1.0], [1.0], [2.0]]))[0] * 3, -1.0),
    "one picture, AUC": (lambda: metrics.auc([1], [0.3]), NAN),
    "one picture, labels": (lambda: metrics.labels_at_prevalence(["a"], [0.3], 0.6).tolist(), [1]),
    "one picture, rank": (lambda: fusion.rank(np.array([[5.0, -5.0]])).tolist(), [0.0]),
    "one source a class, sources apart": (lambda: metrics.offset(*TIED, ["a", "b", "b"]), 0.0),
    "one source a class, worst": (lambda: metrics.source_aucs(*TIED, ["a", "b", "b"])["worst"], 0.75),
    "no source, worst": (lambda: metrics.source_aucs(*TIED, ["", "", ""]), {}),
    "infinite logits, AUC": (lambda: metrics.auc([0, 1], [0.0, 1e308]), 1.0),
    "huge logits, log loss": (lambda: metrics.logloss([0, 1], [1e4, -1e4]), 1e4),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_numbers_that_say_little_have_one_outcome(name: str):
    work, expected = OUTCOMES[name]
    assert work() == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("method", ["weights", "climb", "stack", "mean"])
def test_members_that_know_nothing_weigh_alike(method: str):
    labels, constant = np.tile([0, 1], 10), np.zeros((20, 2))
    views = {"clean": fusion.View(labels, np.zeros(20, np.int64), constant)}
    weights = fusion.weigh(method, views)
    assert np.isfinite(weights).all() and weights.sum() == pytest.approx(1)


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=20)]))
    return folds.make(table, 3, 0, "pairs").rows


def made(path: Path | str, *changes: str) -> Any:
    return detectors.create(recipes.load(str(path), changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused(rows: pd.DataFrame, tiny_probe: Path, value: float):
    probe = made(tiny_probe)
    probe.extract = lambda pixels: np.full((len(pixels), 3), value, np.float32)
    with pytest.raises(UserError, match="features are not finite, even in fp32; use other weights"):
        probe.prepare(rows, rows, ["identity"], Budget())


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["tiny_network", "vae"])
def test_a_network_whose_numbers_are_none_is_refused(
    rows: pd.DataFrame, tiny_network: Path, tmp_path: Path, name: str, value: float
):
    small = ("image_size=32", "workers=0", "precision=fp32", "epochs=1", "batch_size=8")
    detector = made(tiny_network if name == "tiny_network" else name, *small)
    detector.fit(rows, rows[:0], 0, tmp_path, Budget())
    path = tmp_path / "model.safetensors"
    tensors, facts = load_weights(path)
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.fill_(value)
    save_weights(path, tensors, facts)
    with pytest.raises(UserError, match="not finite"):
        detector.logits(tmp_path, rows[:2], ["identity"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", ""])
def test_logits_in_a_file_that_are_no_numbers_are_refused(tmp_path: Path, value: str):
    path = tmp_path / "test.csv"
    path.write_text(f"id,logit\na,0.5\nb,{value}\n")
    with pytest.raises(UserError, match=r"test\.csv: line 3: column 'logit' is not a finite number"):
        files.read_numbers(path, ("id", "logit"))


def test_a_class_without_groups_enough_is_refused(rows: pd.DataFrame, manifest_folder: MakeFolder):
    lonely = inventory.attach(manifest.load([manifest_folder("lonely", pairs=2)]))
    with pytest.raises(UserError, match="3 folds need at least 3 groups of each class; found 2"):
        folds.make(lonely, 3, 0, "pairs")
    with pytest.raises(UserError, match="only 0 groups to train on"):
        heads.check_groups(np.ones(4, int), np.arange(4), LinearHeadRecipe(detector="probe"))


def test_constant_features_give_the_odds_of_the_classes():
    labels = np.repeat([0, 1], [10, 30])
    head, _ = heads.fit_linear(
        np.full((40, 3), 5, np.float32),
        labels,
        np.arange(40),
        LinearHeadRecipe(detector="probe", shrinkage=[1.0]),
        0,
    )
    logits = heads.linear_logits(head, np.full((2, 3), 5, np.float32))
    assert logits == pytest.approx(np.log(3), abs=1e-3)


def test_one_picture_is_answered_as_in_company(
    rows: pd.DataFrame, tiny_network: Path, tiny_probe: Path, tmp_path: Path
):
    for path in (tiny_network, tiny_probe):
        detector, folder = made(path), tmp_path / path.stem
        detector.fit(rows, rows[:0], 0, folder, Budget())
        whole, alone = (detector.logits(folder, some, ["identity"]) for some in (rows, rows[:1]))
        assert alone.shape == (1, 1) and np.allclose(alone, whole[:1], rtol=0, atol=1e-6)


def test_an_ensemble_bears_a_member_of_constant_logits(rows: pd.DataFrame, tmp_path: Path, monkeypatch):
    (tmp_path / "one.toml").write_text(TINY_PROBE)
    (tmp_path / "two.toml").write_text(TINY_PROBE)
    both = tmp_path / "both.toml"
    both.write_text(
        f'detector = "ensemble"\nmembers = ["{tmp_path}/one.toml", "{tmp_path}/two.toml"]\nfolds = 3\n'
    )
    ensemble: Ensemble = made(both)

    def constant(folder: Path, shown: pd.DataFrame, views: list[str]) -> Logits:
        return np.ones((len(shown), len(views)))

    monkeypatch.setattr(ensemble.members["two"], "logits", constant)
    ensemble.fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    found = ensemble.member_logits(tmp_path / "fold0", rows, ["identity"])
    assert np.isfinite(found[""]).all() and found[""].std() > 0
    kept = files.read_json(tmp_path / "fold0/fusion.json", ("weights",), "")["weights"]
    assert kept == [1, 0], "re-encoding moves it infinitely farther than the class does"


def test_a_run_of_one_source_and_constant_pictures_scores_chance(
    manifest_folder: MakeFolder, tiny_probe: Path
):
    folder = manifest_folder(pairs=9, sources=["a"])
    assert main(["cv", str(tiny_probe), "--data", str(folder), "--out", "r", "--set", "shrinkage=1e-12"]) == 0
    scores = files.read_json(Path("r/scores.json"), ("auc", "logloss", "sources"), "")
    assert scores["logloss"] == pytest.approx(np.log(2), abs=1e-3)
    assert scores["sources"]["worst"] <= 1


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["probe", "network"])
def test_every_precision_ranks_pictures_alike(
    rows: pd.DataFrame, tiny_network: Path, tiny_probe: Path, tmp_path: Path, kind: str, precision: str
):
    path = tiny_probe if kind == "probe" else tiny_network
    made(path, "precision=fp32").fit(rows, rows[:0], 0, tmp_path, Budget())
    views = ["identity", "hflip", "jpeg50"]
    full, half = (
        made(path, f"precision={name}").logits(tmp_path, rows, views) for name in ("fp32", precision)
    )
    assert not np.array_equal(full, half), "the other precision was used"
    assert spearmanr(full.ravel(), half.ravel()).statistic >= 0.99
