"""Every call that the kit makes of Kaggle, with the real client, under every fault of a network.

What passes is tried again until it is done right; what does not is one line. Nothing is taken for done that
is not, and no pause is longer than it should be.
"""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import torch
from safetensors.torch import save_file

from humanmade import files, ledger
from humanmade.competition import CURRENT
from humanmade.errors import KaggleError
from humanmade.kaggle import bundle, client, download, kernels, pull, submissions, weights
from humanmade.kaggle.client import Client
from humanmade.kaggle.push_request import PushRequest
from tests.kaggle import standin as standins
from tests.kaggle.standin import KEY, TOKEN, Dataset, StandIn, State, outputs

REQUEST = PushRequest("train", "spectrum", "tester", "feed")
RUN = {f"runs/spectrum/{name}": name.encode() * 9 for name in ("recipe.toml", "oof.csv", "fold0/scores.json")}
RUN["runs/spectrum/scores.json"] = b'{"data": "", "folds": []}'
ZIP = CURRENT.dataset.split("/")[1] + ".zip"

Flow = Callable[[Client, StandIn], None]


def sign_in(signed: Client, _: StandIn) -> None:
    assert signed.owner == "tester"


def data(signed: Client, standin: StandIn) -> None:
    assert "complete; 2 train pictures" in download.download(signed, Path("data"))


def kernel(signed: Client, standin: StandIn) -> None:
    folder = Path("kernel")
    metadata = bundle._metadata(bundle.ROOT.parents[1] / "kernels/train", REQUEST)
    files.write_json(folder / bundle.METADATA, metadata)
    files.write_text(folder / metadata["code_file"], "RUN_ID = 'feed'\n")
    pushed = kernels.push(signed, REQUEST, folder)
    assert "COMPLETE" in kernels.follow(signed, pushed)
    assert pull.pull(signed, pushed) == ["runs/spectrum: 1 folds"]
    assert {name: Path(name).read_bytes() for name in RUN} == RUN


def new_weights(signed: Client, standin: StandIn) -> None:
    path = Path("resnet18.safetensors")
    save_file({"x": torch.ones(50)}, path)
    reference = weights.push(signed, "resnet18", [path])
    assert standin.datasets[reference].files == {path.name: path.read_bytes()}


def more_weights(signed: Client, standin: StandIn) -> None:
    standin.datasets[f"tester/{weights.dataset('resnet18')}"] = Dataset({})
    new_weights(signed, standin)


def submit(signed: Client, standin: StandIn) -> None:
    Path("s.csv").write_text("id,label\nx,1\n")
    row = submissions.follow(signed, submissions.send(signed, Path("s.csv"), "mine"))
    assert row["public"] == "0.75000" and ledger.read()[-1] == row
    assert len(ledger.read()) == len(standin.submissions), "one was sent twice"
    assert standin.blobs[f"blob{len(standin.blobs) - 1}"] == ("s.csv", b"id,label\nx,1\n")


CALLS: dict[str, Flow] = {
    "IntrospectToken": sign_in,
    "DownloadDataFiles": data,
    "GetDataset": data,
    "DownloadDataset": data,
    f"GET {ZIP}": data,
    "GetAcceleratorQuotaStatistics": kernel,
    "SaveKernel": kernel,
    "GetKernelSessionStatus": kernel,
    "ListKernelSessionOutput": kernel,
    "GET outputs.json": kernel,
    "GET oof.csv": kernel,
    "GetDatasetStatus": new_weights,
    "StartBlobUpload": new_weights,
    "PUT resnet18.safetensors": new_weights,
    "CreateDataset": new_weights,
    "CreateDatasetVersion": more_weights,
    "ListDatasetFiles": new_weights,
    "ListSubmissions": submit,
    "StartSubmissionUpload": submit,
    "PUT s.csv": submit,
    "CreateSubmission": submit,
}
"""What needs each call."""

FAULTS: dict[str, dict] = {
    "dropped": {"status": 0},
    "answer lost": {"status": 0, "after": True},
    "silent": {"status": 200, "kind": "silent"},
    "late": {"status": 200, "kind": "late"},
    "cut": {"status": 200, "kind": "cut"},
    "short": {"status": 200, "kind": "short"},
    "429": {"status": 429},
    "429, wait": {"status": 429, "headers": {"Retry-After": "2"}},
    "500": {"status": 500},
    "429, date": {"status": 429, "headers": {"Retry-After": "Mon, 28 Nov 2095 00:00:00 GMT"}},
    "page": {"status": 200, "page": True},
}
REDIRECTS = {"DownloadDataFiles", "DownloadDataset"}
"""Their answers have no body that could be cut."""


def cells() -> Iterator[tuple[str, str]]:
    """Calls, and the faults that can befall them."""
    for call in CALLS:
        impossible = {"answer lost"} if not call.startswith(("Create", "Save", "Start")) else set()
        impossible |= {"cut", "short"} if call in REDIRECTS else set()
        impossible |= {"short"} if call.startswith("PUT ") else set()
        yield from ((call, fault) for fault in FAULTS if fault not in impossible)


# Nothing tells these from an answer at once.
NOT_SEEN = {
    ("DownloadDataFiles", "page"): "no whole zip archive came",
    ("DownloadDataset", "page"): "no whole zip archive came",
    (f"GET {ZIP}", "page"): "no whole zip archive came",
    (f"GET {ZIP}", "short"): "no whole zip archive came",
    ("PUT resnet18.safetensors", "page"): "did not arrive whole",
    ("PUT s.csv", "page"): "Kaggle could not score it: empty",
}


@pytest.fixture(autouse=True)
def kernels_and_scores(standin: StandIn) -> None:
    standin.run_kernel = lambda asked: [State("RUNNING"), State("COMPLETE", outputs(asked, RUN))]
    standin.score = lambda content: ("0.75000", "") if content else ("", "empty")


def signed(call: str, monkeypatch: pytest.MonkeyPatch, patience: float = 60) -> Client:
    if CALLS[call] is sign_in:
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    return Client(patience)


@pytest.mark.parametrize(("call", "fault"), [*cells()])
def test_one_fault_is_got_over_or_told(
    kaggle: StandIn, slept: list[float], monkeypatch, capsys, call: str, fault: str
):
    kaggle.fail(call, **FAULTS[fault])
    if expected := NOT_SEEN.get((call, fault)):
        with pytest.raises(KaggleError, match=expected):
            CALLS[call](signed(call, monkeypatch), kaggle)
    CALLS[call](signed(call, monkeypatch), kaggle)
    assert not kaggle.faults[call].times, "the fault befell nobody"
    said = capsys.readouterr().err
    told = [line for line in said.splitlines() if line.startswith("warning: ")]
    if fault == "late":
        assert not told
    elif not expected:
        assert told, "a pause that nobody is told of"
    assert KEY not in said and TOKEN not in said and "signed-and-secret" not in said
    assert max(slept, default=0) <= 2


def test_a_long_pause_is_told_while_it_lasts(kaggle: StandIn, monkeypatch, capsys):
    monkeypatch.setattr(client, "LOG_SECONDS", 0.02)
    kaggle.fail("GetDataset", **FAULTS["late"])
    data(Client(60), kaggle)
    said = capsys.readouterr().err
    assert f"warning: size of {CURRENT.dataset}: no answer yet; waiting 0.4 s at most\n" in said


def test_a_download_goes_on_for_as_long_as_more_of_it_comes(kaggle: StandIn, slept: list[float]):
    with zipfile.ZipFile(packed := io.BytesIO(kaggle.archives[CURRENT.dataset]), "a") as archive:
        archive.writestr("more.bin", bytes(8 * 2**20), zipfile.ZIP_STORED)
    kaggle.archives[CURRENT.dataset] = packed.getvalue()
    kaggle.fail(f"GET {ZIP}", 0, times=3)  # each call begins with a look at all of it
    data(Client(0.1), kaggle)
    assert [begin // 2**20 for _, begin in kaggle.fetched if begin] == [4, 6]


def test_patience_is_spent_by_silence_and_pauses_not_by_work(kaggle: StandIn, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUTS", (0.0, 0.01))
    monkeypatch.setattr(client, "FIRST_DELAY", 0.001)
    left = [1, 1, 1]

    def work() -> str:
        time.sleep(0.1)
        if left:
            left.pop()
            raise requests.ConnectionError
        return "done"

    assert Client(0.2).call("work", work) == "done"


def test_nothing_is_followed_for_ever(kaggle: StandIn, monkeypatch):
    monkeypatch.setattr(kernels, "LONGEST_HOURS", 0)
    kaggle.kernels[REQUEST.reference] = [State("RUNNING")]
    pushed = kernels.Pushed("train", "spectrum", REQUEST.reference, 1, "feed", "http://k", "2026")
    with pytest.raises(KaggleError, match="version 1: has not ended in 0 h; look at http://k"):
        kernels.follow(Client(60), pushed)


@pytest.mark.parametrize("answer", ["null", '"word"', '{"submissions": 3}', '{"code": "x"}'])
def test_an_answer_that_is_not_understood_is_one_line(kaggle: StandIn, slept, monkeypatch, answer: str):
    monkeypatch.setitem(standins._METHODS, "ListSubmissions", lambda *_: json.loads(answer))
    with pytest.raises(KaggleError, match=r"^submissions: "):
        submissions.listed(Client(1))


@pytest.mark.parametrize("fault", ["silent", "page", "429, long", "401"])
@pytest.mark.parametrize("call", CALLS)
def test_a_lasting_fault_ends_in_one_line_in_time(
    kaggle: StandIn, slept: list[float], monkeypatch, call: str, fault: str
):
    lasting = {
        "429, long": {"status": 429, "headers": {"Retry-After": "7000"}},
        "401": {"status": 401, "message": "token expired"},
    }
    kaggle.fail(call, times=99, **(FAULTS | lasting)[fault])
    refused = fault == "401" and " " not in call
    with pytest.raises(KaggleError) as ended:
        # Credentials that are refused end it at once, so a slow answer may have its time.
        CALLS[call](signed(call, monkeypatch, 5 if refused else 0.8), kaggle)
    line = str(ended.value)
    assert "\n" not in line and len(line) < 300 and "signed-and-secret" not in line
    assert sum(slept) < 8 and 99 - kaggle.faults[call].times <= 4, "more than such a patience asks for"
    assert "s.csv" not in [path.name for path in Path("submissions").glob("*")]
    if refused:
        assert "does not accept the credentials" in line
    if fault == "429, long" and not call.startswith("PUT "):
        assert "asks to wait 7000 s" in line
    assert not Path("runs/spectrum").exists() and not list(Path("data").rglob("*.jpg"))
