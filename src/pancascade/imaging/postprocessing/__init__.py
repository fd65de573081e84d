"""Conversion of probabilities to the final mask."""

from pancascade.imaging.postprocessing.components import component_boxes, main_components, main_organ, touching
from pancascade.imaging.postprocessing.rules import decide

__all__ = ["component_boxes", "decide", "main_components", "main_organ", "touching"]
