import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from humanmade import machine
from humanmade import recipe as recipes
from humanmade.detectors import heads


def test_cores_memory_and_every_gpu_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    names = ["Tesla T4", "Tesla T4", "L4"]
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 3 * 2**17}.__getitem__)
    found = machine.facts()
    assert found["GPU"] == "2 x Tesla T4, 1 x L4"
    assert (found["CPU cores"], found["memory"]) == ("7", "1.5 GiB")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert machine.facts()["GPU"] == "none" and machine.facts()["system"]


ARRAYS = """
import resource, sys
import numpy as np
if "images" in sys.argv: import humanmade.images
if "network" in sys.argv:
    from humanmade.training.device import Machine
    Machine.pick()
size = int(sys.argv[1])
def ask(): return [np.ones(size, np.uint8) for _ in range(8)]
ask()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): ask()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_linear_models_are_fitted_by_one_thread(monkeypatch: pytest.MonkeyPatch):
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    counts = []
    fit = heads._logistic
    monkeypatch.setattr(heads, "_logistic", lambda *words: counts.append(threads()) or fit(*words))
    features = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    recipe = recipes.load("probe_lite0", ["shrinkage=0.1"])
    with threadpool_limits(2, "blas"):
        heads.fit_linear(features, np.tile([0, 1], 12), np.arange(24), recipe, 0)
        assert counts == [{1}] and max(threads()) == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
@pytest.mark.parametrize(("size", "user"), [(1_000_000, "images"), (40_000_000, "network")])
def test_a_picture_or_batch_takes_the_memory_of_the_one_before(size: int, user: str):
    if user == "network" and torch.cuda.is_available():
        pytest.skip("a network's arrays lie on the GPU")
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", ARRAYS, str(size), *asked], capture_output=True, check=True
            ).stdout
        )
        for asked in ((), (user,))
    ]
    assert faults[0] > 5_000 and faults[1] < 500, f"pages asked for anew: {faults}"
