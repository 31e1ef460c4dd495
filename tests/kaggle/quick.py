"""The command line with the building of kernels replaced by a script of one line; nothing else differs.

`python -m tests.kaggle.quick push train ...`: the real build takes seconds, and has tests of its own.
"""

import json
import sys
from pathlib import Path

from humanmade import commands
from humanmade.kaggle import bundle


def build(order: bundle.Order, out: Path) -> Path:
    name = bundle.slug(order.kernel, order.recipe)
    folder = out / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "id": f"{order.owner}/{name}",
        "title": name.replace("-", " "),
        "code_file": f"{name}.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": order.kernel != "blend",
        "enable_internet": False,
        "machine_shape": "NvidiaTeslaT4",
        "competition_sources": ["detect-ai-vs-human-generated-images"],
        "dataset_sources": ["alessandrasala79/ai-vs-human-generated-dataset", *order.weights],
        "kernel_sources": [*order.runs, *filter(None, [order.resume])],
    }
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    (folder / f"{name}.py").write_text(f'RUN_ID = "{order.run_id}"\n')
    return folder


if __name__ == "__main__":
    bundle.build = build
    bundle.self_test = lambda folder: f"{folder}: tested"
    sys.exit(commands.main())
