"""A run that verbs are tried on."""

from pathlib import Path

import pytest

from humanmade.commands import main
from tests.conftest import MakeFolder


@pytest.fixture
def run(tiny_probe: Path, manifest_folder: MakeFolder) -> Path:
    folder = manifest_folder(pairs=8, test=4, sources=["a", "b"])
    assert main(["cv", str(tiny_probe), "--data", str(folder)]) == 0
    return folder
