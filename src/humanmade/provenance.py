"""With which code a run was made: the versions of the packages that decide results, and the kit's own."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "torchvision", "timm", "albumentations", "numpy", "pandas", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    import platform

    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def commit() -> str:
    """The kit's own commit where it runs from a checkout, else empty."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],  # noqa: S607 - git from the PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
