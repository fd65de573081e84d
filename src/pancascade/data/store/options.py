"""How a training store is made."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pancascade.imaging.preprocessing.window import Window
from pancascade.settings import Settings

StoreKind = Literal["volumes", "slices", "pictures"]
Keep = Literal["all", "pancreas", "tumour"]


class SourceReading(Settings):
    """How the source was read, where its files do not tell.

    Attributes:
        layout: Of the source's folder; None where cases were given by a program.
        picture_window: Hounsfield units of grey 0 and grey 255 in a slice folder's pictures.
        flip_rows: Whether they were turned over.
    """

    layout: str | None = None
    picture_window: Window | None = None
    flip_rows: bool = False


class PrepareOptions(Settings):
    """How a training store is made; two stores of other options never share a folder.

    Attributes:
        kind: Whole ``volumes``, single ``slices``, both as Hounsfield units, or ``pictures``: PNG of 8 bits.
        spacing_mm: To left, to back, to head; None keeps each scan's own voxels.
        keep: Slices with pancreas (tumours belong to it) or with tumour only; a volume keeps all.
        window: Of pictures; None takes the default `Window`.
        reading: How the source was read.
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
    """Whether a slice with so many pixels of each is kept."""
    return keep == "all" or (tumour_pixels if keep == "tumour" else pancreas_pixels) > 0
