"""What every run is measured by, whatever its recipe trains on: runs are compared by it."""

from humanmade import recipe

REFERENCE = "probe_lite0"
"""The recipe whose frozen features tell how far the test set is from the training set."""


def pretrained_weights() -> list[str]:
    """Names of the pretrained weights without which a forecast lacks a fact."""
    return recipe.load(REFERENCE).pretrained_weights()
