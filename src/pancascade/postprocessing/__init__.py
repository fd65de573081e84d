"""From probabilities to the final mask."""

from pancascade.postprocessing.components import main_bodies, touching
from pancascade.postprocessing.rules import decide

__all__ = ["decide", "main_bodies", "touching"]
