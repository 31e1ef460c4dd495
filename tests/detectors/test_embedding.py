import numpy as np

from humanmade.data import inventory, manifest
from humanmade.detectors import embedding
from tests.conftest import MakeFolder


def test_sources_are_made_of_what_looks_alike(manifest_folder: MakeFolder):
    table = inventory.attach(manifest.load([manifest_folder(pairs=12)]))
    # Each class has two tight clusters, far apart.
    side = np.arange(len(table)) // 2 % 2
    features = np.random.default_rng(0).normal(size=(len(table), 8)).astype(np.float32) + 40 * side[:, None]
    made = np.array(embedding.made_sources(table, features, 2))
    for label, name in ((0, "photos"), (1, "generated")):
        own = (table["label"] == label).to_numpy()
        assert set(made[own]) == {f"{name}-like-0", f"{name}-like-1"}
        assert len(set(made[own & (side == 0)])) == len(set(made[own & (side == 1)])) == 1


def test_given_sources_stay(manifest_folder: MakeFolder):
    table = inventory.attach(manifest.load([manifest_folder(pairs=8, sources=["a", "b"])]))
    assert embedding.name_sources(table) is table
    one = table.assign(source=table["source"].where(table["label"] == 0, "only"))
    named = embedding.name_sources(one)
    assert (named.loc[named["label"] == 0, "source"] == one.loc[one["label"] == 0, "source"]).all()
    assert named.loc[named["label"] == 1, "source"].nunique() > 1


def test_test_rows_get_no_source(manifest_folder: MakeFolder):
    table = inventory.attach(manifest.load([manifest_folder(pairs=8, test=4)]))
    named = embedding.name_sources(table)
    assert (named.loc[named["split"] == "test", "source"] == "").all()
    assert (named.loc[named["split"] == "train", "source"] != "").all()
