import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from humanmade import detectors, places
from humanmade import recipe as recipes
from humanmade.commands import main
from humanmade.data import folds, inventory, manifest
from humanmade.data.loader import read_picture
from humanmade.detectors import autoencoder, counterparts
from humanmade.detectors.autoencoder import LatentAutoencoder, load_autoencoder
from humanmade.errors import UserError
from humanmade.schema import Counterparts, PictureRecipe
from humanmade.training.budget import Budget
from humanmade.training.device import Machine
from tests.conftest import MakeFolder, scene


@pytest.fixture
def rows(manifest_folder: MakeFolder) -> pd.DataFrame:
    table = inventory.attach(manifest.load([manifest_folder(pairs=6)]))
    return folds.make(table, 3, 0, "pairs").rows


def asking(tiny_probe: Path, *changes: str) -> Counterparts:
    recipe = recipes.load(str(tiny_probe), changes)
    assert isinstance(recipe, PictureRecipe)
    return recipe.counterparts


def test_photos_get_counterparts_in_their_own_group(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    keys = asking(tiny_probe, "counterparts.scales=[0.5, 1.0]")
    table = counterparts.extend(rows, keys, Budget())
    assert len(table) == len(rows) + 6 * 2 + 6 and table["id"].is_unique
    made = table[~table["id"].isin(rows["id"])]
    photos = rows[rows["label"] == 0].set_index("id")
    for row in made.to_dict("records"):
        name, _, kind = row["id"].partition("#")
        assert row["group"] == photos.loc[name, "group"]
        scale = float(kind.split("-")[0])
        assert read_picture(row["path"]).shape == (48 * scale, 64 * scale, 3)
    halves = made[made["id"].str.contains("#0.5-")]
    assert halves.groupby("pair")["label"].apply(sorted).map(str).eq("[0, 1]").all()
    whole = made[made["id"].str.contains("#1-")]
    assert set(whole["id"].str.partition("#")[2]) == {"1-1"}, "at scale 1 the photo itself is its partner"
    for row in whole.to_dict("records"):
        assert row["pair"] == photos.loc[row["id"].partition("#")[0], "pair"], "and they share their draws"


def test_of_several_autoencoders_each_makes_its_share_whatever_the_order(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path, tmp_path: Path
):
    small = LatentAutoencoder(4, branched=False)
    for half in ("encoder", "decoder"):
        shutil.copy(autoencoder_weights / f"taef2_{half}.safetensors", tmp_path)
        save_file(getattr(small, half).state_dict(), tmp_path / f"taesd_{half}.safetensors")
    keys = asking(tiny_probe, "counterparts.scales=1.0", 'counterparts.autoencoders=["taef2", "taesd"]')
    with places.weights_in(tmp_path):
        table = counterparts.extend(rows, keys, Budget())
        again = counterparts.extend(rows[::-1], keys, Budget())
    made = table[table["source"] == counterparts.MADE].set_index("id")["path"]
    assert len(made) == 6 and made.map(lambda path: Path(path).parent).nunique() == 2
    assert made.to_dict() == again.set_index("id")["path"].loc[made.index].to_dict()


def test_without_the_key_nothing_changes(rows: pd.DataFrame, tiny_probe: Path):
    assert counterparts.extend(rows, asking(tiny_probe), Budget()) is rows
    fakes = rows[rows["label"] == 1]
    asked = asking(tiny_probe, "counterparts.scales=1.0")
    assert counterparts.extend(fakes, asked, Budget()) is fakes, "and without photos neither"
    with pytest.raises(UserError, match=r"real_fakes = false; expected true, or counterparts\.scales"):
        asking(tiny_probe, "counterparts.real_fakes=false")


def test_real_fakes_can_be_left_out(rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path):
    keys = asking(tiny_probe, "counterparts.scales=0.5", "counterparts.real_fakes=false")
    table = counterparts.extend(rows, keys, Budget())
    assert set(table.loc[table["label"] == 1, "source"]) == {counterparts.MADE}
    assert table["label"].mean() == 0.5 and table["pair"].nunique() == len(table) / 2, (
        "pairs are all there is"
    )


def test_of_many_photos_a_fixed_sample_is_taken(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    keys = asking(
        tiny_probe, "counterparts.scales=0.5", "counterparts.photos=2", "counterparts.real_fakes=false"
    )
    table = counterparts.extend(rows, keys, Budget())
    assert len(table) == 4
    again = counterparts.extend(rows[::-1], keys, Budget())
    assert set(again["id"]) == set(table["id"])


def test_pictures_are_made_once(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    keys = asking(tiny_probe, "counterparts.scales=0.5")
    first = counterparts.extend(rows, keys, Budget())
    monkeypatch.setattr(counterparts, "_remake", None)  # calling it would fail
    assert counterparts.extend(rows, keys, Budget()).equals(first)


def test_alone_with_their_photos_counterparts_are_pairs_at_scale_1_too(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path
):
    keys = asking(tiny_probe, "counterparts.scales=1.0", "counterparts.real_fakes=false")
    table = counterparts.extend(rows.assign(pair=""), keys, Budget())
    photos = table[table["label"] == 0]
    assert photos["path"].isin(rows["path"]).all() and len(photos) == 6 == len(table) / 2
    assert set(table["pair"]) == set(photos["digest"]), "a photo without a pair is named by its content"


def test_counterparts_and_fakes_weigh_alike(rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path):
    keys = asking(tiny_probe, "counterparts.scales=[0.5, 1.0]")
    few_fakes = rows[(rows["label"] == 0) | (rows.index % 3 == 0)]
    table = counterparts.extend(few_fakes, keys, Budget())
    weights = pd.Series(counterparts.row_weights(table), index=table.index)
    kind = table["label"] + table["source"].eq(counterparts.MADE)
    assert weights.groupby(kind).sum().to_list() == pytest.approx([len(table) * k for k in (0.5, 0.25, 0.25)])
    assert (counterparts.row_weights(rows) == 1).all(), "without counterparts all rows count alike"
    named = rows.assign(source="counterparts")
    assert (counterparts.row_weights(named) == 1).all(), "a photo source may have that name"


def test_bytes_hang_neither_on_threads_nor_on_company(
    autoencoder_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine = Machine(torch.device("cpu"), torch.bfloat16)
    network = machine.place(load_autoencoder("taef2"))
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(photos):
        counterparts.save_picture(path, scene(number, (64, 96)))
    threads: set[int] = set()
    forward = autoencoder._forward
    monkeypatch.setattr(
        autoencoder, "_forward", lambda *args: (threads.add(torch.get_num_threads()), forward(*args))[1]
    )

    def make(name: str, chosen: list[Path]) -> bytes:
        jobs = [counterparts.Job(str(path), 1, tmp_path / f"{name}-{path.name}") for path in chosen]
        counterparts.remake(network, jobs, machine, "made", lambda: None)
        return jobs[-1].made.read_bytes()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert make("many", photos) == make("few", photos[-1:])
        assert threads == {1} and torch.get_num_threads() == 2, "what comes after has its threads back"
    finally:
        torch.set_num_threads(before)


def other_weights(folder: Path, beside: Path) -> Path:
    """The autoencoder's files with other numbers, in a folder `other`."""
    other = beside / "other"
    other.mkdir()
    for half in ("encoder", "decoder"):
        tensors = load_file(folder / f"taef2_{half}.safetensors")
        save_file(
            {name: tensor * 0.9 for name, tensor in tensors.items()}, other / f"taef2_{half}.safetensors"
        )
    return other


def test_a_training_knows_whose_counterparts_it_saw(
    rows: pd.DataFrame, tiny_probe: Path, autoencoder_weights: Path, tmp_path: Path
):
    recipe = recipes.load(str(tiny_probe), ["counterparts.scales=1.0"])
    detectors.create(recipe).fit(rows, rows[:0], 0, tmp_path / "fold0", Budget())
    detectors.create(recipe).verify(tmp_path / "fold0")
    with places.weights_in(other_weights(autoencoder_weights, tmp_path)):
        with pytest.raises(UserError, match=r"was trained otherwise \(counterparts: "):
            detectors.create(recipe).verify(tmp_path / "fold0")
        found = detectors.create(recipe).logits(tmp_path / "fold0", rows, ["identity"])
    assert len(found) == len(rows), "predicting needs no autoencoder"


def test_the_verb_writes_pairs_and_goes_on(
    autoencoder_weights: Path, manifest_folder: MakeFolder, tmp_path: Path, capsys
):
    folder = manifest_folder(pairs=4, sources=["a"])
    command = ["reconstruct", str(folder), "out", "--weights", str(autoencoder_weights)]
    assert main([*command, "--limit", "2"]) == 0
    first = {path.name: path.stat().st_mtime_ns for path in Path("out/images").iterdir()}
    assert len(first) == 4
    assert main(command) == 2 and "manifest.csv already" in capsys.readouterr().err
    Path("out/manifest.csv").unlink()
    assert main(command) == 0
    table = pd.read_csv("out/manifest.csv")
    assert len(table) == 8 and (table.groupby("pair")["label"].apply(sorted).map(tuple) == (0, 1)).all()
    assert set(table["source"]) == {"photo-a", "reconstruction-taef2"}
    kept = {path.name: path.stat().st_mtime_ns for path in Path("out/images").iterdir()}
    assert all(kept[name] == stamp for name, stamp in first.items()), "what was written is kept"
    torch.manual_seed(1)
    with places.weights_in(other_weights(autoencoder_weights, tmp_path)):
        Path("out/manifest.csv").unlink()
        assert main([*command[:3], "--weights", str(tmp_path / "other")]) == 0
    another = pd.read_csv("out/manifest.csv")
    shared = set(another["path"]) & set(table["path"])
    assert len(shared) == 4 and all(path.endswith("_photo.jpg") for path in shared), "each makes its own"
    sizes = [read_picture(f"out/{path}").shape for path in table["path"]]
    assert set(sizes) == {(48, 64, 3)}
