from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from humanmade.commands import main
from humanmade.data import inventory, manifest
from humanmade.evaluation import audit as auditing
from humanmade.evaluation import audit_facts
from humanmade.evaluation.sheet import GAP, SIDE
from tests.conftest import MakeFolder, scene


def audited(folder: Path) -> auditing.Audit:
    return auditing.audit(inventory.attach(manifest.load([folder])))


def resave(folder: Path, change: Callable[[int, int], tuple[tuple[int, int], int]], split: str) -> None:
    """Save a split's pictures again as JPEG, under their old names, in a size and quality by label."""
    table = pd.read_csv(folder / "manifest.csv")
    for number, row in enumerate(table[table["split"] == split].itertuples()):
        size, quality = change(number, row.label)
        image = Image.open(folder / row.path).convert("RGB").resize(size)
        image.save(folder / row.path, "JPEG", quality=quality)


def test_clean_data_leaks_nothing(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=40, test=20)
    for split in ("train", "test"):
        resave(folder, lambda number, label: ((64, 48), 90), split)
    found = audited(folder)
    facts = found.by_label.set_index("fact")["auc"]
    assert facts["area"] == facts["quality"] == facts["tables"] == 0.5
    assert found.adversarial is not None and found.adversarial < audit_facts.TELLING
    verdict = "\n".join(found.verdict)
    assert "LEAK in test" not in verdict and "cannot tell train from test" in verdict


def test_compression_that_follows_the_label_is_named(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=40)
    resave(folder, lambda number, label: ((64, 48), 95 if label else 80), "train")
    found = audited(folder)
    assert found.stored["auc"] > 0.99 and found.stored["f1"] > 0.99
    verdict = "\n".join(found.verdict)
    assert "LEAK in train" in verdict and "quality (AUC 1.00)" in verdict


def test_area_that_gives_the_test_label_away_is_said_so(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=40, test=20)
    resave(folder, lambda number, label: ((64, 48), 90), "train")
    resave(folder, lambda number, label: ((96, 96), 90) if label else ((100, 60 + number % 3), 90), "test")
    found = audited(folder)
    verdict = "\n".join(found.verdict)
    assert "LEAK in test: the test pictures fall into two kinds by area" in verdict
    assert "alone gives the test label away" in verdict and "can tell train from test" in verdict
    other = pd.read_csv(folder / "manifest.csv")
    other.loc[other["split"] == "test", "label"] = 0
    other.to_csv(folder / "manifest.csv", index=False)
    assert audited(folder).verdict == found.verdict, "labels of test rows are not looked at"


def test_duplicates_outside_of_pairs_are_counted(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=10, test=4)
    table = pd.read_csv(folder / "manifest.csv")
    table.assign(pair="").to_csv(folder / "manifest.csv", index=False)
    for path in table.loc[table["label"] == 1, "path"]:
        number = 500 + int(Path(path).name[:3])
        Image.fromarray(scene(number)).save(folder / path)
    for source, target in (("000_0", "005_1"), ("001_0", "002_0"), ("003_0", "010_0")):
        (folder / f"images/{target}.png").write_bytes((folder / f"images/{source}.png").read_bytes())
    found = audited(folder)
    assert {tuple(sorted(pair)) for pair in found.duplicates[["first", "second"]].to_numpy()} == {
        ("images/000_0.png", "images/005_1.png"),
        ("images/001_0.png", "images/002_0.png"),
        ("images/003_0.png", "images/010_0.png"),
    }
    verdict = "\n".join(found.verdict)
    assert "2 near-duplicates within train" in verdict and "1 of them carry opposite labels" in verdict
    assert "1 test pictures nearly equal one in train" in verdict
    for target in ("001_0", "011_0"):  # one train picture more like the first test picture, and a second one
        (folder / f"images/{target}.png").write_bytes((folder / "images/003_0.png").read_bytes())
    assert "\n2 test pictures nearly equal one in train" in "\n".join(audited(folder).verdict), "of 4 links"


def test_pairs_are_checked(competition_folder: MakeFolder):
    folder = competition_folder(pairs=10)
    assert audited(folder).pairs.items() >= {"pairs": 10, "same_size": 1.0, "adjacent": 1.0}.items()
    names = sorted((folder / "train_data").iterdir())
    Image.fromarray(scene(3, (40, 40))).save(names[0])
    assert audited(folder).pairs["same_size"] == pytest.approx(0.9)


def test_an_open_shortcut_is_said_with_the_verdict(manifest_folder: MakeFolder):
    found = audited(manifest_folder(pairs=40))
    assert found.canaries["sharpness"] > 0.9 and found.canaries["thumbnail"] < audit_facts.TELLING
    assert f"sharpness {found.canaries['sharpness']:.2f} !" in auditing.as_text(found)
    shortcuts = [line for line in found.verdict if line.startswith("SHORTCUT in train")]
    assert any("blur is a shortcut here" in line for line in shortcuts)
    assert not any("content is a shortcut" in line for line in shortcuts)


@pytest.mark.parametrize(("values", "two"), [([1, 1.1] * 20 + [5, 5.1] * 20, True), (list(range(80)), False)])
def test_two_kinds_are_told_from_a_spread(values: list[float], two: bool):
    cut, between, share = audit_facts._two_kinds(np.array(values, dtype=float))
    assert (between >= audit_facts.TWO_KINDS) == two
    if two:
        assert 1.1 < cut < 5 and share == 0.5


def test_the_verb_prints_a_verdict(manifest_folder: MakeFolder, capsys):
    assert main(["audit", "--data", str(manifest_folder(pairs=6))]) == 0
    out = capsys.readouterr().out
    assert out.startswith("12 train and 0 test pictures") and "Verdict\n- " in out


def test_pairs_by_their_hashes(manifest_folder: MakeFolder):
    found = audited(manifest_folder(pairs=20))
    assert found.pairs["inside"] < 8 < 24 < found.pairs["across"]
    assert any("pairs share their content" in line for line in found.verdict)
    loose = manifest_folder("loose", pairs=20)
    table = pd.read_csv(loose / "manifest.csv")
    table.loc[table["label"] == 1, "pair"] = np.roll(table.loc[table["label"] == 1, "pair"], 1)
    table.to_csv(loose / "manifest.csv", index=False)
    assert any("content can tell the label" in line for line in audited(loose).verdict)


def test_pairs_of_three_are_not_spoken_of_as_of_two(manifest_folder: MakeFolder):
    folder = manifest_folder(pairs=6)
    table = pd.read_csv(folder / "manifest.csv")
    table.assign(pair=[f"p{row // 3}" for row in range(12)]).to_csv(folder / "manifest.csv", index=False)
    found = audited(folder)
    assert found.pairs == {"pairs": 0} and "nan" not in "\n".join(found.verdict)
    assert any(line.startswith("Pairs are named, but none is of two pictures") for line in found.verdict)


def test_duplicates_are_drawn_one_above_the_other(manifest_folder: MakeFolder, tmp_path: Path):
    folder = manifest_folder(pairs=4, test=2)
    table = pd.read_csv(folder / "manifest.csv")
    (folder / table["path"].iloc[-1]).write_bytes((folder / table["path"].iloc[0]).read_bytes())
    rows = inventory.attach(manifest.load([folder]))
    found = auditing.audit(rows)
    assert auditing.draw_duplicates(tmp_path / "twins.png", found, rows) == len(found.duplicates) > 0
    sheet = np.asarray(Image.open(tmp_path / "twins.png").convert("RGB")).astype(int)
    across = found.duplicates[found.duplicates["first_split"] != found.duplicates["second_split"]]
    assert len(across) >= 1
    tall = SIDE * 48 // 64
    inside, top = slice(GAP, GAP + SIDE), GAP + GAP // 2
    first, second = sheet[top : top + tall, inside], sheet[top + tall + 2 : top + 2 * tall + 2, inside]
    assert first.std() > 10 and np.abs(first - second).mean() < 8, "the test picture and its twin come first"
    clean = inventory.attach(manifest.load([manifest_folder("clean", pairs=3, first_seed=50)]))
    assert auditing.draw_duplicates(tmp_path / "none.png", auditing.audit(clean), clean) == 0
    assert not (tmp_path / "none.png").exists()


def test_embeddings_tell_another_world_from_train(manifest_folder: MakeFolder):
    found = audited(manifest_folder(pairs=30, test=30))
    assert found.distance is not None and found.distance.shift < 0.6
    folder = manifest_folder("noisy", pairs=30, test=30)
    table = pd.read_csv(folder / "manifest.csv")
    rng = np.random.default_rng(0)
    for path in table.loc[table["split"] == "test", "path"]:
        picture = np.asarray(Image.open(folder / path)).astype(float) * 0.3
        Image.fromarray((picture + rng.normal(90, 40, picture.shape)).clip(0, 255).astype(np.uint8)).save(
            folder / path
        )
    shifted = audited(folder)
    assert shifted.distance is not None and shifted.distance.shift == 1.0 and shifted.distance.unlike > 0.9
    assert any("Read the forecast, not the folds" in line for line in shifted.verdict)
