import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from humanmade.commands import main
from humanmade.competition import CURRENT
from humanmade.errors import UserError
from humanmade.kaggle import bundle, runtime
from humanmade.kaggle import outputs as kernel_outputs
from humanmade.kaggle.bundle import build
from humanmade.kaggle.outputs import OutputFolder
from humanmade.kaggle.push_request import CvOptions, PushRequest
from humanmade.kaggle.runtime import Session
from tests.conftest import TINY_PROBE, MakeFolder

OWNER, DATASET = CURRENT.dataset.split("/")
LAYOUTS = {
    "new": (f"competitions/{CURRENT.slug}", f"datasets/{OWNER}/{DATASET}", "notebooks/tester/"),
    "old": (CURRENT.slug, DATASET, ""),
}


def mount(root: Path, data: Path, layout: str = "new", copies: bool = False) -> Path:
    """Lay a competition out as Kaggle mounts it: tables in one place, pictures (and copies) in another."""
    tables, pictures, _ = (root / "input" / place for place in LAYOUTS[layout])
    tables.mkdir(parents=True)
    for name in ("train.csv", "test.csv"):
        shutil.copy(data / name, tables)
    for name in CURRENT.pictures:
        shutil.copytree(data / name, pictures / name)
        if copies:
            shutil.copy(data / f"{name.split('_')[0]}.csv", pictures)
    return root


@pytest.fixture
def root(tmp_path: Path, competition_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for /kaggle on a machine without GPUs."""
    monkeypatch.setenv("HUMANMADE_KAGGLE", str(tmp_path / "kaggle"))
    monkeypatch.setenv("HUMANMADE_RANKS", "1")
    return mount(tmp_path / "kaggle", competition_folder(pairs=8, test=4))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the verbs in this process, which has everything loaded."""

    def run(self: Session, arguments: list[str], ranks: int = 1) -> None:
        monkeypatch.setenv("HUMANMADE_CACHE", str(self.scratch / "cache"))
        if main(list(arguments)):
            raise UserError(f"{arguments[0]} failed")

    monkeypatch.setattr(Session, "_humanmade", run)


def outputs(root: Path) -> dict:
    """What outputs.json says, after making sure that it tells the truth about every file but the cache."""
    said = json.loads((root / "working/outputs.json").read_text())
    there = {
        path.relative_to(root / "working").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "working").rglob("*")
        if path.is_file() and path.name not in ("outputs.json", "cache.zip")
    }
    assert said["files"] == there
    return said


def as_input(root: Path, slug: str, layout: str = "new") -> None:
    """Attach what the session left to the next one, read-only, as `tester/slug`."""
    place = root / "input" / (LAYOUTS[layout][2] + slug)
    shutil.copytree(root / "working", place)
    shutil.rmtree(root / "working")
    for path in place.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_the_pushed_train_script_runs_on_two_ranks(root: Path, tiny_network: Path, tmp_path: Path):
    request = PushRequest("train", str(tiny_network), "tester", "feed", settings=("epochs=1",))
    folder = build(request, tmp_path / "build")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HUMANMADE_RANKS": "2", "TMPDIR": str(tmp_path), "SECRET": "5ec2e7"}
    script = folder / "humanmade-train-tiny.py"
    (root / "working").mkdir()
    done = subprocess.run(
        [sys.executable, script],
        cwd=root / "working",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = outputs(root)
    assert said["run_id"] == "feed" and not said["unfinished"]
    run = root / "working/runs/tiny"
    assert (root / "working/submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    assert "epochs = 1" in (run / "recipe.toml").read_text()
    assert json.loads((run / "scores.json").read_text())["commit"] == "", "the packed package ran"
    assert len(json.loads((run / "scores.json").read_text())["folds"]) == 3
    assert "timm " in done.stdout and "5ec2e7" not in done.stdout + done.stderr
    assert {path.name for path in (root / "working").iterdir()} == {
        "runs",
        "submission.csv",
        "outputs.json",
    }
    assert not list(tmp_path.glob("humanmade-scratch-*")), "nothing is left in the scratch space"


def test_out_of_time_it_ends_well_and_the_next_session_goes_on(
    root: Path, in_process: None, tiny_network: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = str(tiny_network)
    with runtime.session("one") as session:
        session.train(recipe, (), 1e-9, "")
    said = outputs(root)
    assert said["unfinished"] and "submission.csv" not in said["files"]
    assert "push with --resume" in capsys.readouterr().out
    as_input(root, "humanmade-train-tiny")
    with runtime.session("two") as session:
        session.train(recipe, (), 11.0, "tester/humanmade-train-tiny")
    said = outputs(root)
    assert not said["unfinished"] and said["run_id"] == "two" and "submission.csv" in said["files"]
    assert "was started before" in capsys.readouterr().out


def test_a_stopped_fold_keeps_its_checkpoint_until_it_is_finished(
    root: Path, in_process: None, tiny_network: Path, monkeypatch: pytest.MonkeyPatch
):
    from humanmade.training.budget import Budget

    steps = iter(range(100))
    over = property(lambda self: next(steps) >= 4)
    with monkeypatch.context() as patched:
        patched.setattr(Budget, "over", over)
        with runtime.session("one") as session:
            session.train(str(tiny_network), (), 11.0, "")
    assert "runs/tiny/fold0/last.pt" in outputs(root)["files"]
    as_input(root, "humanmade-train-tiny", "old")
    with runtime.session("two") as session:
        session.train(str(tiny_network), (), 11.0, "tester/humanmade-train-tiny")
    assert not [name for name in outputs(root)["files"] if name.endswith("last.pt")]


def test_too_many_outputs_are_packed_by_folds_and_taken_up_again(
    root: Path, in_process: None, tiny_probe: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe, name = str(tiny_probe), "runs/tinyprobe"
    monkeypatch.setattr(kernel_outputs, "MOST_OUTPUTS", 10)
    with runtime.session("one") as session:
        session.train(recipe, (), 11.0, "", ("--fold", "1"))
        made = {path.name for path in session.cache.rglob("features/*/*")}
    left = outputs(root)["files"]
    assert f"{name}/fold1.zip" in left and not [one for one in left if one.startswith(f"{name}/fold1/")]
    as_input(root, "first")
    with runtime.session("two") as session:
        session._take_up("tester/first", session.working / name)
        assert (session.working / name / "fold1/scores.json").is_file()
        assert made and made == {path.name for path in session.cache.rglob("features/*/*")}
    shutil.rmtree(root / "working")
    with runtime.session("three") as session:
        session.predict(recipe, ["tester/first"], ())
    assert outputs(root)["unfinished"] and (root / f"working/{name}-predict/test.csv").is_file()


def run_pushed(pushed: PushRequest) -> None:
    """Run a kernel's own lines, with the request filled in, without unpacking the package."""
    script = bundle.check(pushed) / f"{pushed.kernel}.py"
    text, values = script.read_text(), bundle._values(pushed) | {"RECIPE": pushed.recipe}
    text = bundle._fill(text, {name: repr(values[name]) for name in bundle._taken(text)})
    exec(compile(text, script, "exec"), {"__name__": "__main__"})


def test_a_resumed_push_attaches_its_own_kernel_and_goes_on_with_what_that_left(
    root: Path, in_process: None, tiny_probe: Path, capsys
):
    first = PushRequest("train", str(tiny_probe), "tester", options=CvOptions(fold=1))
    assert bundle._metadata(bundle.check(first), first)["kernel_sources"] == []
    run_pushed(first)
    fold = root / "working/runs/tinyprobe/fold1"
    before = {path.name: path.read_bytes() for path in fold.iterdir()}
    again = replace(first, options=CvOptions(), resume=True)
    (source,) = bundle._metadata(bundle.check(again), again)["kernel_sources"]
    assert source == first.reference
    (root / "working/cache.zip").write_bytes(b"damaged")
    as_input(root, source.split("/")[1])
    capsys.readouterr()
    run_pushed(again)
    said = capsys.readouterr()
    assert f"going on with {root}/input/notebooks/{source}/runs/tinyprobe" in said.out
    assert "cache.zip: damaged" in said.err and "what it holds is computed again" in said.err
    assert before == {path.name: path.read_bytes() for path in fold.iterdir()}, "fold 1 was trained again"
    assert "submission.csv" in outputs(root)["files"] and not outputs(root)["unfinished"]


def test_a_kernel_that_is_killed_leaves_its_finished_folds(
    root: Path, in_process: None, tiny_probe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kernel_outputs, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(OutputFolder, "close", lambda *_: None)
    with runtime.session("one") as session:
        session.train(str(tiny_probe), (), 11.0, "", ("--fold", "1"))
        (session.working / "runs/tinyprobe/fold2").mkdir()
        (session.working / "runs/tinyprobe/fold2/last.pt").write_text("unfinished")
        time.sleep(0.3)
    said = json.loads((root / "working/outputs.json").read_text())
    assert said["unfinished"] and said["bytes"] > 0
    assert {"runs/tinyprobe/recipe.toml", "runs/tinyprobe/fold1/scores.json"} < set(said["files"])
    assert not [name for name in said["files"] if "fold2" in name]


def test_predict_and_blend_take_other_kernels_runs(root: Path, in_process: None, tiny_probe: Path):
    recipe = str(tiny_probe)
    with runtime.session("one") as session:
        session.train(recipe, (), 11.0, "")
    trained = pd.read_csv(root / "working/runs/tinyprobe/test.csv")
    as_input(root, "first")
    with runtime.session("two") as session:
        session.predict(recipe, ["tester/first"], ['views=["identity", "hflip"]'])
    viewed = root / "working/runs/tinyprobe-predict"
    predicted = pd.read_csv(viewed / "test.csv")
    assert predicted["id"].tolist() == trained["id"].tolist()
    assert not predicted["logit"].equals(trained["logit"]), "the views are the request's"
    assert (root / "working/submission.csv").is_file() and not outputs(root)["unfinished"]
    assert 'views = ["identity", "hflip"]' in (viewed / "recipe.toml").read_text()
    as_input(root, "second", "old")
    with runtime.session("three", gpu=False) as session:
        session.blend(["tester/first", "tester/second"], ["method=rank", "prevalence=0.25"])
    labels = pd.read_csv(root / "working/submission.csv")
    assert labels["id"].tolist() == trained["id"].tolist() and labels["label"].sum() == 1
    assert set(outputs(root)["files"]) == {"submission.csv", "submission.csv.json"}


def test_an_ensembles_run_is_predicted_with_and_blended(
    root: Path, in_process: None, tiny_probe: Path, tmp_path: Path
):
    (tmp_path / "other.toml").write_text(TINY_PROBE + 'head = "difference"\n')
    both = tmp_path / "both.toml"
    members = f'["{tiny_probe}", "{tmp_path / "other.toml"}"]'
    both.write_text(f'detector = "ensemble"\nmembers = {members}\nfolds = 3\n')
    with runtime.session("one") as session:
        session.train(str(both), (), 11.0, "")
    trained = pd.read_csv(root / "working/runs/both/test.csv").set_index("id")["logit"]
    for path in tmp_path.glob("*.toml"):
        path.unlink()  # the run alone says what its members were
    as_input(root, "first")
    with runtime.session("two") as session:
        session.predict("probe_lite0", ["tester/first"], ())
    predicted = pd.read_csv(root / "working/runs/both-predict/test.csv").set_index("id")["logit"]
    assert predicted[trained.index].to_numpy() == pytest.approx(trained.to_numpy(), abs=1e-6)
    as_input(root, "second")
    with runtime.session("three", gpu=False) as session:
        session.blend(["tester/first", "tester/second"], [])
    assert pd.read_csv(root / "working/submission.csv")["id"].tolist() == trained.index.tolist()


def test_without_a_gpu_it_stops_at_once_with_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("HUMANMADE_RANKS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SystemExit) as ended, runtime.session("one") as session:
        session.train("demo", (), 11.0, "")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("humanmade: this session has no GPU")
    assert outputs(root)["unfinished"]


def test_a_gpu_that_does_not_compute_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "_TRY_GPUS", "raise RuntimeError('no kernel image is available')")
    with pytest.raises(UserError, match=r"the GPU does not work .*no kernel image.*push again"):
        runtime.working_gpus()
    monkeypatch.setattr(runtime, "_TRY_GPUS", "print('Tesla T4')\nprint('Tesla T4')")
    assert runtime.working_gpus() == ["Tesla T4", "Tesla T4"]


def test_a_failing_verb_ends_the_kernel_with_its_reason(root: Path, tiny_probe: Path, capfd):
    broken = next((root / "input" / LAYOUTS["new"][1] / "train_data").iterdir())
    broken.write_bytes(b"broken")
    with pytest.raises(SystemExit) as ended, runtime.session("one") as session:
        session.train(str(tiny_probe), (), 11.0, "")
    assert ended.value.code == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(
        "humanmade: cv ended with exit code 2: 1 of 16 train pictures cannot be read, more"
    )
    assert outputs(root)["run_id"] == "one"


def test_one_unreadable_picture_does_not_end_a_kernel(
    root: Path, in_process: None, tiny_probe: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    pictures = root / "input" / LAYOUTS["new"][1]
    for name in CURRENT.pictures:
        next((pictures / name).iterdir()).write_bytes(b"broken")
    monkeypatch.setattr(runtime, "MOST_BROKEN", 0.1)
    with runtime.session("one") as session:
        session.train(str(tiny_probe), (), 11.0, "")
    assert "1 rows are left out of training, 1 test rows get the median" in capsys.readouterr().err
    submitted = pd.read_csv(root / "working/submission.csv")
    assert (
        submitted["id"].tolist()
        == pd.read_csv(root / "input" / LAYOUTS["new"][0] / "test.csv")["id"].tolist()
    )


def test_a_small_run_has_a_name_of_its_own_and_foretells_the_whole_one(
    root: Path, in_process: None, tiny_network: Path, manifest_folder: MakeFolder, capsys
):
    shutil.copytree(manifest_folder(pairs=2, first_seed=500), root / "input/datasets/me/more")
    options = ("--limit", "8", "--folds", "2", "--seed", "7")
    with runtime.session("one") as session:
        session.train(str(tiny_network), (), 11.0, "", options, ["me/more"])
    run = root / "working/runs/tiny-smoke"
    assert "seeds = [7]" in (run / "recipe.toml").read_text()
    pictures = pd.read_csv(run / "pictures.csv")["id"]
    assert len(pictures) == 8 + 4 and pictures.str.startswith("extra:more/").sum() == 4
    said = capsys.readouterr().out.strip().splitlines()[-3:]
    assert all(line.startswith("the whole run: ") for line in said)
    assert "(20 train and 4 test over 12 and 4), 1 folds at a time" in said[1]
    assert said[2].startswith("the whole run: about ") and said[2].endswith(" for 3 folds")
