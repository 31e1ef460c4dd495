import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from humanmade import detectors, metrics
from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.data import folds, inventory, manifest
from humanmade.detectors.ensemble import Ensemble
from humanmade.errors import Interrupted, UserError
from humanmade.sensitivity import REENCODED
from humanmade.training.budget import Budget
from tests.conftest import TINY_PROBE, MakeFolder


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=16)]))
    return folds.make(table, 3, 0, "pairs").rows


@pytest.fixture
def recipe(tmp_path: Path, tiny_probe: Path) -> Path:
    (tmp_path / "flipped.toml").write_text(
        TINY_PROBE + 'views = ["identity", "hflip"]\nhead = "difference"\n'
    )
    path = tmp_path / "both.toml"
    members = f'["{tiny_probe}", "{tmp_path / "flipped.toml"}"]'
    path.write_text(f'detector = "ensemble"\nmembers = {members}\nfolds = 3\nsteady = false\n')
    return path


def ensemble(path: Path, *changes: str) -> Ensemble:
    made = detectors.create(recipes.load(str(path), changes))
    assert isinstance(made, Ensemble)
    return made


def test_equal_weights_average_scaled_members(rows: pd.DataFrame, recipe: Path, tmp_path: Path):
    made, folder = ensemble(recipe), tmp_path / "fold0"
    made.fit(rows, rows[:0], 0, folder, Budget())
    probe, flipped = made.members.values()
    facts = json.loads((folder / "fusion.json").read_text())
    scales, offset = facts["scales"], facts["offset"]
    one = probe.logits(folder / "tinyprobe", rows, ["identity"])[:, 0]
    two = flipped.logits(folder / "flipped", rows, ["identity", "hflip"]).mean(axis=1)
    assert scales == pytest.approx([one.std(), two.std()])
    fused = made.logits(folder, rows, ["identity"])[:, 0]
    assert np.allclose(fused, (one / one.std() + two / two.std()) / 2 - offset)
    assert (fused > 0).mean() == pytest.approx(rows["label"].mean(), abs=0.04), "zero is where labels change"
    corrupted = made.logits(folder, rows, ["jpeg50"])[:, 0]
    one = probe.logits(folder / "tinyprobe", rows, ["jpeg50"])[:, 0]
    two = flipped.logits(folder / "flipped", rows, ["jpeg50"])[:, 0]
    assert np.allclose(corrupted, (one / scales[0] + two / scales[1]) / 2 - offset)


def test_a_run_takes_it_like_any_other(recipe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=12, test=4)
    assert main(["cv", str(recipe), "--data", str(folder), "--out", "r"]) == 0
    fused = pd.read_csv("r/oof.csv").set_index("id")
    members = [pd.read_csv(f"r/oof_{name}.csv").set_index("id") for name in ("tinyprobe", "flipped")]
    for member in members:
        assert member.index.equals(fused.index) and list(member.columns) == list(fused.columns)
    moved = fused["logit"] - (members[0]["logit"] + members[1]["logit"]) / 2
    assert moved.groupby(fused["fold"]).std().max() < 1e-9, "the mean, but for each fold's own offset"
    before = Path("r/oof.csv").read_bytes()
    assert main(["cv", str(recipe), "--data", str(folder), "--out", "r"]) == 0
    assert Path("r/oof.csv").read_bytes() == before
    assert main(["predict", "r", "--data", str(folder), "--out", "p.csv"]) == 0
    again = pd.read_csv("p.csv").set_index("id")["logit"]
    test = pd.read_csv("r/test.csv").set_index("id")["logit"]
    assert np.allclose(again[test.index], test, atol=1e-6)


def test_an_interrupted_fold_goes_on_with_the_member_it_was_at(
    rows: pd.DataFrame, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ensemble(recipe).fit(rows, rows[:0], 0, tmp_path / "whole", Budget())
    made = ensemble(recipe)
    first, second = made.members.values()
    trained: list[str] = []

    def counted(*arguments: Any) -> Any:
        trained.append("first")
        return fit(*arguments)

    def stopped(*_: Any) -> Any:
        raise Interrupted()

    fit = first.fit
    monkeypatch.setattr(first, "fit", counted)
    with monkeypatch.context() as patched:
        patched.setattr(second, "fit", stopped)
        with pytest.raises(Interrupted):
            made.fit(rows, rows[:0], 0, tmp_path / "broken", Budget())
    made.fit(rows, rows[:0], 0, tmp_path / "broken", Budget())
    assert trained == ["first"], "what was finished is not trained again"
    kept = [path for path in (tmp_path / "whole").rglob("*.*") if path.name != "trained.json"]
    assert len(kept) >= 3
    for path in kept:
        assert (tmp_path / "broken" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def test_what_cannot_be_an_ensemble_is_refused(recipe: Path):
    for members, said in (
        ('["probe_lite0"]', r'members = \["probe_lite0"\]; expected at least 2'),
        ('["probe_lite0", "probe_lite0"]', "no name twice"),
        ('["probe_lite0", "robust_cpu"]', 'members.robust_cpu.detector = "ensemble"; expected'),
        ('["probe_lite0", "probe_lite1"]', "recipe 'probe_lite1': not found"),
    ):
        with pytest.raises(UserError, match=said):
            recipes.load(str(recipe), [f"members={members}"])


def test_another_ensembles_folder_is_refused(rows: pd.DataFrame, recipe: Path, tmp_path: Path):
    ensemble(recipe).fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    facts = json.loads((tmp_path / "fold0/fusion.json").read_text())
    (tmp_path / "fold0/fusion.json").write_text(json.dumps(facts | {"members": ["a", "b"]}))
    with pytest.raises(UserError, match=r"is of \['a', 'b'\], not"):
        ensemble(recipe).verify(tmp_path / "fold0")


@pytest.mark.parametrize("damage", [{"scales": [1.0]}, {"weights": ["a", 1]}, {"offset": None}])
def test_a_damaged_fusion_is_refused(recipe: Path, tmp_path: Path, damage: dict[str, Any]):
    facts = {"members": ["tinyprobe", "flipped"], "scales": [1, 1], "weights": [1, 1], "offset": 0}
    (tmp_path / "fusion.json").write_text(json.dumps(facts | damage))
    with pytest.raises(UserError, match=r"fusion\.json: damaged \(.*run cv again"):
        ensemble(recipe)._fusion(tmp_path)


def test_robust_cpu_tells_pictures_it_has_not_seen(
    manifest_folder: MakeFolder, autoencoder_weights: Path, tmp_path: Path
):
    table = inventory.attach(manifest.load([manifest_folder("more", pairs=18)]))
    cut = folds.make(table, 3, 0, "pairs")
    held_out = cut.validation(0)
    # These pictures are small, and a larger square would show them mirrored at many times the cost.
    names = recipes.load("robust_cpu").member_names
    small = [f"members.{name}.{key}" for name in names for key in ("image_size=64", "workers=0")]
    detector = detectors.create(recipes.load("robust_cpu", small))
    detector.fit(cut.training(0), held_out[:0], 0, tmp_path, Budget())
    logits = detector.logits(tmp_path, held_out, ["identity"])[:, 0]
    assert len(held_out) == 12 and metrics.auc(held_out["label"], logits) > 0.9


def test_a_run_keeps_its_members_recipes(recipe: Path, tiny_probe: Path, manifest_folder: MakeFolder, capsys):
    folder = manifest_folder(pairs=12, test=4)
    command = ["cv", str(recipe), "--data", str(folder), "--out", "r"]
    assert main([*command, "--fold", "0"]) == 0
    predict = ["predict", "r", "--data", str(folder)]
    assert main([*predict, "--out", "before.csv"]) == 0
    tiny_probe.write_text(TINY_PROBE.replace("0.01", "0.5"))
    capsys.readouterr()
    assert main(command) == 2
    difference = "members.tinyprobe.shrinkage: [0.01] there, [0.5] now"
    assert f"was started differently ({difference})" in capsys.readouterr().err
    tiny_probe.unlink()
    assert main([*predict, "--out", "after.csv"]) == 0
    assert Path("after.csv").read_bytes() == Path("before.csv").read_bytes()


def test_a_member_that_reads_a_files_history_is_left_out(
    rows: pd.DataFrame, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def swayed(made: Ensemble, name: str) -> None:
        member = made.members[name]
        plain = member.logits

        def logits(folder: Path, rows: pd.DataFrame, views: list[str]) -> np.ndarray:
            return plain(folder, rows, views) + [1000.0 * (view in REENCODED) for view in views]

        member.logits = logits  # type: ignore[method-assign, assignment]

    made = ensemble(recipe, "steady=true")
    swayed(made, "flipped")
    made.fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    facts = json.loads((tmp_path / "fold0/fusion.json").read_text())
    assert facts["weights"] == [1, 0]
    assert "fold0: flipped is left out: re-encoding moves" in capsys.readouterr().out
    swayed(made, "tinyprobe")
    made.fit(rows, rows[:0], 0, tmp_path / "fold1", Budget())
    weights = json.loads((tmp_path / "fold1/fusion.json").read_text())["weights"]
    assert sorted(weights) == [0, 1], "somebody has to speak"
    trusting = ensemble(recipe)
    swayed(trusting, "flipped")
    trusting.fit(rows, rows[:0], 0, tmp_path / "fold2", Budget())
    assert json.loads((tmp_path / "fold2/fusion.json").read_text())["weights"] == [0.5, 0.5]


def test_a_members_own_views_are_no_re_encoding(
    rows: pd.DataFrame, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second member averages over a mirrored view, which moves its logits; no history does."""
    made = ensemble(recipe, "steady=true")
    member = made.members["flipped"]
    plain = member.logits

    def logits(folder: Path, rows: pd.DataFrame, views: list[str]) -> np.ndarray:
        return plain(folder, rows, ["identity"] * len(views)) + [1000.0 * (view == "hflip") for view in views]

    monkeypatch.setattr(member, "logits", logits)
    made.fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    assert json.loads((tmp_path / "fold0/fusion.json").read_text())["weights"][1] > 0
