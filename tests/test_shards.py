from pathlib import Path

import numpy as np

from humanmade import shards


def test_rows_come_back_under_their_names(tmp_path: Path):
    rows = np.arange(12, dtype=np.float16).reshape(6, 2)
    shards.write(tmp_path / "a", ["c", "a", "b"], rows[:3])
    shards.write(tmp_path / "a", ["d", "e", "f"], rows[3:])
    places, read = shards.read(tmp_path / "a")
    assert read.dtype == np.float16 and set(places) == set("abcdef")
    assert (read[[places[name] for name in "cabdef"]] == rows).all()
    assert shards.read(tmp_path / "nothing")[0] == {}


def test_a_damaged_file_is_removed_and_the_others_stand(tmp_path: Path):
    shards.write(tmp_path, ["a"], np.ones((1, 2)))
    (whole,) = tmp_path.glob("*.safetensors")
    shards.write(tmp_path, ["b"], np.zeros((1, 2)))
    (other,) = set(tmp_path.glob("*.safetensors")) - {whole}
    other.write_bytes(other.read_bytes()[:50])
    places, read = shards.read(tmp_path)
    assert places == {"a": 0} and (read == 1).all() and not other.exists()
