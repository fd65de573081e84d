"""From probabilities to the final mask."""

from pancascade.postprocessing.rules import decide

__all__ = ["decide"]
