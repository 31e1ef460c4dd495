"""The official client, made honest: every call ends in an answer or in one clear line.

`KaggleApi` retries little, prints what it should raise and writes error pages into files. `Client.call`
retries what passes (429, 5xx, dropped connections) until its patience ends, and turns every other
refusal into a `KaggleError` that says what to do. Nothing of an answer's address is shown: storage links
carry signatures.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from humanmade.errors import KaggleError, UserError
from humanmade.files import read_json
from humanmade.progress import LOG_SECONDS, warn

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds to go on trying when Kaggle does not answer."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
TIMEOUTS = (10.0, 120.0)
"""Seconds until a connection must be there, and that it may be silent."""


class PassingError(Exception):
    """Something that another attempt may cure."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        """
        Args:
            wait: seconds that Kaggle asks to wait.
        """
        super().__init__(what)
        self.wait = wait


class Client:
    """One signed-in `KaggleApi`."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """
        Args:
            patience: seconds to go on trying when Kaggle does not answer.

        Raises:
            UserError: there are no credentials.
            KaggleError: Kaggle does not take them, or does not answer.
        """
        self.patience = patience
        self._place = credentials()
        self.api = self._sign_in()

    @property
    def owner(self) -> str:
        """The user's name on Kaggle."""
        return str(self.api.config_values[self.api.CONFIG_NAME_USER])

    def call(self, what: str, function: Callable[..., T], *arguments: Any, no: str = "", **options: Any) -> T:
        """Call a function of the client until it answers.

        Args:
            what: the attempt in words, such as "push".
            no: what to do about a 403 or a 404.

        Raises:
            KaggleError: Kaggle refuses, or the patience ends.
        """
        spent, delay = 0.0, FIRST_DELAY
        while True:
            began = time.monotonic()
            try:
                with _quiet(what):
                    return function(*arguments, **options)
            except Exception as error:
                passing = self._judge(what, error, f"; {no}" * bool(no))
            wait = delay if passing.wait is None else passing.wait
            # One that lasted longer than silence may was moving bytes until it broke.
            spent += wait + min(time.monotonic() - began, sum(TIMEOUTS))
            if spent > self.patience:
                request = f" and asks to wait {passing.wait:.0f} s" if passing.wait else ""
                raise KaggleError(f"{what}: {passing}{request}; try again later")
            warn(f"{what}: {passing}; trying again in {wait:.1f} s")
            time.sleep(wait)
            delay = min(2 * delay, LONGEST_DELAY)

    def _judge(self, what: str, error: Exception, then: str) -> PassingError:
        """Tell what may pass from what is final, which is raised."""
        import requests

        if isinstance(error, UserError | KaggleError):
            raise error
        if isinstance(error, PassingError):
            return error
        if isinstance(error.__context__, requests.HTTPError):
            error = error.__context__  # what the client supposes of it would hide Kaggle's own words
        if isinstance(error, requests.HTTPError) and error.response is not None:
            return self._judge_status(what, error.response, then)
        if isinstance(error, json.JSONDecodeError):
            return PassingError("something that is not JSON came for Kaggle's answer")
        if isinstance(error, requests.RequestException):
            # Its text may hold the address with a signature; its name says enough.
            return PassingError(f"the connection failed ({type(error).__name__})")
        if isinstance(error, KeyError | TypeError | AttributeError):
            raise KaggleError(f"{what}: this client does not know Kaggle's answer ({error})") from None
        if isinstance(error, ValueError | RuntimeError) or type(error) is Exception:
            raise KaggleError(f"{what}: {plain(str(error))}{then}") from None
        if isinstance(error, OSError):
            raise UserError(f"{what}: {error.strerror or type(error).__name__} ({error.filename})") from None
        raise error

    def _judge_status(self, what: str, response: Any, then: str) -> PassingError:
        status = response.status_code
        if status == 429 or status >= 500:
            wait = response.headers.get("Retry-After", "")
            return PassingError(f"Kaggle answered {status}", float(wait) if wait.isdecimal() else None)
        try:
            reason = plain(str(response.json()["message"]))
        except (ValueError, KeyError, TypeError):
            reason = str(response.reason)  # a page's text says nothing
        if status == 401:
            raise self._refused(what, f" (401: {reason})")
        raise KaggleError(f"{what}: Kaggle answered {status} ({reason}){then}")

    def _sign_in(self) -> Any:
        """Make the client, which reads the credentials and asks Kaggle about a token at import."""
        if not sys.stderr.isatty():
            # tqdm reads this when it is imported: a log gets a line now and then, not a bar.
            os.environ.setdefault("TQDM_MININTERVAL", str(LOG_SECONDS))
        with _quiet("sign in"):
            from kaggle import api
        if api.CONFIG_NAME_AUTH_METHOD not in api.config_values:
            try:
                self.call("sign in", api.authenticate)
            except SystemExit:
                raise self._refused("sign in", "") from None
        _leave_retries_to_call(api)
        return api

    def _refused(self, what: str, reason: str) -> KaggleError:
        return KaggleError(
            f"{what}: Kaggle does not accept the credentials of {self._place}{reason}; "
            "make a new token in Kaggle's settings, under API"
        )


def _leave_retries_to_call(api: Any) -> None:
    """Let the client try once: it heeds no patience, waits without a word, and calls a failure an answer."""
    from kaggle.models.kaggle_models_extended import ResumableUploadResult as Result

    def upload(path: str, url: str, quiet: bool, resume: bool = False) -> Any:
        result = type(api).upload_complete(api, path, url, quiet, resume)
        if result == Result.FAILED and resume:
            return getattr(Result, "EXPIRED", result)  # begun anew: its link may serve no more
        if result in (Result.FAILED, Result.INCOMPLETE):
            raise PassingError("the upload failed")
        return result

    api.upload_complete = upload
    api.download_file = functools.partial(type(api).download_file, api, max_retries=0)
    api.with_retry = lambda function, **_: function


def credentials() -> str:
    """Name the place that the client will take credentials from; they themselves are not kept.

    Raises:
        UserError: there is none.
    """
    home = Path.home() / ".kaggle"
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        # A token itself may be longer than any name of a file.
        named = len(token) < 256 and Path(token).is_file()
        return f"KAGGLE_API_TOKEN {_private(Path(token)) if named else ''}".strip()
    for file in (home / "access_token", home / "access_token.txt"):
        if file.is_file():
            return _private(file)
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    if key := _key_file():
        read_json(key, ("username", "key"), "download it again from Kaggle's settings, under API")
        return _private(key)
    if (home / "credentials.json").is_file():
        return _private(home / "credentials.json")
    raise UserError(
        "no Kaggle credentials: make a token in Kaggle's settings, under API, and put it into "
        f"KAGGLE_API_TOKEN or {home / 'access_token'}, or its kaggle.json into {home}"
    )


def _private(file: Path) -> str:
    """Name a file of credentials, with a warning where other users may read it."""
    if os.name == "posix" and file.stat().st_mode & 0o077:
        warn(f"{file}: other users of this machine may read it; chmod 600 {file}")
    return str(file)


def known_owner() -> str:
    """The user's name as far as it is known without asking Kaggle; else `owner`."""
    key = _key_file()
    if os.environ.get("KAGGLE_USERNAME"):
        return os.environ["KAGGLE_USERNAME"]
    return str(read_json(key, ("username",), "repair it")["username"]) if key else "owner"


def _key_file() -> Path | None:
    config = os.environ.get("KAGGLE_CONFIG_DIR")
    shared = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    folders = [Path(config)] if config else [Path.home() / ".kaggle", Path(shared) / "kaggle"]
    return next((folder / "kaggle.json" for folder in folders if (folder / "kaggle.json").is_file()), None)


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    """Let the client neither print nor wait for ever, nor long without a word about `what` it waits for.

    What it prints is for its own command line, links with signatures included. Of its requests most have no
    timeout, it takes none, and its uploads heed any Retry-After; so all get theirs where all of them pass.
    """
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    send = HTTPAdapter.send

    def send_in_time(self: Any, request: Any, **options: Any) -> Any:
        self.max_retries = Retry(0, read=False)
        words = f"{what}: no answer yet; waiting {TIMEOUTS[1]:g} s at most"
        late = threading.Timer(LOG_SECONDS, warn, [words])
        if not hasattr(request.body, "read"):  # an upload has a bar of its own
            late.start()
        try:
            return send(self, request, **options | {"timeout": TIMEOUTS})
        finally:
            late.cancel()

    HTTPAdapter.send = send_in_time
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        HTTPAdapter.send = send


def plain(text: str) -> str:
    """The first line of a text from elsewhere, without what a terminal would obey."""
    line = (text.strip().splitlines() or [""])[0][:300]
    return "".join(letter if letter.isprintable() else " " for letter in line)
