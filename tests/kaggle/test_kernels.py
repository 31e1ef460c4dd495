"""Kernels: a push that counts, a run that is this push's, outputs that are what the kernel wrote."""

import io
import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from humanmade import files, ledger
from humanmade.errors import KaggleError
from humanmade.kaggle import MACHINE, kernels
from humanmade.kaggle.outputs import read
from tests.kaggle.conftest import Kit
from tests.kaggle.standin import Files, Json, StandIn, State, outputs

NAME = "tester/humanmade-train-spectrum"
PUSH = ("push", "train", "--recipe", "spectrum", "--hours", "2")
RUN: Files = {
    "runs/spectrum/recipe.toml": b'detector = "spectrum"\n',
    "runs/spectrum/scores.json": b"""{"data": "", "folds": [
        {"fold": 0, "f1": 1.0, "auc": 1.0, "logloss": 0.1, "seconds": 1.0, "images_per_second": 9.0},
        {"fold": 1, "f1": 1.0, "auc": 1.0, "logloss": 0.1, "seconds": 1.0, "images_per_second": 9.0}]}""",
    "runs/spectrum/submission.csv": b"id,label\n",
    "submission.csv": b"id,label\n",
} | {f"runs/spectrum/fold{fold}/{name}": bytes([fold]) for fold in range(12) for name in ("a.bin", "b.bin")}


def ran(files: Files, *before: State, **listing: bool) -> Callable[[Json], list[State]]:
    """A kernel that queues, runs and completes with these outputs, after what Kaggle still shows before."""

    def run(asked: Json) -> list[State]:
        done = State("COMPLETE", outputs(asked, files, **listing))
        return [*before, State("QUEUED"), State("RUNNING"), done]

    return run


def failed(status: str, failure: str = "", log: str = "") -> Callable[[Json], list[State]]:
    return lambda _: [State("RUNNING"), State(status, {}, log, failure)]


@pytest.fixture(autouse=True)
def kernel(standin: StandIn) -> None:
    standin.run_kernel = ran(RUN)


def landed() -> Files:
    kept = [path for path in Path("runs").rglob("*") if path.is_file() and ".kaggle" not in path.parts]
    return {path.as_posix(): path.read_bytes() for path in kept if path.name != "kernel.json"}


ALL = {name: content for name, content in RUN.items() if name.startswith("runs/")}


def test_a_push_says_what_it_takes_and_is_noted(kit: Kit, standin: StandIn):
    said = kit(*PUSH)
    assert "28.0 of 30.0 hours are left this week; this kernel may take 2" in said
    assert f"pushed {NAME} version 1: https://www.kaggle.com/code/{NAME}" in said
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert (asked["isPrivate"], asked["enableGpu"], asked["machineShape"]) == (True, True, MACHINE)
    assert asked["enableInternet"] is False and asked["sessionTimeoutSeconds"] == 9000
    note = json.loads(Path("runs/.kaggle/humanmade-train-spectrum.json").read_text())
    assert note["version"] == 1 and note["run_id"] in asked["text"]
    assert f"{NAME} version 1, pushed 20" in kit("status", "train")


def test_a_refused_push_is_no_success(kit: Kit, standin: StandIn):
    standin.push_error = "Maximum batch GPU session count of 2 reached."
    assert "Kaggle refused it (Maximum batch GPU session count" in kit(*PUSH, code=3)
    assert "not pushed from here" in kit("status", "train", code=2)


def test_a_push_under_another_name_is_no_success(kit: Kit, standin: StandIn):
    standin.renamed = "tester/notebook1234567"
    assert "Kaggle calls it tester/notebook1234567" in kit(*PUSH, code=3)


def test_a_push_without_its_data_is_no_success(kit: Kit, standin: StandIn):
    standin.known_sources = {"detect-ai-vs-human-generated-images"}
    line = kit(*PUSH, code=3)
    assert "does not know datasets alessandrasala79/ai-vs-human-generated-dataset and runs version 1" in line
    assert "not pushed from here" in kit("pull", "train", code=2)


@pytest.mark.parametrize(("status", "after"), [(429, False), (503, False), (0, False), (0, True)])
def test_push_status_and_output_are_tried_again(kit: Kit, standin: StandIn, status: int, after: bool):
    methods = (
        "SaveKernel", "GetAcceleratorQuotaStatistics", "GetKernelSessionStatus", "ListKernelSessionOutput",
    )  # fmt: skip
    for method in methods:
        standin.fail(method, status, after=after, headers={"Retry-After": "0"})
    for name in ("a.bin", "outputs.json"):
        standin.fail(f"GET {name}", status or 500)
    kit(*PUSH, "--wait")
    kit("pull", "train")
    assert landed() == ALL and all(standin.count(method) >= 2 for method in methods)


def test_hours_beyond_the_quota_are_refused_before_pushing(kit: Kit, standin: StandIn):
    standin.gpu_hours = (28.5, 30.0)
    line = kit(*PUSH, code=2)
    assert "1.5 of 30.0 hours are left" in line and "or wait until 2026-11-28" in line
    assert standin.count("SaveKernel") == 0
    kit(*PUSH[:-1], "1.5")


def test_waiting_is_not_fooled_by_the_run_before(kit: Kit, standin: StandIn):
    kit(*PUSH, "--wait")
    old = standin.kernels[NAME][-1]
    standin.run_kernel = ran(RUN, old, old)
    assert "version 2: COMPLETE" in kit(*PUSH, "--wait")
    assert standin.kernels[NAME][0] is not old
    standin.run_kernel = lambda _: [old]
    kit(*PUSH)
    assert "not started yet" in kit("status", "train")
    assert "another run's outputs" in kit("status", "train", "--wait", "--patience", "1", code=3)
    assert "another run's COMPLETE" in kit("pull", "train", code=3)
    assert not landed()


def test_waiting_ends_with_the_reason(kit: Kit, standin: StandIn):
    log = json.dumps([{"stream_name": "stderr", "data": "CUDA error:"}, {"data": " no kernel image\n"}])
    standin.run_kernel = failed("ERROR", log=log)
    line = kit(*PUSH, "--wait", code=3)
    assert "version 1: ERROR (CUDA error: no kernel image); its log is runs/.kaggle/" in line
    assert Path("runs/.kaggle/humanmade-train-spectrum.log").read_text() == "CUDA error: no kernel image\n"
    standin.run_kernel = failed("CANCEL_ACKNOWLEDGED", "You cancelled it")
    kit(*PUSH)
    assert "CANCEL_ACKNOWLEDGED (You cancelled it)" in kit("status", "train", "--wait", code=3)
    assert "CANCEL_ACKNOWLEDGED (You cancelled it)" in kit("pull", "train", code=3)


def test_ctrl_c_leaves_the_kernel_running_and_says_so(kit: Kit, standin: StandIn):
    standin.run_kernel = lambda _: [State("RUNNING")]
    kit(*PUSH)
    command = [sys.executable, "-m", kit.module, "status", "train", "--wait"]
    with subprocess.Popen(
        command, env=standin.environment(kit.home), stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr
        assert "version 1: running" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130
    assert rest == (
        "humanmade: interrupted; the kernel runs on; humanmade status train --wait follows it again\n"
    )


def test_a_run_that_wrote_nothing_is_no_success(kit: Kit, standin: StandIn):
    standin.run_kernel = lambda _: [State("RUNNING"), State("COMPLETE", {"x.txt": b""}, "Killed\n")]
    assert "ended without outputs.json (Killed)" in kit(*PUSH, "--wait", code=3)


def test_a_run_lands_whole_with_its_kernel(kit: Kit, standin: StandIn):
    standin.run_kernel = ran(RUN, unfinished=True)
    kit(*PUSH, "--wait")
    said = kit("pull", "train", "--recipe", "spectrum")
    assert "runs/spectrum: 2 folds; unfinished: push --resume goes on with it" in said
    assert landed() == ALL and len(RUN) > 20 and not Path("submissions").exists()
    note = json.loads(Path("runs/spectrum/kernel.json").read_text())
    assert (note["kernel"], note["version"]) == (NAME, 1)
    fetched = len(standin.fetched)
    assert "is here already" in kit("pull", "humanmade-train-spectrum")
    assert len(standin.fetched) <= fetched + 2
    assert [path.name for path in Path("runs/.kaggle").iterdir()] == ["humanmade-train-spectrum.json"]


def test_a_failed_kernels_finished_folds_land_as_an_unfinished_run(kit: Kit, standin: StandIn):
    left = {
        name: content for name, content in RUN.items() if "/fold" not in name and name != "submission.csv"
    }
    left["runs/spectrum/scores.json"] = b'{"data": "", "folds": [], "unfinished": true}'
    standin.run_kernel = lambda asked: [
        State("ERROR", outputs(asked, left, unfinished=True), "out of memory\n")
    ]
    kit(*PUSH)
    assert "ERROR (out of memory)" in kit("pull", "train", code=3) and not landed()
    left["runs/spectrum/fold1/scores.json"] = b"{}"
    kit(*PUSH)
    assert "pull fetches the folds that it finished, if any" in kit("status", "train", "--wait", code=3)
    said = kit("pull", "train")
    assert said == "runs/spectrum: 1 folds; unfinished: push --resume goes on with it\n"
    assert landed() == {name: content for name, content in left.items() if name.startswith("runs/")}


def test_packed_folds_are_unpacked_and_a_full_disk_is_told_before(kit: Kit, standin: StandIn):
    folds = {name: RUN[name] for name in RUN if "/fold3/" in name}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in folds.items():
            archive.writestr(name.removeprefix("runs/spectrum/"), content)
    made = {name: RUN[name] for name in RUN if name not in folds} | {
        "runs/spectrum/fold3.zip": packed.getvalue()
    }
    standin.run_kernel = ran(made)
    kit(*PUSH, "--wait")
    state = standin.kernels[NAME][-1].files
    honest = state["outputs.json"]
    state["outputs.json"] = json.dumps(json.loads(honest) | {"bytes": 10**15}).encode()
    assert "1000000.0 GB to pull of" in kit("pull", "train", code=2) and not landed()
    state["outputs.json"] = honest
    kit("pull", "train")
    assert landed() == ALL


def test_half_a_run_does_not_land(kit: Kit, standin: StandIn):
    standin.run_kernel = ran({name: RUN[name] for name in RUN if not name.endswith("recipe.toml")})
    kit(*PUSH, "--wait")
    assert "outputs hold no recipe.toml of run spectrum" in kit("pull", "train", code=3)
    assert not landed()


def test_another_run_is_not_replaced_silently(kit: Kit, standin: StandIn):
    mine = Path("runs/spectrum/recipe.toml")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    kit(*PUSH, "--wait")
    assert "runs/spectrum: is another run" in kit("pull", "train", code=2)
    assert mine.read_text() == "mine" and len(landed()) == 1
    kit("pull", "train", "--force")
    assert landed() == ALL


def test_recipes_of_kernels_are_known_as_long_as_they_are_here(kit: Kit, standin: StandIn):
    Path("mine.toml").write_text('detector = "spectrum"\n')
    kit(*PUSH)
    kit("push", "train", "--recipe", "mine.toml")
    names = (NAME, "tester/humanmade-train-mine", "tester/unknown")
    assert kernels.recipes_of(names) == ("mine.toml", "spectrum")
    Path("mine.toml").unlink()
    assert kernels.recipes_of(names) == ("spectrum",)


def test_a_later_session_lands_on_the_unfinished_run_of_an_earlier_one(kit: Kit, standin: StandIn):
    scores = "runs/spectrum/scores.json"
    half = {name: content for name, content in RUN.items() if name != "submission.csv"}
    half[scores] = b'{"data": "abc", "folds": [], "unfinished": true}'
    standin.run_kernel = ran(half, unfinished=True)
    kit(*PUSH, "--wait")
    kit("pull", "train")
    assert landed() == half
    other = half | {scores: b'{"data": "other", "folds": []}'}
    whole = half | {scores: b'{"data": "abc", "folds": []}'}
    standin.run_kernel = ran(other)
    assert "was not pulled" not in kit(*PUSH, "--wait", shown="stderr")
    assert "is of another recipe or data" in kit("pull", "train", code=2) and landed() == half
    standin.run_kernel = ran(whole)
    assert f"version 2 of {NAME} was not pulled" in kit(*PUSH, "--wait", shown="stderr")
    kit("pull", "train")
    assert landed() == whole
    standin.run_kernel = ran(whole)
    kit(*PUSH, "--wait")
    assert "runs/spectrum: is another run" in kit("pull", "train", code=2), "a finished one is kept"


@pytest.mark.parametrize(("status", "says"), [(404, "answered 404"), (200, "served an error page")])
def test_a_dead_link_is_never_a_file(kit: Kit, standin: StandIn, status: int, says: str):
    kit(*PUSH, "--wait")
    standin.fail("GET scores.json", status, times=99, page=True)
    assert says in kit("pull", "train", code=3)
    assert not landed()
    standin.fail("GET scores.json", status, times=1, page=True)
    before = len(standin.fetched)
    kit("pull", "train")
    assert landed() == ALL
    # What had arrived whole is not fetched again.
    assert len(standin.fetched) - before < 12


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil", "runs/../../evil", "runs/spectrum/../../evil", "runs/x", "other/x/y"]
)
def test_outputs_stay_in_their_folder(name: str):
    text = outputs({}, RUN | {name: b"evil"}, run_id="1")["outputs.json"].decode()
    with pytest.raises(
        KaggleError, match=rf"names '{re.escape(name)}', outside of runs/; nothing was fetched"
    ):
        read(json.loads(text), NAME)


@pytest.mark.parametrize(
    "text", ["{}", '{"run_id": "1", "files": [], "unfinished": false}',
             '{"run_id": "1", "unfinished": false, "files": {"submission.csv": "12"}}']
)  # fmt: skip
def test_a_damaged_list_of_outputs_is_refused(text: str):
    with pytest.raises(KaggleError, match=r"outputs.json is damaged"):
        read(json.loads(text), NAME)


def test_a_list_of_outputs_that_is_none_or_too_large_is_refused(kit: Kit, standin: StandIn):
    kit(*PUSH, "--wait")
    left = standin.kernels[NAME][-1].files
    for content, says in (
        (b"[1]", f"{NAME}: its outputs.json is damaged; push it again"),
        (bytes(2**24 + 1), "output outputs.json: has more than"),
    ):
        left["outputs.json"] = content
        assert says in kit("pull", "train", code=3)


def test_a_run_that_is_still_going_is_not_pulled(kit: Kit, standin: StandIn):
    kit(*PUSH)
    assert "is QUEUED; humanmade status train --wait" in kit("pull", "train", code=3)


def test_a_smoke_run_is_pushed_beside_the_whole_one_and_says_what_that_would_take(kit: Kit, standin: StandIn):
    whole = "the whole run: about 5.1 h for 4 folds"
    standin.run_kernel = lambda asked: [State("COMPLETE", outputs(asked, RUN), f"fold 0: ...\n{whole}\n")]
    said = kit(*PUSH, "--smoke", "--extra", "friend/more", "--wait")
    assert "this kernel may take 0.5" in said and f"\n{whole}\n{NAME}-smoke version 1" in said
    assert whole in kit("status", "train")
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert asked["slug"] == f"{NAME}-smoke" and asked["datasetDataSources"][1:] == ["friend/more"]
    assert "absent" not in said and "not on Kaggle; make a dataset" in kit(*PUSH, "--extra", "mine", code=2)


def test_resume_attaches_the_kernel_s_own_last_run(kit: Kit, standin: StandIn):
    kit(*PUSH, "--resume")
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert asked["kernelDataSources"] == [NAME]


def test_a_blend_kernel_leaves_a_submission_with_its_origin(kit: Kit, standin: StandIn):
    note = {"sha256": "", "runs": ["a", "b"], "blend": "mean", "threshold": "by rank", "fold_score": 0.9}
    content = b"id,label\nx,1\n"
    Path("probe").write_bytes(content)
    note["sha256"] = files.sha256(Path("probe"))
    made = {"submission.csv": content, "submission.csv.json": json.dumps(note).encode()}
    standin.run_kernel = ran(made)
    kit("push", "blend", "--run", "humanmade-train-spectrum", "--run", "friend/other", "--wait")
    (asked,) = [asked for method, asked in standin.calls if method == "SaveKernel"]
    assert asked["kernelDataSources"] == [NAME, "friend/other"]
    assert asked.get("enableGpu", False) is False and "machineShape" not in asked
    assert standin.count("GetAcceleratorQuotaStatistics") == 0
    assert "submissions/humanmade-blend.csv: its submission" in kit("pull", "blend")
    place = Path("submissions/humanmade-blend.csv")
    noted = ledger.origin(place)
    assert place.read_bytes() == content and noted and noted["runs"] == ["a", "b"]
    place.write_text("mine")
    assert "is another submission" in kit("pull", "blend", code=2) and place.read_text() == "mine"


def test_a_refused_submission_lands_no_run_and_force_brings_both(kit: Kit, standin: StandIn):
    standin.run_kernel = ran(RUN | {"submission.csv": b"id,label\nx,1\n"})
    kit(*PUSH, "--wait")
    place = Path("submissions/humanmade-train-spectrum.csv")
    place.parent.mkdir()
    place.write_text("mine")
    assert f"{place}: is another submission" in kit("pull", "train", code=2) and not landed()
    assert f"{place}: its submission" in kit("pull", "train", "--force")
    assert landed() == ALL and place.read_bytes() == b"id,label\nx,1\n"
    place.unlink()
    note = Path("runs/spectrum/mine.txt")
    note.write_text("mine")
    assert kit("pull", "train") == f"{place}: its submission\n" and place.is_file() and note.is_file()


def test_a_dry_run_needs_neither_account_nor_network(kit: Kit, standin: StandIn):
    bare = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}
    said = kit(*PUSH, "--dry-run", **bare)
    assert "build/kernels/humanmade-train-spectrum: built and not pushed (--dry-run)" in said
    assert "  ends within: 2 hours\n" in said
    assert standin.calls == []
