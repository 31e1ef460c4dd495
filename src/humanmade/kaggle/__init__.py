"""Kaggle: the official client made honest, and what runs inside a kernel."""

LONGEST_HOURS = 12.0
"""A session on Kaggle lasts no longer."""
MACHINE = "NvidiaTeslaT4"
"""Kaggle's name of the machine that a kernel with `enable_gpu` runs on: two T4."""
