"""Where work that need not be done twice is kept."""

import os
from pathlib import Path


def folder(name: str) -> Path:
    """A folder of the cache: below `HUMANMADE_CACHE`, else the user's cache folder."""
    base = os.environ.get("HUMANMADE_CACHE")
    if base:
        return Path(base) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humanmade" / name
