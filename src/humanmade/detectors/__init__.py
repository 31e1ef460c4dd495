"""Detectors: each turns rows of pictures into logits, behind one interface."""

from __future__ import annotations

from importlib import import_module

from humanmade.detectors.base import Detector
from humanmade.recipe import Recipe

REGISTRY = {
    "network": "humanmade.detectors.network:Network",
    "probe": "humanmade.detectors.probe:Probe",
    "spectrum": "humanmade.detectors.spectrum:Spectrum",
    "reconstruction": "humanmade.detectors.reconstruction:Reconstruction",
    "vae": "humanmade.detectors.vae:VaeDetector",
    "ensemble": "humanmade.detectors.ensemble:Ensemble",
}
"""Where the class of each recipe's `detector` is; imported when it is made."""


def create(recipe: Recipe) -> Detector:
    """Make the detector that a recipe describes."""
    module, name = REGISTRY[recipe.detector].split(":")
    made: Detector = getattr(import_module(module), name)(recipe)
    return made
