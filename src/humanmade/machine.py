"""The machine that a run was made on."""

from __future__ import annotations

import os
import platform
from collections import Counter


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
