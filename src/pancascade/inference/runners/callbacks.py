"""What a caller of a runner is told, and may change, between the stages."""

from collections.abc import Callable

from pancascade.imaging.preprocessing import Placement
from pancascade.inference.backends.runnable_cascade import Handover

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many slices are done, and how many there are."""


HandOver = Callable[[slice, Placement | None, Handover], Handover]
"""Sees, and may change, what stage 1 hands to stage 2: slices, their place on the canvas (None in 3-D), hand-over."""
