"""The head of a kernel's script: unpacks the package that travels inside it. Runs without the package."""

import base64
import hashlib
import json
import lzma
import os
import sys
import tempfile
from pathlib import Path

PACKAGE = ""
PACKAGE_SHA256 = ""


def unpack() -> None:
    """Unpack outside the output folder, where this process, its workers and torchrun's children find it."""
    packed = "".join(PACKAGE.split()).encode()
    if hashlib.sha256(packed).hexdigest() != PACKAGE_SHA256:
        sys.exit("humanmade: the packed package is damaged; push the kernel again")
    folder = Path(tempfile.mkdtemp(prefix="humanmade-"))
    for name, text in json.loads(lzma.decompress(base64.b85decode(packed))).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # albumentations else asks its package index at import


if __name__ == "__main__":
    unpack()
