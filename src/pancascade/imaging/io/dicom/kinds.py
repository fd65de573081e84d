"""Kinds of series by their DICOM header: a CT to segment, or another kind."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

CT = "ct"
NOT_AXIAL = "coronal or sagittal CT"
MIXED = "mixed dual-energy CT"
LOCALIZER = "localizer"
NAMEABLE = (NOT_AXIAL, MIXED)
"""Kinds in Hounsfield units that are read only if the user names the series."""

HEADER_TAGS = (
    "SOPClassUID",
    "ImageType",
    "Modality",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "SeriesNumber",
    "SeriesDescription",
    "SliceThickness",
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "RescaleType",
    "SharedFunctionalGroupsSequence",
)

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# CT, enhanced CT, legacy converted enhanced CT (PS3.4 B.5).
_CT_CLASSES = {_STORAGE + "2", _STORAGE + "2.1", _STORAGE + "2.2"}
_OTHER_CLASSES = {
    "7": "secondary capture",
    "11": "presentation state",
    "66.4": "segmentation",
    "66.7": "segmentation",
    "88": "structured report",
    "104": "document",
    "481.2": "RT dose",
    "481.3": "RTSTRUCT",
    "481.5": "RT plan",
}
# Values of ImageType, from the third on (PS3.3 C.8.2.1.1.1, C.8.16.1.3) and as the scanners' makers write them.
_LOCALIZER = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
_DERIVED = {
    "MIP", "MINIP", "MIN_IP", "MAX_IP", "AVERAGE_IP", "PROJECTION IMAGE", "PERFUSION", "SCREEN SAVE", "SSD", "VRT",
    "VOLUME_RENDER", "DOSE_INFO", "IODINE", "OTHER_MAP", "SUBTRACT", "VNC_MAP", "MATERIAL",
}  # fmt: skip
# Both energies of a dual-energy scan, weighted to resemble a single energy.
_MIXED = {"ENERGY_PROP_WT"}
_LONGEST_MODALITY = 10
# PS3.3 C.11.1.1.2: Hounsfield units, modified ones, unspecified.
_HU_TYPES = {"", "HU", "HU_MOD", "US"}


def kind_of(header: "Dataset") -> str:
    """Return `CT` or `MIXED` for CT images in Hounsfield units, else a few words that name the kind.

    Args:
        header: Header with HEADER_TAGS.
    """
    storage_class = str(header.get("SOPClassUID", ""))
    if storage_class not in _CT_CLASSES:
        number = storage_class.removeprefix(_STORAGE)
        names = [name for key, name in _OTHER_CLASSES.items() if number == key or number.startswith(f"{key}.")]
        return names[0] if names else f"{_modality(header)} series"
    words = {str(word).strip().upper() for word in header.get("ImageType") or ()}
    if words & _LOCALIZER:
        return LOCALIZER
    if words & _DERIVED:
        return "derived picture"
    if str(header.get("RescaleType") or "").strip().upper() not in _HU_TYPES:
        return "CT map that is not in HU"
    return MIXED if words & _MIXED else CT


def _modality(header: "Dataset") -> str:
    """Return the modality if it can be a defined term (PS3.3 C.7.3.1.1.1), else "other"."""
    text = str(header.get("Modality") or "")
    return text if text.isascii() and text.isalpha() and text.isupper() and len(text) <= _LONGEST_MODALITY else "other"


def is_axial(header: "Dataset") -> bool:
    """Return whether slices are axial within 45 degrees; also True without an orientation.

    Args:
        header: Header with HEADER_TAGS.
    """
    for group in (header, *(header.get("SharedFunctionalGroupsSequence") or [])):
        for plane in (group, *(group.get("PlaneOrientationSequence") or [])):
            try:
                row, column = np.reshape([float(cosine) for cosine in plane["ImageOrientationPatient"].value], (2, 3))
            # A missing value, or a damaged one, which may raise any exception in pydicom.
            except Exception:
                continue
            return bool(abs(np.cross(row, column)[2]) >= np.sqrt(0.5) - 1e-3)
    return True
