"""The pushed scripts under the versions of Kaggle's image, without network, with read-only inputs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from humanmade.data import demo
from humanmade.detectors.weights import LITES, find_weights
from humanmade.kaggle.bundle import build
from humanmade.kaggle.push_request import PushRequest
from tests.kaggle.test_runtime import as_input, mount, outputs

TWIN = Path(__file__).parents[2] / ".twin/bin/python"
CONSTRAINTS = Path(__file__).parents[2] / "kernels/constraints.txt"

pytestmark = pytest.mark.skipif(not TWIN.is_file(), reason="no twin of Kaggle's image; make twin makes it")

RECIPES = [("probe_lite0", ("image_size=96",)), ("demo", ("folds=2", "epochs=2"))]

APART = """
ip link set lo up
mount --bind "$INPUTS" "$INPUTS" && mount -o remount,bind,ro "$INPUTS" || exit 1
exec "$@"
"""
"""Runs in a network of its own, of which only loopback is up."""


def apart() -> list[str]:
    """How to run a command without network and with read-only inputs; empty where that is not allowed."""
    unshare = ["unshare", "--net", "--mount"]
    if shutil.which("unshare") and not subprocess.run([*unshare, "true"], check=False).returncode:
        return [*unshare, "sh", "-c", APART, "apart"]
    return []


@pytest.fixture(scope="module")
def competition_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.make(tmp_path_factory.mktemp("demo") / "demo")


def run_script(python: Path | str, root: Path, script: Path) -> dict:
    """Run a pushed script as Kaggle does, on two ranks; its outputs.json."""
    (root / "working").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HUMANMADE_KAGGLE": str(root), "HUMANMADE_RANKS": "2", "INPUTS": str(root / "input")}
    done = subprocess.run(
        [*apart(), str(python), str(script)],
        cwd=root / "working",
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return outputs(root)


def labels(root: Path) -> "pd.Series[int]":
    return pd.read_csv(root / "working/submission.csv").set_index("id")["label"]


def script_of(request: PushRequest, out: Path) -> Path:
    return next(build(request, out).glob("*.py"))


def test_the_other_scripts_take_what_train_left(tmp_path: Path, competition_demo: Path):
    root = mount(tmp_path / "kaggle", competition_demo)
    settings, runs = ("image_size=64", "folds=2"), ("tester/first",)
    trained = run_script(
        TWIN, root, script_of(PushRequest("train", "spectrum", "tester", "1", settings), tmp_path)
    )
    as_input(root, "first")
    views = ("views=hflip",)
    request = PushRequest("predict", "spectrum", "tester", "2", views, runs=runs)
    predicted = run_script(TWIN, root, script_of(request, tmp_path))
    assert {trained["run_id"], predicted["run_id"]} == {"1", "2"}
    as_input(root, "second", "old")
    request = PushRequest("blend", "", "tester", "3", ("method=rank",), runs=(*runs, "tester/second"))
    blended = run_script(TWIN, root, script_of(request, tmp_path))
    assert set(blended["files"]) == {"submission.csv", "submission.csv.json"}
    ids = pd.read_csv(competition_demo / "test.csv")["id"]
    assert labels(root).index.tolist() == ids.tolist()


@pytest.mark.parametrize(("recipe", "settings"), RECIPES, ids=[name for name, _ in RECIPES])
def test_the_image_gives_the_same_bytes_under_both_layouts_and_our_labels(
    tmp_path: Path, competition_demo: Path, recipe: str, settings: tuple[str, ...]
):
    weights, _ = find_weights(LITES[0])
    assert weights
    script = script_of(PushRequest("train", recipe, "tester", "feed", settings), tmp_path / "build")
    roots = {}
    for name, layout in (("new", "new"), ("old", "old"), ("ours", "new")):
        roots[name] = mount(tmp_path / name, competition_demo, layout)
        attached = roots[name] / "input" / ("datasets/tester/weights" if layout == "new" else "weights")
        attached.mkdir(parents=True)
        shutil.copy(weights, attached)
    new, old, ours = (
        run_script(python, roots[name], script)
        for name, python in (("new", TWIN), ("old", TWIN), ("ours", sys.executable))
    )
    timed = ("scores.json", "trained.json")
    for name, digest in new["files"].items():
        if not name.endswith(timed):
            assert old["files"][name] == digest, name
    assert set(new["files"]) == set(old["files"]) == set(ours["files"])
    for name in ("folds.csv", "pictures.csv", "recipe.toml"):
        path = f"runs/{recipe}/{name}"
        assert new["files"][path] == ours["files"][path], "or runs from here and there could not be blended"
    versions = json.loads((roots["new"] / f"working/runs/{recipe}/scores.json").read_text())["versions"]
    wanted = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    assert versions | {name: wanted[name] for name in versions if name in wanted} == versions
    here = labels(roots["ours"])
    there = labels(roots["new"])
    assert here.index.equals(there.index)
    assert (here == there).mean() >= 0.99
