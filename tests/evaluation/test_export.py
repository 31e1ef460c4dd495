import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanmade.commands import main
from humanmade.data import named_pictures
from humanmade.evaluation import inference
from humanmade.run import Run
from tests.conftest import MakeFolder, scene

ENSEMBLE = 'detector = "ensemble"\nfolds = 2\nmembers = ["tiny.toml", "tinyprobe.toml"]\n'


@pytest.mark.parametrize("kind", ["network", "probe", "ensemble"])
def test_the_file_gives_the_runs_logits(
    kind: str, tiny_network: Path, tiny_probe: Path, manifest_folder: MakeFolder, capsys
):
    pytest.importorskip("onnx", reason="the extra export is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    ensemble = tiny_probe.with_name("both.toml")
    ensemble.write_text(ENSEMBLE)
    recipe, changes = {
        "network": (tiny_network, ["lr=0.02", "ema=0.0"]),
        "probe": (tiny_probe, ["pool=mean_std", "views=hflip"]),
        "ensemble": (ensemble, []),
    }[kind]
    changes = [word for change in changes for word in ("--set", change)]
    data = manifest_folder(pairs=8)
    assert main(["cv", str(recipe), "--data", str(data), "--folds", "2", "--out", "r", *changes]) == 0
    assert main(["export", "r", "--out", "m.onnx"]) == 0
    assert "checked with onnxruntime on 4 pictures" in capsys.readouterr().out
    session = runtime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {"run": "r", "size": "32", "crop": "native"}
    square = scene(77, (32, 32))
    if kind == "probe":
        square = square[:, ::-1]  # what its only view shows of it
    (got,) = session.run(None, {"pixels": np.ascontiguousarray(square.transpose(2, 0, 1)[None])})
    Image.fromarray(scene(77, (32, 32))).save("square.png")
    expected = inference.run_logits(Run.find("r"), named_pictures.rows(["square.png"]))
    assert abs(expected[0]) > 0.005, "beyond what is forgiven, or it would say nothing"
    assert got == pytest.approx(expected, abs=1e-3) and got.shape == (1,)
    assert main(["export", "r", "--out", "m.onnx"]) == 2 and "exists" in capsys.readouterr().err


def test_what_cannot_be_exported_says_so(
    tiny_network: Path,
    tiny_probe: Path,
    manifest_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys,
):
    def refusal(recipe: str) -> str:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "recipe.toml").write_text(recipe)
        assert main(["export", str(folder), "--out", "m.onnx"]) == 2 and not Path("m.onnx").exists()
        return capsys.readouterr().err

    assert "'spectrum' cannot be exported" in refusal('detector = "spectrum"\nimage_size = 32\n')
    network, probe = (path.read_text() for path in (tiny_network, tiny_probe))
    tables = "\n".join(
        f"[members.{name}]\n{text.replace('[augment]', f'[members.{name}.augment]')}"
        for name, text in (("net", network), ("probe", probe.replace("image_size = 32", "image_size = 64")))
    )
    assert "look at different squares (net 32 native, probe 64 native)" in refusal(
        f'detector = "ensemble"\n{tables}'
    )
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'humanmade[export]'" in refusal(probe)
