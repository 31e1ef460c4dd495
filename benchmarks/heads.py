"""Linear heads at full size: seconds, memory, and agreement with scikit-learn's in float64.

`python -m benchmarks.heads` makes up features in fp16 shards, as detectors keep them, and fits each size in
a process of its own that did not make them: what making them left behind would hide what fitting takes. The
ratio is the growth of that process, once its libraries are loaded, over the matrix in float32; the peak is
of everything.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIZES = ((80_000, 3_072), (240_000, 2_048))
"""Rows and dimensions: every training picture; and three views of each."""

MOST_RATIO, MOST_GIGABYTES, MOST_SECONDS, MOST_AUC = 1.3, 6.0, 300.0, 0.002
"""The bars: growth over the matrix, peak of the process, time, and difference from scikit-learn."""

SHARD, FACTORS, SAMPLE = 1024, 64, 4_000


def features(number: int, dimensions: int) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]:
    """Shard `number` of made-up features (SHARD, dimensions), correlated as a network's are, and labels."""
    import numpy as np

    fixed, drawn = np.random.default_rng(0), np.random.default_rng([1, number])
    mixing = fixed.standard_normal((FACTORS, dimensions), dtype=np.float32) / 8
    direction = fixed.standard_normal(FACTORS, dtype=np.float32)
    labels = np.arange(SHARD) % 2
    factors = drawn.standard_normal((SHARD, FACTORS), dtype=np.float32)
    factors += 0.15 * labels[:, None].astype(np.float32) * direction
    noise = drawn.standard_normal((SHARD, dimensions), dtype=np.float32)
    return (factors @ mixing + noise).astype(np.float16), labels


def make(folder: Path, rows: int, dimensions: int) -> None:
    """Write shards of this many made-up rows, or a few more."""
    from humanmade.shards import Shards

    shards = Shards(folder)
    for number in range(-(-rows // SHARD)):
        shards.write([f"{number}-{i}" for i in range(SHARD)], features(number, dimensions)[0])


def measure(folder: Path, rows: int, dimensions: int) -> dict[str, Any]:
    """Fit a head on the shards in a folder, and say what it took."""
    import numpy as np

    from humanmade.detectors import heads
    from humanmade.schema import ProbeRecipe
    from humanmade.shards import Shards

    recipe, labels = ProbeRecipe(), np.arange(rows) % 2
    tiny = np.random.default_rng(0).standard_normal((64, 2), dtype=np.float32)
    heads.fit_linear(tiny, labels[:64], np.arange(64), recipe, 0)  # loads scikit-learn
    shards = Shards(folder)
    names = [f"{i // SHARD}-{i % SHARD}" for i in range(rows)]
    before, began = memory("VmRSS"), time.monotonic()
    matrix = shards.get(names)
    read = time.monotonic() - began
    heads.fit_linear(matrix, labels, np.arange(rows), recipe, 0)
    seconds, peak = time.monotonic() - began, memory("VmHWM")
    size = matrix.nbytes / 1e9
    return {
        "rows": rows,
        "dimensions": dimensions,
        "seconds": seconds,
        "of which reading": read,
        "matrix GB": size,
        "at rest GB": before,
        "peak GB": peak,
        "ratio": (peak - before) / size,
        "auc difference": difference(dimensions),
    }


def difference(dimensions: int) -> float:
    """How far the AUC on rows that were not seen is from that of scikit-learn's usual fit in float64."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from humanmade.detectors import heads
    from humanmade.schema import ProbeRecipe

    parts = [features(number, dimensions) for number in range(10_000, 10_000 + 2 * SAMPLE // SHARD + 1)]
    values = np.concatenate([part[0] for part in parts])[: 2 * SAMPLE].astype(np.float32)
    labels = np.concatenate([part[1] for part in parts])[: 2 * SAMPLE]
    seen, unseen = slice(0, SAMPLE), slice(SAMPLE, None)
    usual = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
    usual.fit(values[seen].astype(np.float64), labels[seen])
    expected = usual.decision_function(values[unseen].astype(np.float64))
    recipe = ProbeRecipe(shrinkage=[1e-3])
    tensors, _ = heads.fit_linear(values[seen].copy(), labels[seen], np.arange(SAMPLE), recipe, 0)
    found = heads.linear_logits(tensors, values[unseen])
    first, second = (roc_auc_score(labels[unseen], logits) for logits in (found, expected))
    return float(abs(first - second))


def memory(field: str) -> float:
    """Gigabytes of this process, by Linux: `VmRSS` now, `VmHWM` at the most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024 / 1e9


def holds(found: dict[str, Any]) -> bool:
    """Whether all bars were reached."""
    return bool(
        found["ratio"] < MOST_RATIO
        and found["peak GB"] < MOST_GIGABYTES
        and found["seconds"] < MOST_SECONDS
        and found["auc difference"] < MOST_AUC
    )


def main() -> None:
    """Measure all sizes; with arguments, one step of that in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="*", help="make or measure, a folder, rows and dimensions")
    step = parser.parse_args().step
    if not step:
        for size in SIZES:
            compare(*size)
    elif step[0] == "make":
        make(Path(step[1]), int(step[2]), int(step[3]))
    else:
        print(json.dumps(measure(Path(step[1]), int(step[2]), int(step[3]))))


def compare(rows: int, dimensions: int) -> None:
    """Measure one size in processes of their own, and print whether its bars hold."""
    with tempfile.TemporaryDirectory() as folder:
        for step in ("make", "measure"):
            command = [sys.executable, "-m", "benchmarks.heads", step, folder, str(rows), str(dimensions)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    words = ", ".join(f"{key} {value:.6g}" for key, value in found.items())
    print(f"{words}: {'holds' if holds(found) else 'does not hold'}", flush=True)


if __name__ == "__main__":
    main()
