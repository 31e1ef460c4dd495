import ast
import base64
import hashlib
import inspect
import json
import lzma
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.kaggle import bundle, runtime
from humanmade.kaggle.bundle import build, self_test
from humanmade.kaggle.orders import Order, slug

ORDER = Order(
    "train", "convnext_tiny", "tester", "0123456789abcdef", ("epochs=1",), 2.5, extra=("tester/more",)
)


def script_of(folder: Path) -> Path:
    return folder / json.loads((folder / "kernel-metadata.json").read_text())["code_file"]


def test_a_build_is_a_folder_with_metadata_and_one_script(tmp_path: Path):
    order = replace(ORDER, resume="tester/humanmade-train-convnext-tiny", weights=("tester/weights",))
    folder = build(order, tmp_path)
    assert folder == tmp_path / "kernels/humanmade-train-convnext-tiny"
    metadata = json.loads((folder / "kernel-metadata.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["kernel-metadata.json", metadata["code_file"]]
    )
    assert metadata["id"] == "tester/humanmade-train-convnext-tiny"
    assert metadata["title"].replace(" ", "-") == metadata["id"].split("/")[1]
    wanted = {
        "enable_internet": False,
        "enable_gpu": True,
        "machine_shape": "NvidiaTeslaT4",
        "is_private": True,
    }
    assert {key: metadata[key] for key in wanted} == wanted
    assert metadata["competition_sources"] == ["detect-ai-vs-human-generated-images"]
    assert metadata["dataset_sources"] == [
        "alessandrasala79/ai-vs-human-generated-dataset",
        "tester/weights",
        "tester/more",
    ]
    assert metadata["kernel_sources"] == ["tester/humanmade-train-convnext-tiny"]
    text = script_of(folder).read_text()
    for line in (
        "RECIPE = 'convnext_tiny'",
        "SETTINGS = ('epochs=1',)",
        "HOURS = 2.5",
        "EXTRA = ('tester/more',)",
        "RUN_ID = '0123456789abcdef'",
    ):
        assert text.count(f"\n{line}\n") == 1
    assert len(text.encode()) < 300_000
    assert len(text[text.rindex('"""\n\nfrom humanmade') :].strip().splitlines()) <= 16, (
        "the kernel is readable"
    )


@pytest.mark.parametrize("kernel", ["train", "predict", "blend"])
def test_a_kernel_asks_for_the_gpus_that_its_script_uses(tmp_path: Path, kernel: str):
    place = bundle.ROOT.parents[1] / "kernels" / kernel
    tree = ast.parse((place / f"{kernel}.py").read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "runtime.session"
    ]
    given = {option.arg: ast.literal_eval(option.value) for option in call.keywords}
    uses = given.get("gpu", inspect.signature(runtime.session).parameters["gpu"].default)
    order = Order(kernel, "" if kernel == "blend" else "demo", "tester", "1")
    metadata = bundle._metadata(place / bundle.METADATA, order)
    assert metadata["enable_gpu"] is uses and ("machine_shape" in metadata) is uses
    assert metadata["enable_internet"] is False and metadata["is_private"] is True


def test_the_same_order_gives_the_same_bytes(tmp_path: Path):
    first, second = (script_of(build(ORDER, tmp_path / name)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = script_of(build(replace(ORDER, run_id="fedc"), tmp_path / "c")).read_text()
    assert other == first.read_text().replace("0123456789abcdef", "fedc"), "only the run id differs"


@pytest.mark.parametrize("kernel", ["train", "predict", "blend"])
def test_every_kernel_builds_again_over_itself(tmp_path: Path, kernel: str):
    recipe = "" if kernel == "blend" else "demo"
    runs = () if kernel == "train" else ("tester/one", "tester/two")
    order = Order(kernel, recipe, "tester", "1", runs=runs)
    folder = build(order, tmp_path)
    assert build(order, tmp_path) == folder
    assert json.loads((folder / "kernel-metadata.json").read_text())["kernel_sources"] == list(runs)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt"):
        build(order, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name.startswith(".")) == []


def test_an_own_recipe_travels(tmp_path: Path, tiny_network: Path):
    folder = build(replace(ORDER, recipe=str(tiny_network)), tmp_path / "out")
    assert folder.name == "humanmade-train-tiny" and "RECIPE = 'tiny'" in script_of(folder).read_text()
    packed, sizes = bundle._pack(str(tiny_network))
    assert "humanmade/recipes/tiny.toml" in sizes and packed
    clash = tmp_path / "demo.toml"
    clash.write_text(tiny_network.read_text())
    with pytest.raises(UserError, match=r"demo\.toml.*rename it"):
        build(replace(ORDER, recipe=str(clash)), tmp_path / "out")


def test_an_ensemble_travels_with_its_own_recipes(tmp_path: Path, tiny_network: Path):
    own = tmp_path / "both.toml"
    own.write_text(f'detector = "ensemble"\nmembers = ["spectrum", "{tiny_network.name}"]\n')
    packed, _ = bundle._pack(str(own))
    texts = json.loads(lzma.decompress(base64.b85decode(packed)))
    (tmp_path / "there.toml").write_text(texts["humanmade/recipes/both.toml"])
    assert recipes.load(str(tmp_path / "there.toml")) == recipes.load(str(own))


def test_slugs_are_kaggles_5_to_50_characters():
    assert slug("train", "convnext_tiny") == "humanmade-train-convnext-tiny"
    assert slug("blend", "") == "humanmade-blend"
    assert slug("predict", "my/Own Recipe.v2.toml") == "humanmade-predict-own-recipe-v2"
    long, longer = slug("train", "x" * 60), slug("train", "x" * 61)
    assert len(long) <= 50 and len(longer) <= 50 and long != longer


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kernel": "nosuch"}, "'nosuch': not found; in .*: blend, explore, predict, train"),
        ({"recipe": "convnext"}, "recipe 'convnext': not found"),
        ({"settings": ("epoch=1",)}, "has no key 'epoch'"),
        ({"owner": "a/b"}, "owner 'a/b'"),
        ({"hours": 12.5}, "hours 12.5: a session lasts at most 12"),
        ({"hours": 0.0}, "hours 0: a session"),
        ({"runs": ("tester/x",)}, "push train: takes no --run"),
        ({"weights": ("weights",)}, "'weights': expected owner/slug"),
        ({"kernel": "predict", "resume": "a/b", "runs": ("a/c",), "settings": ()}, "takes no --resume"),
        ({"kernel": "predict"}, "--set epochs=1: .* only views="),
        ({"kernel": "blend", "settings": ()}, "push blend: takes no --recipe"),
    ],
)
def test_a_bad_order_is_refused_before_anything_is_written(tmp_path: Path, change: dict, says: str):
    with pytest.raises(UserError, match=says):
        build(replace(ORDER, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_large_a_script_is_refused_with_what_makes_it_so(tmp_path: Path, tiny_network: Path):
    own = tmp_path / "big.toml"
    noise = hashlib.shake_256(b"").hexdigest(700_000)
    own.write_text(tiny_network.read_text().replace("test_efficientnet", noise))
    with pytest.raises(UserError, match=r"Kaggle takes 900000.*humanmade/recipes/big\.toml \d\d\d kB"):
        build(replace(ORDER, recipe=str(own)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_kernels_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(bundle, "ROOT", tmp_path / "site-packages/humanmade")
    with pytest.raises(UserError, match=r"kernels/: not found.*checkout"):
        build(ORDER, tmp_path / "out")


def test_no_credential_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = {"KAGGLE_KEY": "5ec2e7", "KAGGLE_API_TOKEN": "KGAT_5ec2e7", "KAGGLE_USERNAME": "someone-else"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home/.kaggle"
    home.mkdir(parents=True)
    (home / "kaggle.json").write_text('{"username": "someone-else", "key": "5ec2e7"}')
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))
    folder = build(ORDER, tmp_path)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    head = tmp_path / "head.py"
    head.write_text(script_of(folder).read_text().split('"""All folds')[0])
    subprocess.run([sys.executable, head], env=os.environ | {"TMPDIR": str(unpacked)}, check=True)
    written = [path for path in [*folder.rglob("*"), *unpacked.rglob("*")] if path.is_file()]
    assert len(written) > 50
    for path in written:
        for value in secrets.values():
            assert value not in path.read_text(), path


def test_a_damaged_package_is_not_run(tmp_path: Path):
    script = script_of(build(ORDER, tmp_path))
    lines = script.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith('PACKAGE = """')) + 3
    lines[place] = lines[place][::-1]
    script.write_text("\n".join(lines))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == (
        "humanmade: the packed package is damaged; push the kernel again\n"
    )


@pytest.mark.slow
def test_the_self_test_imports_everything_from_the_script_alone(tmp_path: Path):
    said = self_test(build(ORDER, tmp_path))
    modules = len(list(bundle.ROOT.rglob("*.py")))
    assert f"its {modules} modules import" in said and "kB" in said


def test_the_self_test_finds_what_kaggle_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "src/humanmade"
    (package / "kaggle").mkdir(parents=True)
    (package / "recipes").mkdir()
    (package / "__init__.py").write_text("")
    (package / "kaggle/__init__.py").write_text("")
    (package / "recipes/demo.toml").write_text((bundle.ROOT / "recipes/demo.toml").read_text())
    (package / "kaggle/prelude.py").write_text((bundle.ROOT / "kaggle/prelude.py").read_text())
    (tmp_path / "kernels").symlink_to(bundle.ROOT.parents[1] / "kernels")
    monkeypatch.setattr(bundle, "ROOT", package)
    order = Order("train", "demo", "tester", "1")
    assert "its 3 modules" in self_test(build(order, tmp_path / "a"))
    (package / "odd.py").write_text("import hypothesis\n")
    with pytest.raises(UserError, match=r"odd\.py imports hypothesis, which Kaggle's image lacks"):
        self_test(build(order, tmp_path / "b"))
    (package / "odd.py").write_text("import nosuchpackage\n")
    with pytest.raises(UserError, match=r"does not import .*No module named 'nosuchpackage'"):
        self_test(build(order, tmp_path / "c"))
