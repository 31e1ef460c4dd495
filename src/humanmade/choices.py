"""What options offer, for those who do it and for `--help`, which imports nothing heavy."""

FUSIONS = ("mean", "rank", "weights", "climb", "stack")
"""Rules of `humanmade.fusion`."""
MAPS = ("gradcam", "hirescam", "layercam")
"""Grad-CAM (Selvaraju et al. 2017), HiResCAM (Draelos and Carin 2020), LayerCAM (Jiang et al. 2021)."""
