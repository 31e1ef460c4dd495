"""Kaggle on loopback: an HTTP proxy that answers the real client as Kaggle does, faults included.

The client's `LOCALHOST` environment sends its calls to `http://localhost/api/v1/...` through the proxy of
the environment, which is this stand-in. A call to any other host is refused and recorded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

USER, KEY, TOKEN = "tester", "made-up-key-0123456789", "KGAT_made-up-token-0123456789"
ROOT = Path(__file__).parents[2]
PAGE = b"<html><body><h1>Oops</h1>Something went wrong.</body></html>"

Files = dict[str, bytes]
Json = dict[str, Any]


@dataclass
class Fault:
    """What happens to the next requests of one kind instead of the answer."""

    status: int
    """HTTP status; 0 drops the connection."""
    times: int
    message: str
    headers: dict[str, str]
    page: bool
    """Answer with an HTML page."""
    after: bool
    """Do what was asked for before failing."""
    kind: str = ""
    """`silent`: no answer; `late`: the answer after a while; `cut`: half of it; `short`: half of it, as if
    that were all."""


@dataclass
class State:
    """A kernel's session at one poll."""

    status: str
    files: Files = field(default_factory=dict)
    log: str = ""
    failure: str = ""


@dataclass
class Dataset:
    """A dataset and the statuses that its next polls see; the last one stays."""

    files: Files
    version: int = 1
    statuses: list[str] = field(default_factory=lambda: ["READY"])
    private: bool = False


class Refused(Exception):  # noqa: N818 - an answer
    """An error in Kaggle's own form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def outputs(asked: Json, files: Files, unfinished: bool = False, run_id: str = "") -> Files:
    """The outputs of a kernel that ran a pushed script: its files and their list with hashes."""
    written = re.search(r"(?m)^RUN_ID = [\"'](\w+)[\"']", asked.get("text", ""))
    listing = {
        "run_id": run_id or (written[1] if written else ""),
        "unfinished": unfinished,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return files | {"outputs.json": json.dumps(listing).encode()}


class StandIn:
    """The server and all it knows; a test sets its attributes and looks at what it recorded."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Json]] = []
        """Method and request of every RPC."""
        self.fetched: list[tuple[str, int]] = []
        """Name and first byte of every file asked for."""
        self.strays: list[str] = []
        """Requests to any other host: there must be none."""
        self.faults: dict[str, Fault] = {}
        self.competition: Files = {}
        self.archives: dict[str, bytes] = {}
        """Zips by name: the competition's slug, a dataset's owner/slug."""
        self.sizes: dict[str, int] = {}
        """Bytes that datasets are said to have, where not their archives'."""
        self.accepted_rules = True
        self.kernels: dict[str, list[State]] = {}
        self.versions: dict[str, int] = {}
        self.run_kernel: Callable[[Json], list[State] | Iterator[State]] = lambda _: [State("COMPLETE")]
        self.push_error = ""
        self.renamed = ""
        """What Kaggle calls a kernel whose title does not fit its id."""
        self.known_sources: set[str] | None = None
        self.datasets: dict[str, Dataset] = {}
        self.new_dataset_statuses = ["BLOBS_RECEIVED", "READY"]
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.submissions: list[Json] = []
        self.pending_polls = 1
        self.tells_refs = True
        self.loses_submissions = False
        self.score: Callable[[bytes], tuple[str, str]] = lambda _: ("0.75000", "")
        """Public score, and Kaggle's reason where it refuses the file."""
        self.gpu_hours = (2.0, 30.0)
        """Used and allowed this week."""
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def fail(
        self,
        request: str,
        status: int,
        times: int = 1,
        message: str = "made to fail",
        headers: dict[str, str] | None = None,
        page: bool = False,
        after: bool = False,
        kind: str = "",
    ) -> None:
        """Let the next `times` requests fail: an RPC's method, or `GET name`, `PUT name` of a file."""
        self.faults[request] = Fault(status, times, message, headers or {}, page, after, kind)

    def count(self, method: str) -> int:
        """How many calls of a method came."""
        return sum(name == method for name, _ in self.calls)

    def environment(self, home: Path) -> dict[str, str]:
        """All that a child process may see; nothing else reaches it."""
        proxy = f"http://127.0.0.1:{self.port}"
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        passed = {"PATH", "LANG", "HUMANMADE_CACHE", "OMP_NUM_THREADS", "COVERAGE_PROCESS_CONFIG"}
        return {name: value for name, value in os.environ.items() if name in passed} | {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            "HOME": str(home),
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
            "TMPDIR": str(home / "tmp"),
            "KAGGLE_USERNAME": USER,
            "KAGGLE_KEY": KEY,
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": proxy,
            "https_proxy": proxy,
            "all_proxy": proxy,
            "no_proxy": "",
            "NO_PROXY": "",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def answer(self, method: str, asked: Json) -> Json | str:
        """Do an RPC; text is a redirect to a file."""
        return _METHODS[method](self, asked)

    def download_competition(self, asked: Json) -> str:
        if not self.accepted_rules:
            raise Refused(403, "You must accept this competition's rules before you can download files.")
        return f"archives/{asked['competitionName']}.zip"

    def download_dataset(self, asked: Json) -> str:
        return f"archives/{asked['ownerSlug']}/{asked['datasetSlug']}.zip"

    def save_kernel(self, asked: Json) -> Json:
        slug, title = asked["slug"], asked["newTitle"]
        if self.push_error:
            return {"error": self.push_error}
        if re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") != slug.split("/")[1]:
            return {"error": "Notebook not found"}
        states = self.kernels[slug] = self.kernels.get(slug, [])[-1:]
        ran = self.run_kernel(asked)
        if isinstance(ran, list):
            states.extend(ran)
        else:  # a kernel that takes its time runs on after the answer
            states.append(next(ran))
            threading.Thread(target=lambda: [states.append(state) for state in ran], daemon=True).start()
        self.versions[slug] = self.versions.get(slug, 0) + 1
        kinds = [f"{kind}DataSources" for kind in ("dataset", "competition", "kernel", "model")]
        known = self.known_sources
        invalid = {
            f"invalid{kind[0].upper()}{kind[1:].replace('Data', '')}": [
                source for source in asked.get(kind, []) if known is not None and source not in known
            ]
            for kind in kinds
        }
        return {
            "ref": f"/code/{self.renamed or slug}",
            "url": f"https://www.kaggle.com/code/{slug}",
            "versionNumber": self.versions[slug],
            "kernelId": 1,
        } | {kind: sources for kind, sources in invalid.items() if sources}

    def kernel_state(self, asked: Json) -> State:
        name = f"{asked['userName']}/{asked['kernelSlug']}"
        if name not in self.kernels:
            raise Refused(403, "Permission 'kernels.get' was denied")
        return self.kernels[name][0]

    def kernel_status(self, asked: Json) -> Json:
        state = self.kernel_state(asked)
        states = self.kernels[f"{asked['userName']}/{asked['kernelSlug']}"]
        if len(states) > 1:
            states.pop(0)
        status = {} if state.status == "QUEUED" else {"status": state.status}
        return status | ({"failureMessage": state.failure} if state.failure else {})

    def kernel_output(self, asked: Json) -> Json:
        states = self.kernels[f"{asked['userName']}/{asked['kernelSlug']}"]
        self.kernel_state(asked)
        names = sorted(states[0].files)[:200]
        begin, size = int(asked.get("pageToken") or 0), int(asked.get("pageSize") or 20)
        place = f"outputs/{asked['userName']}/{asked['kernelSlug']}"
        answer: Json = {
            "files": [
                {"url": self.link(f"{place}/{name}"), "fileName": name}
                for name in names[begin : begin + size]
            ],
            "log": states[0].log,
        }
        return answer | ({"nextPageToken": str(begin + size)} if begin + size < len(names) else {})

    def quota(self, asked: Json) -> Json:
        used, allowed = (f"{int(hours * 3600)}s" for hours in self.gpu_hours)
        return {
            "quotaRefreshTime": "2026-11-28T00:00:00Z",
            "gpuQuota": {"timeUsed": used, "timeReserved": "0s", "totalTimeAllowed": allowed},
        }

    def start_upload(self, asked: Json) -> Json:
        token = f"blob{len(self.blobs)}"
        name = asked.get("fileName") or asked["name"]
        self.blobs[token] = (name, b"")
        return {"token": token, "createUrl": self.link(f"uploads/{token}/{name}")}

    def create_submission(self, asked: Json) -> Json:
        if self.loses_submissions:
            return {"message": "Could not submit"}
        name, content = self.blobs[asked["blobFileTokens"]]
        ref = 1000 + len(self.submissions)
        public, reason = self.score(content)
        date = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=len(self.submissions))
        self.submissions.insert(
            0,
            {
                "ref": ref,
                "date": date.isoformat().replace("+00:00", "Z"),
                "description": asked.get("submissionDescription", ""),
                "fileName": name,
                "waits": self.pending_polls,
                "scored": {"status": "ERROR", "errorDescription": reason}
                if reason
                else {"status": "COMPLETE", "publicScore": public},
            },
        )
        return {"message": "Successfully submitted"} | ({"ref": ref} if self.tells_refs else {})

    def list_submissions(self, asked: Json) -> Json:
        size, page = int(asked.get("pageSize") or 20), int(asked.get("page") or 1)
        shown = []
        for row in self.submissions[(page - 1) * size : page * size]:
            public = {key: row[key] for key in ("ref", "date", "description", "fileName")}
            shown.append(public | (row["scored"] if row["waits"] <= 0 else {"status": "PENDING"}))
            row["waits"] -= 1
        return {"submissions": shown}

    def dataset(self, asked: Json) -> Dataset:
        name = f"{asked['ownerSlug']}/{asked['datasetSlug']}"
        if name not in self.datasets:
            raise Refused(404, "Dataset not found")
        return self.datasets[name]

    def dataset_status(self, asked: Json) -> Json:
        statuses = self.dataset(asked).statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return {} if status == "NOT_YET_PERSISTED" else {"status": status}

    def get_dataset(self, asked: Json) -> Json:
        """The version that is there; the one in preparation does not count."""
        name = f"{asked['ownerSlug']}/{asked['datasetSlug']}"
        if name in self.archives:
            return {"totalBytes": self.sizes.get(name, len(self.archives[name]))}
        there = self.dataset(asked)
        return {"currentVersionNumber": there.version - (len(there.statuses) > 1)}

    def dataset_files(self, asked: Json) -> Json:
        files = self.dataset(asked).files
        return {"datasetFiles": [{"name": name, "totalBytes": len(files[name])} for name in files]}

    def create_dataset(self, asked: Json) -> Json:
        files = dict(self.blobs[entry["token"]] for entry in asked.get("files", []))
        name = f"{asked['ownerSlug']}/{asked['slug']}"
        self.datasets[name] = Dataset(files, 1, list(self.new_dataset_statuses), bool(asked.get("isPrivate")))
        return {"status": "ok", "ref": name, "url": f"https://www.kaggle.com/datasets/{name}"}

    def create_version(self, asked: Json) -> Json:
        there = self.dataset(asked)
        there.files = dict(self.blobs[entry["token"]] for entry in asked["body"].get("files", []))
        there.version += 1
        there.statuses = list(self.new_dataset_statuses)
        return {"status": "ok"}

    @staticmethod
    def link(name: str) -> str:
        """A link with a signature in it, as storage links have."""
        return f"http://localhost/{quote(name)}?signature=signed-and-secret"

    def content(self, name: str) -> bytes | None:
        """The bytes behind a link."""
        kind, _, rest = name.partition("/")
        if kind == "archives":
            return self.archives.get(rest.removesuffix(".zip"))
        owner, slug, path = rest.split("/", 2)
        return self.kernels[f"{owner}/{slug}"][0].files.get(path)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


_METHODS: dict[str, Callable[[StandIn, Json], Json | str]] = {
    "IntrospectToken": lambda _, asked: {"active": asked["token"] == TOKEN, "username": USER},
    "DownloadDataFiles": StandIn.download_competition,
    "DownloadDataset": StandIn.download_dataset,
    "SaveKernel": StandIn.save_kernel,
    "GetKernelSessionStatus": StandIn.kernel_status,
    "ListKernelSessionOutput": StandIn.kernel_output,
    "GetAcceleratorQuotaStatistics": StandIn.quota,
    "StartSubmissionUpload": StandIn.start_upload,
    "StartBlobUpload": StandIn.start_upload,
    "CreateSubmission": StandIn.create_submission,
    "ListSubmissions": StandIn.list_submissions,
    "GetDatasetStatus": StandIn.dataset_status,
    "GetDataset": StandIn.get_dataset,
    "ListDatasetFiles": StandIn.dataset_files,
    "CreateDataset": StandIn.create_dataset,
    "CreateDatasetVersion": StandIn.create_version,
}


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    wanted = ("Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode(), f"Bearer {TOKEN}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        spoilt = ""

        def log_message(self, *_: object) -> None:
            pass

        def do_CONNECT(self) -> None:
            standin.strays.append(self.path)
            self.send(403, b"", {})

        def do_POST(self) -> None:
            body = self.body()
            if not self.local():
                return
            method = urlsplit(self.path).path.rsplit("/", 1)[-1]
            asked = json.loads(body or b"{}")
            with standin.lock:
                standin.calls.append((method, asked))
                fault = self.fault(method)
            if fault and not fault.after and not self.spoils(fault):
                return self.fail(fault)
            if self.headers.get("Authorization") not in wanted and method != "IntrospectToken":
                return self.error(401, "Unauthenticated")
            try:
                with standin.lock:
                    answer = standin.answer(method, asked)
            except Refused as refused:
                return self.error(refused.status, str(refused))
            if fault and fault.after:
                return self.fail(fault)
            if isinstance(answer, str):
                return self.send(302, b"", {"Location": standin.link(answer)})
            self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def do_GET(self) -> None:
            if not self.local():
                return
            name = unquote(urlsplit(self.path).path)[1:]
            standin.fetched.append((name, self.first_byte()))
            fault = self.fault("GET " + name.rsplit("/", 1)[-1])
            content = standin.content(name)
            if fault and not fault.status and not fault.kind:
                fault.kind = "cut"
            if fault and not self.spoils(fault):
                return self.fail(fault)
            if content is None:
                return self.send(404, PAGE, {"Content-Type": "text/html"})
            self.send_file(content)

        def do_PUT(self) -> None:
            content = self.body()
            if not self.local():
                return
            _, token, name = unquote(urlsplit(self.path).path)[1:].split("/")
            fault = self.fault("PUT " + name)
            if fault and not self.spoils(fault):
                return self.fail(fault)
            rest = re.fullmatch(r"bytes .*/(\d+)", self.headers.get("Content-Range") or "")
            there = standin.blobs[token][1] if rest else b""
            if self.spoilt == "cut":
                standin.blobs[token] = (name, there + content[: len(content) // 2])
                self.close_connection, self.spoilt = True, ""
                return
            standin.blobs[token] = (name, there + content)
            if rest and len(there + content) < int(rest[1]):
                return self.send(308, b"", {"Range": f"bytes=0-{len(there) - 1}"} if there else {})
            self.send(200, b"", {})

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                return self.chunks()
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def local(self) -> bool:
            if urlsplit(self.path).hostname == "localhost":
                return True
            standin.strays.append(self.path)
            self.send(502, b"", {})
            return False

        def fault(self, request: str) -> Fault | None:
            fault = standin.faults.get(request)
            if not fault or fault.times <= 0:
                return None
            fault.times -= 1
            return fault

        def spoils(self, fault: Fault) -> bool:
            """Whether the answer itself comes, though late or spoilt."""
            self.spoilt = fault.kind
            if fault.kind == "late":
                standin.closing.wait(0.1)
            return fault.kind in ("late", "cut", "short")

        def fail(self, fault: Fault) -> None:
            if fault.kind == "silent":
                standin.closing.wait(30)
            if not fault.status or fault.kind == "silent":
                self.close_connection = True
                return
            if fault.page:
                return self.send(fault.status, PAGE, {"Content-Type": "text/html"} | fault.headers)
            self.error(fault.status, fault.message, fault.headers)

        def error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
            body = json.dumps({"code": status, "message": message}).encode()
            self.send(status, body, {"Content-Type": "application/json"} | (headers or {}))

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            body, length = self.part(body)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(length)}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def part(self, body: bytes) -> tuple[bytes, int]:
            """What is sent of an answer, and the length that it is said to have."""
            spoilt, self.spoilt = self.spoilt, ""
            half = body[: len(body) // 2] if spoilt in ("cut", "short") else body
            self.close_connection |= spoilt == "cut"
            return half, len(half) if spoilt == "short" else len(body)

        def first_byte(self) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            return int(asked[1]) if asked else 0

        def send_file(self, content: bytes) -> None:
            """Send a file or the rest of it."""
            begin = self.first_byte()
            rest, length = self.part(content[begin:])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Last-Modified", "Sat, 01 Mar 2025 00:00:00 GMT")
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("Accept-Ranges", "bytes")
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(rest)

    return Handler
