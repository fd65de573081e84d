"""From Hounsfield units to what a network sees, and back to the scan's pixels."""

from pancascade.preprocessing.body import body_box
from pancascade.preprocessing.canvas import Canvas, Placement, find_placement
from pancascade.preprocessing.grid import CanvasOrGrid, VolumeGrid
from pancascade.preprocessing.input_checks import check_input
from pancascade.preprocessing.window import Window

__all__ = [
    "Canvas",
    "CanvasOrGrid",
    "Placement",
    "VolumeGrid",
    "Window",
    "body_box",
    "check_input",
    "find_placement",
]
