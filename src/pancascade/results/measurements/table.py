"""The measurements, as stored in ``result.json`` and shown in the report."""

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
        long_ends_mm: The two ends of the long diameter.
        short_ends_mm: The two ends of the short one.
        slice_index: Index of the slice, from 0, along the scan's axis that is nearest to the body's.
    """

    long_mm: float
    short_mm: float
    long_ends_mm: tuple[Point, Point]
    short_ends_mm: tuple[Point, Point]
    slice_index: int


class VesselContact(Settings):
    """Position of a lesion relative to a vessel.

    Attributes:
        vessel: Name of the vessel.
        distance_mm: Least distance between the surfaces; 0 where they touch.
        contact_degrees: Largest part of the vessel's circumference that the lesion touches in one cross-section, of
            360; 0 without contact.
        contact_length_mm: Length along the vessel with contact.
    """

    vessel: str
    distance_mm: float
    contact_degrees: float
    contact_length_mm: float


class Lesion(Settings):
    """One connected component of the tumour.

    Attributes:
        number: Number from 1, the largest lesion first.
        volume_ml: Volume.
        diameters: Diameters in the axial plane.
        diameter_3d_mm: Longest distance between any two of its points.
        centroid_mm: Centre of mass.
        part: Part of the pancreas, by the position along its centre line; None without a centre line.
        mean_hu: Mean Hounsfield units inside the lesion; None without a scan.
        parenchyma_hu: Mean of the pancreas outside all lesions; None without a scan or parenchyma.
        confidence: Highest mean probability of a 1 mL neighbourhood inside, calibrated; None without probabilities.
        vessels: One entry for each given vessel.
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
        volume_ml: Volume with tumours.
        parenchyma_ml: Volume without tumours.
        length_mm: Length of the centre line, from the head's end to the tail's; None without a centre line.
        mean_hu: Mean Hounsfield units of the parenchyma; None without a scan or parenchyma.
        centre_line_mm: Points of the centre line, from head to tail.
    """

    volume_ml: float
    parenchyma_ml: float
    length_mm: float | None = None
    mean_hu: float | None = None
    centre_line_mm: tuple[Point, ...] = ()


class Measurements(Settings):
    """All measurements of one scan.

    Attributes:
        organ: The pancreas; None where nothing was found.
        lesions: The lesions, the largest first.
    """

    organ: Organ | None = None
    lesions: tuple[Lesion, ...] = ()
