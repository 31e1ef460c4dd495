import os

import pytest
import torch

from humanmade import machine


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
