"""Detectors: each turns rows of pictures into logits, behind one interface."""

from __future__ import annotations

from humanmade.detectors.base import Detector
from humanmade.recipe import (
    EnsembleRecipe,
    NetworkRecipe,
    ProbeRecipe,
    Recipe,
    ReconstructionRecipe,
    SpectrumRecipe,
    VaeRecipe,
)


def create(recipe: Recipe) -> Detector:
    """Make the detector that a recipe describes."""
    if isinstance(recipe, NetworkRecipe):
        from humanmade.detectors.network import Network

        return Network(recipe)
    if isinstance(recipe, ProbeRecipe):
        from humanmade.detectors.probe import Probe

        return Probe(recipe)
    if isinstance(recipe, SpectrumRecipe):
        from humanmade.detectors.spectrum import Spectrum

        return Spectrum(recipe)
    if isinstance(recipe, ReconstructionRecipe):
        from humanmade.detectors.autoencoder import Reconstruction

        return Reconstruction(recipe)
    if isinstance(recipe, VaeRecipe):
        from humanmade.detectors.autoencoder import VaeDetector

        return VaeDetector(recipe)
    if isinstance(recipe, EnsembleRecipe):
        from humanmade.detectors.ensemble import Ensemble

        return Ensemble(recipe)
    raise AssertionError(f"no detector for {type(recipe).__name__}")
