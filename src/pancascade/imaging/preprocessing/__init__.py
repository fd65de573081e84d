"""Conversion of Hounsfield units to network input, and of network output to the scan's pixels."""

from pancascade.imaging.preprocessing.canvas import Canvas, Placement, find_placement
from pancascade.imaging.preprocessing.input_checks import check_input
from pancascade.imaging.preprocessing.patient_box import patient_box
from pancascade.imaging.preprocessing.volume_grid import CanvasOrGrid, VolumeGrid
from pancascade.imaging.preprocessing.window import Window

__all__ = [
    "Canvas",
    "CanvasOrGrid",
    "Placement",
    "VolumeGrid",
    "Window",
    "check_input",
    "find_placement",
    "patient_box",
]
