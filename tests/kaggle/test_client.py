"""Credentials, retries and refusals: an answer or one clear line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kaggle.conftest import Kit
from tests.kaggle.standin import KEY, StandIn

BARE = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""}


def test_without_credentials_it_says_where_they_go(kit: Kit, standin: StandIn):
    line = kit("scores", code=2, **BARE)
    assert "no Kaggle credentials" in line and "KAGGLE_API_TOKEN" in line and "access_token" in line
    assert standin.calls == [] and not (kit.home / ".kaggle").exists()


def test_a_push_that_makes_no_sense_is_refused_before_signing_in(kit: Kit, standin: StandIn):
    assert "push train: needs --recipe" in kit("push", "train", code=2, **BARE)
    assert standin.calls == []


def test_a_key_file_is_enough_and_a_damaged_one_is_named(kit: Kit):
    folder = kit.home / ".kaggle"
    folder.mkdir(parents=True)
    (folder / "kaggle.json").write_text(f'{{"username": "tester", "key": "{KEY}"}}')
    assert "nothing was submitted" in kit("scores", **BARE) and kit("scores", "--json", **BARE) == "[]\n"
    (folder / "kaggle.json").write_text(f'{{"username": "tester", "key": "{KEY}')
    assert "kaggle.json: not readable" in kit("scores", code=2, **BARE)


def test_refused_credentials_are_named_by_their_place(kit: Kit):
    line = kit("scores", code=3, KAGGLE_KEY="wrong")
    assert "does not accept the credentials of KAGGLE_USERNAME and KAGGLE_KEY (401" in line
    kit.standin.fail("IntrospectToken", 403)
    assert "credentials of KAGGLE_API_TOKEN" in kit("scores", code=3, KAGGLE_API_TOKEN="stale")


@pytest.mark.parametrize(("status", "page"), [(429, False), (503, True), (0, False), (200, True)])
def test_what_passes_is_tried_again(kit: Kit, standin: StandIn, status: int, page: bool):
    standin.fail("ListSubmissions", status, page=page, headers={"Retry-After": "0"})
    assert "nothing was submitted" in kit("scores")
    assert standin.count("ListSubmissions") == 2


def test_patience_ends(kit: Kit, standin: StandIn):
    standin.fail("ListSubmissions", 503, times=99)
    line = kit("scores", "--patience", "2", code=3)
    assert "Kaggle answered 503; try again later" in line and 2 <= standin.count("ListSubmissions") <= 4
    standin.fail("ListSubmissions", 429, times=99, headers={"Retry-After": "7000"})
    before = standin.count("ListSubmissions")
    assert "429 and asks to wait 7000 s" in kit("scores", code=3)
    assert standin.count("ListSubmissions") == before + 1, "it does not wait that long"


def test_a_refusal_is_not_tried_again(kit: Kit, standin: StandIn):
    standin.fail("ListSubmissions", 403, times=99, message="You \x1b[31mmust\naccept them")
    line = kit("scores", code=3)
    assert (
        "403 (You  [31mmust)" in line and "accept its rules at https://www.kaggle.com/competitions/" in line
    )
    assert standin.count("ListSubmissions") == 1


def test_the_stand_in_sees_what_would_leave_loopback(kit: Kit, standin: StandIn):
    kit("scores", "--patience", "1", code=3, KAGGLE_API_ENVIRONMENT="PROD")
    assert standin.strays and all("api.kaggle.com" in stray for stray in standin.strays)
    standin.strays.clear()


IMPATIENT = """
import sys
from humanmade import commands
from humanmade.kaggle import client
client.TIMEOUTS = (0.2, 0.2)
sys.exit(commands.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("verb", ["scores", "data"])
def test_a_silent_connection_does_not_hang(standin: StandIn, tmp_path: Path, verb: str):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, verb, "--patience", "0.1"],
            env=standin.environment(tmp_path / "home") | {"http_proxy": proxy},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.endswith("the connection failed (ReadTimeout); try again later\n"), done.stderr
