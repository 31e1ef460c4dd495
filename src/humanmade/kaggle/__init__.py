"""Kaggle: the official client made honest, and what runs inside a kernel."""
