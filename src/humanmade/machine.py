"""The machine that a run was made on, and how its memory is used."""

from __future__ import annotations

import ctypes
import os
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Of `mallopt`, in glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays for the next ones, 64 MiB at most; elsewhere do nothing.

    By itself it gives those of a picture back to the system again and again, and every page that is asked
    for anew costs: a third of the time of the spectrum statistics. Arrays above 32 MiB are given back still.
    """
    _tell_glibc({_MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20})


def keep_all_freed_memory() -> None:
    """Let glibc keep the memory of all freed arrays for the next ones; elsewhere do nothing.

    For networks on a processor: a batch's activations exceed what `keep_freed_memory` keeps, and asking for
    their pages anew at every layer costs as much as the layers.
    """
    _tell_glibc({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1})


def _tell_glibc(settings: dict[int, int]) -> None:
    if platform.libc_ver()[0] == "glibc":
        for option, value in settings.items():
            ctypes.CDLL(None).mallopt(option, value)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let one thread do the matrix products of NumPy and SciPy inside, as a decorator or in a `with`.

    For linear models: on few rows threads that wait for each other take ten times as long, on many they gain
    nothing, and of one the numbers do not depend on how many cores there are.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def facts() -> dict[str, str]:
    """System, CPU cores, memory and GPUs, in words."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = Counter(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "CPU cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.1f} GiB",
        "GPU": ", ".join(f"{count} x {name}" for name, count in gpus.items()) or "none",
    }
