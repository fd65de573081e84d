"""Options of a training store."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pancascade.imaging.preprocessing.window import Window
from pancascade.settings import Settings

StoreKind = Literal["volumes", "slices", "pictures"]
Keep = Literal["all", "pancreas", "tumour"]


class SourceReading(Settings):
    """Reading options of the source that its files do not contain.

    Attributes:
        layout: Layout of the source's folder; None if a program gave the cases.
        picture_window: Hounsfield units of grey 0 and grey 255 in a slice folder's pictures.
        flip_rows: Whether the pictures were flipped.
    """

    layout: str | None = None
    picture_window: Window | None = None
    flip_rows: bool = False


class PrepareOptions(Settings):
    """Options of a training store; stores with different options never share a folder.

    Attributes:
        kind: Whole ``volumes`` or single ``slices`` in Hounsfield units, or ``pictures``: 8-bit PNG.
        spacing_mm: Spacing to the left, back and head; None keeps each scan's own voxels.
        keep: Slices to keep: all, with pancreas (or tumour), or with tumour; a volume keeps all.
        window: Window of pictures; None uses the default `Window`.
        reading: Reading options of the source.
    """

    kind: StoreKind = "volumes"
    spacing_mm: tuple[float, float, float] | None = None
    keep: Keep = "all"
    window: Window | None = None
    reading: SourceReading = Field(default_factory=SourceReading)

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        if self.spacing_mm is not None and min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing must be above 0 mm, got {' '.join(f'{mm:g}' for mm in self.spacing_mm)}")
        if self.kind == "volumes" and self.keep != "all":
            raise ValueError(f"keep {self.keep} is for slices and pictures; a volume keeps all its slices")
        if self.kind != "pictures" and self.window is not None:
            raise ValueError(f"a window is for pictures; {self.kind} keep Hounsfield units")
        return self

    @property
    def picture_window(self) -> Window:
        """The window of pictures."""
        return self.window or Window()


def keeps(keep: Keep, *, pancreas_pixels: int, tumour_pixels: int) -> bool:
    """Return whether to keep a slice with these numbers of pixels."""
    return keep == "all" or (tumour_pixels if keep == "tumour" else pancreas_pixels) > 0
