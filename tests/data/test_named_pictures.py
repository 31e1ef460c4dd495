import io
import os
from pathlib import Path

import pytest

from humanmade.data import inventory, manifest, named_pictures
from humanmade.errors import UserError
from tests.conftest import MakeFolder


def test_files_folders_and_standard_input_are_rows_once(
    manifest_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    folder = manifest_folder(pairs=2)
    one, other = (str(folder / f"images/{name}.png") for name in ("000_0", "001_1"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{one}\n\n{folder / 'images'}\r\n"))
    rows = named_pictures.rows([Path(other), "-", one])
    assert rows["id"].tolist()[:3] == [other, one, str(folder / "images/000_1.png")] and len(rows) == 4
    table = inventory.attach(manifest.load([folder])).set_index("path")
    assert set(table.columns) <= {*rows.columns}, "a detector finds all that it may ask for"
    assert (rows["digest"] == table.loc[rows["path"], "digest"].to_numpy()).all()
    assert (rows["phash"] == table.loc[rows["path"], "phash"].to_numpy()).all()


def test_what_cannot_be_read_is_named_and_skipped(manifest_folder: MakeFolder, capsys):
    picture = str(manifest_folder(pairs=1) / "images/000_0.png")
    Path("text.jpg").write_text("no picture")
    odd = os.fsdecode(b"\xff.jpg")
    assert named_pictures.rows(["gone.jpg", picture, "text.jpg", odd])["id"].tolist() == [picture]
    said = capsys.readouterr().err
    assert "warning: gone.jpg: skipped (no such file)\n" in said
    assert "warning: text.jpg: skipped (cannot identify image file)\n" in said
    assert "skipped (its name is not UTF-8; rename it)" in said
    for words in (["gone.jpg"], ["text.jpg"]):
        with pytest.raises(UserError, match="none of the 1 pictures can be read; name JPEG"):
            named_pictures.rows(words)


def test_a_folder_without_pictures_says_so(tmp_path: Path):
    with pytest.raises(UserError, match="no pictures there; name JPEG, PNG or WebP files, or folders"):
        named_pictures.rows([tmp_path])
