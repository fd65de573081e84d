"""From Hounsfield units to what a network sees, and back to the scan's pixels."""

from pancascade.preprocessing.body import body_box
from pancascade.preprocessing.canvas import Canvas, Placement, draw, draw_labels, find_placement, take_off
from pancascade.preprocessing.grid import CanvasOrGrid, VolumeGrid
from pancascade.preprocessing.window import Window

__all__ = [
    "Canvas",
    "CanvasOrGrid",
    "Placement",
    "VolumeGrid",
    "Window",
    "body_box",
    "draw",
    "draw_labels",
    "find_placement",
    "take_off",
]
