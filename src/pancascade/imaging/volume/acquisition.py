"""How a CT was acquired, in values that cannot name a patient."""

from typing import Annotated

from pydantic import Field

from pancascade.settings import Settings

Kernel = Annotated[str, Field(pattern=r"^([A-Z][a-z]?\d{2}[a-z]?|FC\d{2}|[A-Z]{4,8})$")]


class Acquisition(Settings):
    """What a DICOM header says of an acquisition; None where it says nothing that can be passed on.

    Descriptions of studies and series are free text in which names occur, so none is kept. What is kept is a
    number, or a term of a list.

    Attributes:
        body_part: In words, such as "abdomen and pelvis".
        contrast: True where a contrast agent is named. A header without one proves nothing.
        kv: Peak kilovoltage of the tube.
        slice_thickness_mm: Nominal slice thickness; slices may lie closer together.
        kernel: Convolution kernel, such as "B30f", "FC08" or "STANDARD".
        manufacturer: Of the scanner.
    """

    body_part: str | None = None
    contrast: bool | None = None
    kv: Annotated[float, Field(gt=0, le=500)] | None = None
    slice_thickness_mm: Annotated[float, Field(gt=0, le=100)] | None = None
    kernel: Kernel | None = None
    manufacturer: str | None = None

    def __str__(self) -> str:
        """In one line: "abdomen, with contrast, 120 kV, 3 mm, B30f, Siemens"; "" where nothing is known."""
        parts = (
            self.body_part,
            "with contrast" if self.contrast else None,
            None if self.kv is None else f"{self.kv:g} kV",
            None if self.slice_thickness_mm is None else f"{self.slice_thickness_mm:g} mm",
            self.kernel,
            self.manufacturer,
        )
        return ", ".join(part for part in parts if part)
