"""What is measured, as it stands in ``result.json`` and in the report."""

from typing import Literal

from pydantic import Field

from pancascade.settings import Settings

Part = Literal["head", "body", "tail"]
Point = tuple[float, float, float]
"""RAS+ coordinates in mm."""


class AxialDiameters(Settings):
    """The longest diameter of a lesion in an axial plane, and the longest one at a right angle to it (RECIST 1.1).

    Attributes:
        long_mm: Longest distance between two points of the outline in any one axial slice.
        short_mm: Longest distance at a right angle to it in the same slice.
        long_ends_mm: Its two ends.
        short_ends_mm: The two ends of the short one.
        slice_index: The slice, counted from 0 along the scan's own axis that runs most nearly along the body.
    """

    long_mm: float
    short_mm: float
    long_ends_mm: tuple[Point, Point]
    short_ends_mm: tuple[Point, Point]
    slice_index: int


class VesselContact(Settings):
    """How a lesion lies to a vessel.

    Attributes:
        vessel: Its name.
        distance_mm: Least distance between the surfaces; 0 where they touch.
        contact_degrees: Largest share of the vessel's circumference in one cross-section that the lesion touches, of
            360; 0 without contact.
        contact_length_mm: Length along the vessel over which there is contact.
    """

    vessel: str
    distance_mm: float
    contact_degrees: float
    contact_length_mm: float


class Lesion(Settings):
    """One connected tumour.

    Attributes:
        number: From 1, the largest first.
        volume_ml: Its volume.
        diameters: In the axial plane.
        diameter_3d_mm: Longest distance between any two of its points.
        centroid_mm: Centre of mass.
        part: Of the pancreas, by the position along its centre line; None where no centre line could be found.
        mean_hu: Inside the lesion; None without a scan.
        parenchyma_hu: Mean of the pancreas outside all lesions; None without a scan or parenchyma.
        confidence: Highest mean probability of a 1 mL neighbourhood inside, calibrated; None without probabilities.
        vessels: One entry a vessel that was given.
    """

    number: int = Field(ge=1)
    volume_ml: float
    diameters: AxialDiameters
    diameter_3d_mm: float
    centroid_mm: Point
    part: Part | None = None
    mean_hu: float | None = None
    parenchyma_hu: float | None = None
    confidence: float | None = None
    vessels: tuple[VesselContact, ...] = ()


class Organ(Settings):
    """The pancreas with its tumours.

    Attributes:
        volume_ml: With tumours.
        parenchyma_ml: Without tumours.
        length_mm: Of the centre line, from the head's end to the tail's; None where none could be found.
        mean_hu: Of the parenchyma; None without a scan or parenchyma.
        centre_line_mm: The line itself, from head to tail.
    """

    volume_ml: float
    parenchyma_ml: float
    length_mm: float | None = None
    mean_hu: float | None = None
    centre_line_mm: tuple[Point, ...] = ()


class Measurements(Settings):
    """All that is measured on one scan.

    Attributes:
        organ: None where nothing was found.
        lesions: The largest first.
    """

    organ: Organ | None = None
    lesions: tuple[Lesion, ...] = ()
