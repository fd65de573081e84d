"""From probabilities to the final mask."""

from pancascade.imaging.postprocessing.components import body_boxes, main_bodies, main_organ, touching
from pancascade.imaging.postprocessing.rules import decide

__all__ = ["body_boxes", "decide", "main_bodies", "main_organ", "touching"]
