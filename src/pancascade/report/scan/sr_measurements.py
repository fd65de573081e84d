"""Coded measurements of a DICOM SR (PS3.16 TID 1419), with highdicom (an extra)."""

from typing import TYPE_CHECKING, Any

from pancascade.imaging.io.dicom.segmentation_writer import coded
from pancascade.labels import Concept

if TYPE_CHECKING:
    from highdicom.sr import Measurement

VOLUME = Concept("118565006", "Volume")
LENGTH = Concept("410668003", "Length")
LONG_AXIS = Concept("103339001", "Long axis")
SHORT_AXIS = Concept("103340004", "Short axis")
MEAN = Concept("373098007", "Mean")


def sr_measurement(name: Any, value: float, unit: str, *, derivation: Concept | None = None) -> "Measurement":
    """Return a measured value.

    Args:
        name: Code of what was measured, `Concept` or a code of pydicom.
        value: In ``unit``; rounded to three decimals.
        unit: ``mL``, ``mm`` or ``HU``.
        derivation: How it was derived from several values, such as a mean.
    """
    import highdicom
    from pydicom.sr.coding import Code

    units = {"mL": Code("mL", "UCUM", "mL"), "mm": Code("mm", "UCUM", "mm"), "HU": Code("[hnsf'U]", "UCUM", "HU")}
    return highdicom.sr.Measurement(
        name=coded(name) if isinstance(name, Concept) else name,
        value=round(value, 3),
        unit=units[unit],
        derivation=None if derivation is None else coded(derivation),
    )


def sr_mean_hu(value: float) -> "Measurement":
    """Return a mean in HU."""
    from pydicom.sr.codedict import codes

    return sr_measurement(codes.DCM.AttenuationCoefficient, value, "HU", derivation=MEAN)
