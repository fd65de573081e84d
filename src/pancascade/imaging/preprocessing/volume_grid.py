"""The grid on which whole volumes enter a 3-D cascade."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from pancascade.imaging.preprocessing.canvas import Canvas
from pancascade.imaging.preprocessing.window import Window
from pancascade.settings import Settings


class VolumeGrid(Settings):
    """Settings of volumes that enter a 3-D cascade on the scan's own voxels.

    Attributes:
        kind: Distinguishes it from a canvas of slices.
        window: Hounsfield window mapped to [0, 1].
    """

    kind: Literal["volume"]
    window: Window = Window()


def _which(settings: Any) -> str:
    kind = settings.get("kind") if isinstance(settings, dict) else getattr(settings, "kind", None)
    return "slices" if kind is None else "volume"


CanvasOrGrid = Annotated[Annotated[Canvas, Tag("slices")] | Annotated[VolumeGrid, Tag("volume")], Discriminator(_which)]
"""Preparation of a cascade's images: slices on a canvas, or volumes (``kind: volume``)."""
