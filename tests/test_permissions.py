"""What may not be read or written is refused by the system itself, and said in one line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeFolder, obeying

EACH = """
import json, os, sys
from humanmade.commands import main

for words, environment, _ in json.load(sys.stdin):
    os.environ |= environment
    print(f"--- {main(words)}", file=sys.stderr)
"""


def in_child(*commands: tuple[list[str], dict[str, str], str]) -> list[tuple[int, list[str]]]:
    """Give commands in a process that permissions hold for: their exit codes, and the lines they end with."""
    done = subprocess.run(
        [sys.executable, "-c", EACH],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        preexec_fn=obeying,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    ends, lines = list[tuple[int, list[str]]](), list[str]()
    for line in done.stderr.splitlines():
        if line.startswith("--- "):
            ends.append((int(line[4:]), lines))
            lines = []
        elif line.startswith("humanmade: "):
            lines.append(line)
    return ends


def test_what_is_forbidden_ends_in_one_line(
    tiny_probe: Path, manifest_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for variable in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    data, cv = manifest_folder(pairs=4), ["cv", str(tiny_probe), "--data"]
    picture, table = (shutil.copytree(data, tmp_path / name) for name in ("one", "two"))
    token = tmp_path / "home/.kaggle/access_token"
    token.parent.mkdir(parents=True)
    token.write_text("KGAT_0")
    shutil.copy(tiny_probe, "own.toml")
    for name in ("begun", "shelf", "cache"):
        Path(name).mkdir()
        Path(name).chmod(0o555)
    Path("locked").mkdir(0)
    for file in (picture / "images/003_1.png", table / "manifest.csv", token, Path("own.toml")):
        file.chmod(0)
    home, cache = {"HOME": str(tmp_path / "home")}, {"HUMANMADE_CACHE": "cache"}
    cases: list[tuple[list[str], dict[str, str], str]] = [
        ([*cv, str(picture)], {}, "1 of 8 pictures cannot be read; .+/003_1.png: Permission denied"),
        ([*cv, str(table)], {}, "manifest.csv: not a readable CSV table .+Permission denied"),
        ([*cv, str(data), "--out", "begun"], {}, "begun/.lock0: cannot be written .Permission denied"),
        ([*cv, str(data), "--out", "shelf/r"], {}, "shelf/r: cannot be made .Permission denied"),
        (["cv", "own.toml", "--data", str(data)], {}, "own.toml: .+Permission denied"),
        (["scores"], home, f"Permission denied .{token}"),
        (["audit", "--data", str(data)], cache, "cache/pictures/.+: cannot be made .Permission denied"),
        (["audit", "--data", "locked/in"], {}, "--data locked/in: no such folder"),
        (["cv", str(tiny_probe), "--out", "locked/r"], {}, "locked/r/recipe.toml: Permission denied"),
        (["evaluate", "locked/r", "--data", str(data)], {}, "locked/r/recipe.toml: Permission denied"),
        (
            ["compare", "locked/sub.csv"],
            {},
            "locked/sub.csv.*: .*Permission denied",
        ),
        (
            ["check", "locked/sub.csv", "--data", str(data)],
            {},
            "locked/sub.csv.*: .*Permission denied",
        ),
        (["compare", "x" * 300], {}, "x/recipe.toml: File name too long"),
    ]
    for (code, lines), (words, _, says) in zip(in_child(*cases), cases, strict=True):
        assert code == 2 and len(lines) == 1 and re.search(says, lines[0]), (words, code, lines)
    assert not list(Path("begun").iterdir()) and not list(Path("shelf").iterdir())
