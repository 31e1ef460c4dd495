"""The whole day: data, push, wait, pull, compare, blend, submit, and the score in the ledger."""

import base64
import json
import lzma
import re
from pathlib import Path

import pandas as pd
import pytest

from humanmade import ledger
from tests.conftest import TINY_PROBE
from tests.kaggle.conftest import Kit
from tests.kaggle.day import open_competition
from tests.kaggle.standin import KEY, USER, StandIn


@pytest.mark.slow
def test_the_whole_day_and_no_credential_anywhere(kit: Kit, standin: StandIn, tmp_path: Path):
    open_competition(standin, tmp_path / "kaggle")
    kit.module = "humanmade"
    said = [kit("data")]
    small = ("--set", "folds=3", "--set", "workers=0")
    said.append(kit("push", "train", "--recipe", "spectrum", *small, "--hours", "1", "--wait"))
    said.append(kit("pull", "train"))
    Path("tiny.toml").write_text(TINY_PROBE)
    said.append(kit("cv", "tiny.toml"))
    said.append(kit("compare"))
    assert {"spectrum", "tiny"} == set(pd.read_csv("runs/compare.csv")["run"])
    share = ("--prevalence", "0.4")
    said.append(kit("blend", "spectrum", "tiny", "--data", "data", "--out", "submissions/two.csv", *share))
    said.append(kit("submit", "submissions/two.csv", "-m", "two"))
    said.append(kit("submit", "runs/spectrum/submission.csv"))
    two, one = ledger.read()
    assert (two["runs"], two["blend"]) == ("spectrum tiny", "mean") and float(two["fold_score"]) > 0
    assert (one["runs"], one["kernel"]) == ("spectrum", "tester/humanmade-train-spectrum")
    truth = standin.score(Path("submissions/two.csv").read_bytes())[0]
    assert two["public"] == truth and one["version"] == "1"
    kit("compare")
    public = pd.read_csv("runs/compare.csv").set_index("run")["public"]
    assert public["spectrum"] == float(one["public"]) and pd.isna(public["tiny"])

    secrets = [KEY, base64.b64encode(f"{USER}:{KEY}".encode()).decode(), "signed-and-secret"]
    written = [path.read_bytes() for path in Path().rglob("*") if path.is_file()]
    written += [text.encode() for text in said] + [json.dumps(standin.calls).encode(), _packed()]
    assert len(written) > 40 and not [s for s in secrets for content in written if s.encode() in content]


def _packed() -> bytes:
    """What travels inside the pushed script."""
    (script,) = Path("build/kernels").glob("*/*.py")
    packed = re.search(r'(?s)PACKAGE = """\n(.*?)"""', script.read_text())
    assert packed
    content = lzma.decompress(base64.b85decode("".join(packed[1].split())))
    assert b"def unpack" in content
    return content
