"""No token in anything that a competitor's day writes or says, no home folder in what leaves the house."""

import base64
import traceback
from pathlib import Path

import pytest

from humanmade.commands import main
from humanmade.kaggle import bundle, client
from humanmade.kaggle.client import Client
from tests.conftest import TINY_PROBE, write_competition
from tests.kaggle.standin import KEY, TOKEN, USER, StandIn, State, outputs

SECRETS = [KEY, TOKEN, base64.b64encode(f"{USER}:{KEY}".encode()).decode(), "signed-and-secret"]


def holding(folder: Path, *words: str) -> list[str]:
    """Files that hold one of these words, by name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, folder
    return [path.name for path in files if any(word.encode() in path.read_bytes() for word in words)]


def test_a_day_keeps_its_secrets(kaggle: StandIn, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(bundle, "self_test", lambda folder: f"{folder}: tested")
    token = tmp_path / ".kaggle/access_token"
    token.parent.mkdir()
    token.write_text(TOKEN)
    token.chmod(0o600)
    Path("tiny.toml").write_text(TINY_PROBE)
    data = str(write_competition(Path.cwd() / "data", pairs=6, test=4))

    def left(asked: dict) -> list[State]:
        made = {path.as_posix(): path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
        return [State("RUNNING"), State("COMPLETE", outputs(asked, made), f"folder {data}\n")]

    kaggle.run_kernel = left
    day = [
        ["cv", "tiny.toml", "--data", data],
        ["blend", "tiny", "--data", data, "--out", "submissions/one.csv"],
        ["push", "train", "--recipe", "tiny.toml", "--hours", "1", "--wait"],
        ["pull", "train", "--force"],
        ["submit", "submissions/one.csv", "-m", "one", "--data", data],
        ["compare"],
        ["report", "--data", data],
    ]
    for words in day:
        assert main(words) == 0, words
    kaggle.fail("ListSubmissions", 401)
    assert main(["scores"]) == 3
    said = capfd.readouterr()
    assert f"does not accept the credentials of {token}" in said.err
    assert not [secret for secret in SECRETS if secret in said.out + said.err]
    assert holding(tmp_path, *SECRETS) == ["access_token"]
    assert [holding(Path(name), str(tmp_path)) for name in ("build", "submissions")] == [[], []]
    # A run finds its data again where it was given, which is nobody else's concern.
    assert holding(Path("runs"), str(tmp_path)) == ["scores.json"]


def test_a_traceback_holds_no_token(kaggle: StandIn):
    try:
        Client(1).call("divide", lambda: 1 / 0)
    except ZeroDivisionError:
        assert not [secret for secret in SECRETS if secret in traceback.format_exc()]


@pytest.mark.parametrize("name", ["access_token", "kaggle.json"])
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_credentials_that_others_may_read_are_warned_of(
    tmp_path: Path, monkeypatch, capsys, name: str, mode: int, warned: bool
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / ".kaggle" / name
    file.parent.mkdir()
    file.write_text(f'{{"username": "tester", "key": "{KEY}"}}')
    file.chmod(mode)
    assert client.credentials() == str(file)
    said = capsys.readouterr().err
    assert (said == f"warning: {file}: other users of this machine may read it; chmod 600 {file}\n") is warned
    assert warned or not said
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(file))
    assert client.credentials() == f"KAGGLE_API_TOKEN {file}" and bool(capsys.readouterr().err) is warned
