"""The demo's lesson: what its hidden test labels say of a run."""

from __future__ import annotations

from pathlib import Path

from humanmade.data import inventory, manifest
from humanmade.evaluation import evaluate as evaluation
from humanmade.evaluation.inference import run_logits
from humanmade.run import Run


def as_text(run: Run, hidden: Path) -> str:
    """Score a run on the labelled folder `hidden`, for people."""
    rows = inventory.attach(manifest.load([hidden]))
    scores = evaluation.evaluate(rows, run_logits(run, rows))
    return (
        "\nThe demo's hidden test labels, which no competition shows, say:\n"
        f"{evaluation.as_text(scores)}\n"
        "Other up-samplers made the test's fakes. No fold could know that."
    )
