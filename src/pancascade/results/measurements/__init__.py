"""Sizes, positions and densities of the pancreas and its lesions."""

from pancascade.results.measurements.centre_line import centre_line, part_of
from pancascade.results.measurements.confidence import lesion_confidence
from pancascade.results.measurements.diameters import axial_diameters, diameter_3d_mm
from pancascade.results.measurements.measure import measure_scan
from pancascade.results.measurements.polyline import length_mm
from pancascade.results.measurements.sizes import label_sizes
from pancascade.results.measurements.table import (
    AxialDiameters,
    Lesion,
    Measurements,
    Organ,
    Part,
    Point,
    VesselContact,
)
from pancascade.results.measurements.vessels import vessel_contact

__all__ = [
    "AxialDiameters",
    "Lesion",
    "Measurements",
    "Organ",
    "Part",
    "Point",
    "VesselContact",
    "axial_diameters",
    "centre_line",
    "diameter_3d_mm",
    "label_sizes",
    "length_mm",
    "lesion_confidence",
    "measure_scan",
    "part_of",
    "vessel_contact",
]
