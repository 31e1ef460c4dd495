"""Kaggle: the official client made honest, and what runs inside a kernel."""

import hashlib
import re

LONGEST_HOURS = 12.0
"""A session on Kaggle lasts no longer."""
STARTUP_HOURS = 0.5
"""Of a session, that pass before a script begins and after it ends."""
HOURS = 11.0
"""Of them a training takes as many, unless told otherwise; the rest is for starting and for its outputs."""
SMOKE_PICTURES, SMOKE_FOLDS, SMOKE_HOURS = 2000, 2, 0.5
"""A first try of a recipe."""
EXPLORED = "probe_lite0"
"""The recipe that the kernel `explore` tries unless another is named."""
MACHINE = "NvidiaTeslaT4"
"""Kaggle's name of the machine that a kernel with `enable_gpu` runs on: two T4."""
SMALL = "-smoke"
"""Ends the names of a run on a part of the data and of its kernel, so that it never stands for the whole."""


def slug(words: str) -> str:
    """A name in Kaggle's addresses, which has 50 characters at most; of a longer one a hash is the end."""
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    short = f"{name[:41].rstrip('-')}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return name if len(name) <= 50 else short
