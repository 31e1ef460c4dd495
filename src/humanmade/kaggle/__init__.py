"""Kaggle: the official client made honest, and what runs inside a kernel."""

LONGEST_HOURS = 12.0
"""A session on Kaggle lasts no longer."""
MACHINE = "NvidiaTeslaT4"
"""Kaggle's name of the machine that a kernel with `enable_gpu` runs on: two T4."""
SMALL = "-smoke"
"""Ends the names of a run on a part of the data and of its kernel, so that it never stands for the whole."""
