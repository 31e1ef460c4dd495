"""Files from strangers run no code, fill no memory and end in one line; code, archives and HTML have their
tests where they are read (`training/test_checkpoint`, `kaggle/test_archives`, `evaluation/test_report`)."""

import ast
import json
import struct
from pathlib import Path

import pytest

from humanmade import files, ledger, recipe
from humanmade.errors import KaggleError, UserError
from humanmade.kaggle import outputs, submissions
from humanmade.training import checkpoint

ROOT = Path(files.__file__).parent
DEEP = "[" * 100_000


def test_nothing_reads_pickles():
    calls = [
        ast.unparse(node)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    loads = [call for call in calls if call.startswith(("torch.load(", "np.load(", "pd.read_pickle("))]
    assert loads and all("weights_only=True" in call for call in loads)
    unsafe = ("pickle.", "joblib.", "marshal.", "shelve.", "yaml.load(", "tarfile.", "shutil.unpack_archive(")
    assert not [call for call in calls if call.startswith(unsafe) or ".extractall(" in call]


def test_json_that_is_too_much(tmp_path: Path):
    path = tmp_path / "scores.json"
    path.write_text(DEEP)
    with pytest.raises(UserError, match=r"scores\.json: not readable \(maximum recursion depth.*; mend it"):
        files.read_json(path, (), "mend it")
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UserError, match="has more than 67108864 bytes"):
        files.read_json(path, (), "mend it")


def test_a_recipe_that_is_too_deep(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text(f"views = {DEEP}")
    with pytest.raises(UserError, match="not valid TOML"):
        recipe.load(str(path))


def test_weights_that_claim_too_much(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 4 * 2**30) + b"{}")
    with pytest.raises(UserError, match="header too large"):
        checkpoint.load_weights(path)
    for header in (
        {"a": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}},
        {"__metadata__": {"humanmade": DEEP}},
    ):
        packed = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(packed)) + packed + bytes(4))
        with pytest.raises(UserError, match="not a checkpoint of this kit"):
            checkpoint.load_weights(path)


def test_a_ledger_from_elsewhere(tmp_path: Path):
    path = tmp_path / "ledger.csv"
    path.write_text(f"ref,sha256\n{'x' * 200_000},1\n")
    with pytest.raises(UserError, match=r"ledger\.csv: not readable \(field larger"):
        ledger.read(path)
    assert [ledger.score({"public": cell}, "public") for cell in ("nan", "1e999", "0.5")] == [None, None, 0.5]
    shown = submissions.as_text([dict.fromkeys(ledger.COLUMNS, "") | {"note": "\x1b[2Jgone\rx"}])
    assert "gone" in shown and shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("part", ["\0b", "b\nc", "\x1b[31m", "x" * 300, " ", "C:\\b"])
def test_an_outputs_name_is_one_that_a_file_can_have(part: str):
    told = {"files": {f"runs/r/{part}": "0" * 64}, "unfinished": False, "run_id": "1"}
    if part == " ":
        assert outputs.read(told, "me/kernel").files
        return
    with pytest.raises(KaggleError, match="nothing was fetched"):
        outputs.read(told, "me/kernel")
