from pathlib import Path

import pandas as pd

from humanmade.commands import main


def test_a_plain_folder_can_be_predicted(run: Path, tmp_path: Path):
    assert main(["predict", "tinyprobe", "--data", str(run / "images"), "--out", "p.csv"]) == 0
    assert len(pd.read_csv("p.csv")) == 24
