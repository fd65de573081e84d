"""Callbacks of a runner: progress, and the handover between the stages."""

from collections.abc import Callable

from pancascade.imaging.preprocessing import Placement
from pancascade.inference.backends.runnable_cascade import Handover

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, the number of finished slices, and the total."""


HandOver = Callable[[slice, Placement | None, Handover], Handover]
"""Sees, and may change, the hand-over: slices, their placement on the network grid (None in 3-D), hand-over."""
