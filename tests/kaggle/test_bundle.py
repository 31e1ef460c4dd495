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
from humanmade.kaggle.push_request import PushRequest

REQUEST = PushRequest(
    "train", "convnext_tiny", "tester", "0123456789abcdef", ("epochs=1",), 2.5, extra=("tester/more",)
)


def script_of(folder: Path) -> Path:
    return folder / json.loads((folder / "kernel-metadata.json").read_text())["code_file"]


def test_a_build_is_a_folder_with_metadata_and_one_script(tmp_path: Path):
    request = replace(REQUEST, resume=True, attach=("weights",))
    request = replace(request, absent=(*request.recipe_weights, *request.forecast_weights))
    folder = build(request, tmp_path)
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
    request = PushRequest(kernel, "" if kernel == "blend" else "demo", "tester")
    metadata = bundle._metadata(place, request)
    assert metadata["enable_gpu"] is uses and ("machine_shape" in metadata) is uses
    assert metadata["enable_internet"] is False and metadata["is_private"] is True


def test_the_same_request_gives_the_same_bytes(tmp_path: Path):
    first, second = (script_of(build(REQUEST, tmp_path / name)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = script_of(build(replace(REQUEST, run_id="fedc"), tmp_path / "c")).read_text()
    assert other == first.read_text().replace("0123456789abcdef", "fedc"), "only the run id differs"


@pytest.mark.parametrize("kernel", ["train", "predict", "blend"])
def test_every_kernel_builds_again_over_itself(tmp_path: Path, kernel: str):
    recipe = "" if kernel == "blend" else "demo"
    runs = () if kernel == "train" else ("tester/one", "tester/two")
    request = PushRequest(kernel, recipe, "tester", "1", runs=runs)
    folder = build(request, tmp_path)
    assert build(request, tmp_path) == folder
    assert json.loads((folder / "kernel-metadata.json").read_text())["kernel_sources"] == list(runs)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt"):
        build(request, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name.startswith(".")) == []


def test_an_own_recipe_travels(tmp_path: Path, tiny_network: Path):
    folder = build(replace(REQUEST, recipe=str(tiny_network)), tmp_path / "out")
    assert folder.name == "humanmade-train-tiny" and "RECIPE = 'tiny'" in script_of(folder).read_text()
    texts = json.loads(lzma.decompress(base64.b85decode(bundle._pack(str(tiny_network)))))
    assert "humanmade/recipes/tiny.toml" in texts
    clash = tmp_path / "demo.toml"
    clash.write_text(tiny_network.read_text())
    with pytest.raises(UserError, match=r"demo\.toml.*rename it"):
        build(replace(REQUEST, recipe=str(clash)), tmp_path / "out")


def test_an_ensemble_travels_with_its_own_recipes(tmp_path: Path, tiny_network: Path):
    own = tmp_path / "both.toml"
    own.write_text(f'detector = "ensemble"\nmembers = ["spectrum", "{tiny_network.name}"]\n')
    texts = json.loads(lzma.decompress(base64.b85decode(bundle._pack(str(own)))))
    (tmp_path / "there.toml").write_text(texts["humanmade/recipes/both.toml"])
    assert recipes.load(str(tmp_path / "there.toml")) == recipes.load(str(own))


def test_slugs_are_kaggles_5_to_50_characters():
    def slug(kernel: str, recipe: str) -> str:
        return PushRequest(kernel, recipe, "tester").slug

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
        ({"attach": ("a/b/c",)}, "'a/b/c': expected owner/slug"),
        ({"kernel": "predict", "resume": True, "runs": ("a/c",), "settings": ()}, "takes no --resume"),
        ({"kernel": "predict"}, "--set epochs=1: .* only views="),
        ({"kernel": "blend", "settings": ()}, "push blend: takes no --recipe"),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_written(tmp_path: Path, change: dict, says: str):
    with pytest.raises(UserError, match=says):
        build(replace(REQUEST, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_large_a_script_is_refused_in_one_line(tmp_path: Path, tiny_network: Path):
    own = tmp_path / "big.toml"
    noise = hashlib.shake_256(b"").hexdigest(700_000)
    own.write_text(tiny_network.read_text().replace("test_efficientnet", noise))
    with pytest.raises(UserError, match=r"has \d{7} bytes, Kaggle takes 900000; .* make those smaller"):
        build(replace(REQUEST, recipe=str(own)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_kernels_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(bundle, "ROOT", tmp_path / "site-packages/humanmade")
    with pytest.raises(UserError, match=r"kernels/: not found.*checkout"):
        build(REQUEST, tmp_path / "out")


def test_no_credential_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = {"KAGGLE_KEY": "5ec2e7", "KAGGLE_API_TOKEN": "KGAT_5ec2e7", "KAGGLE_USERNAME": "someone-else"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home/.kaggle"
    home.mkdir(parents=True)
    (home / "kaggle.json").write_text('{"username": "someone-else", "key": "5ec2e7"}')
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))
    folder = build(REQUEST, tmp_path)
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
    script = script_of(build(REQUEST, tmp_path))
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
    said = self_test(build(REQUEST, tmp_path))
    modules = len(list(bundle.ROOT.rglob("*.py")))
    assert f"its {modules} modules import" in said and "kB" in said


def test_the_self_test_finds_what_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "src/humanmade"
    (package / "kaggle").mkdir(parents=True)
    (package / "recipes").mkdir()
    (package / "__init__.py").write_text("")
    (package / "kaggle/__init__.py").write_text("")
    (package / "recipes/demo.toml").write_text((bundle.ROOT / "recipes/demo.toml").read_text())
    (package / "kaggle/script_head.py").write_text((bundle.ROOT / "kaggle/script_head.py").read_text())
    (tmp_path / "kernels").symlink_to(bundle.ROOT.parents[1] / "kernels")
    monkeypatch.setattr(bundle, "ROOT", package)
    request = PushRequest("train", "demo", "tester", "1")
    assert "its 3 modules" in self_test(build(request, tmp_path / "a"))
    (package / "odd.py").write_text("import nosuchpackage\n")
    with pytest.raises(UserError, match=r"does not import .*No module named 'nosuchpackage'"):
        self_test(build(request, tmp_path / "b"))


IMAGE = {
    *("PIL", "albumentations", "click", "cv2", "imagehash", "jinja2", "kaggle", "matplotlib", "numpy"),
    *("pandas", "pydantic", "pydantic_core", "safetensors", "scipy", "six", "sklearn", "timm", "torch"),
    *("torchvision", "tqdm"),
}
"""What Kaggle's image ships and the package may import when a module is loaded."""


def test_nothing_is_imported_at_the_top_that_kaggles_image_lacks():
    allowed, seen = IMAGE | sys.stdlib_module_names | {"humanmade"}, set()
    for path in bundle.ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            tops = {name.split(".")[0] for name in names}
            assert tops <= allowed, f"{path} imports {tops - allowed}; import it inside a function"
            seen |= tops
    assert {"torch", "timm", "pydantic"} <= seen
