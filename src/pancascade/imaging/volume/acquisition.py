"""Acquisition parameters of a CT, as values that cannot identify a patient."""

from typing import Annotated

from pydantic import Field

from pancascade.settings import Settings


class Acquisition(Settings):
    """Acquisition parameters from a DICOM header; None if a value is missing or not allowed.

    Descriptions of studies and series are free text that may contain names, so they are never kept. Only numbers and
    terms of fixed lists or patterns are kept.

    Attributes:
        body_part: Plain name, such as "abdomen and pelvis".
        contrast: True if the header names a contrast agent. A header without one proves nothing.
        kv: Peak kilovoltage of the tube.
        slice_thickness_mm: Nominal slice thickness; the slice spacing may be smaller.
        kernel: Convolution kernel, such as "B30f", "FC08" or "STANDARD".
        manufacturer: Manufacturer of the scanner.
    """

    body_part: str | None = None
    contrast: bool | None = None
    kv: Annotated[float, Field(gt=0, le=500)] | None = None
    slice_thickness_mm: Annotated[float, Field(gt=0, le=100)] | None = None
    kernel: str | None = None
    manufacturer: str | None = None

    def __str__(self) -> str:
        """Return one line: "abdomen, with contrast, 120 kV, 3 mm, B30f, Siemens"; "" if nothing is known."""
        parts = (
            self.body_part,
            "with contrast" if self.contrast else None,
            None if self.kv is None else f"{self.kv:g} kV",
            None if self.slice_thickness_mm is None else f"{self.slice_thickness_mm:g} mm",
            self.kernel,
            self.manufacturer,
        )
        return ", ".join(part for part in parts if part)
