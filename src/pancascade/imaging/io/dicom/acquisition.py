"""Acquisition parameters of a series, from the header of one of its images."""

import re
from typing import TYPE_CHECKING

from pancascade.imaging.io.dicom.header_text import text_of
from pancascade.imaging.volume.acquisition import Acquisition

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = ("BodyPartExamined", "ContrastBolusAgent", "KVP", "SliceThickness", "ConvolutionKernel", "Manufacturer")
"""Keywords that `acquisition_of` reads."""

BODY_PARTS = {
    "ABDOMEN": "abdomen",
    "ABDOMENPELVIS": "abdomen and pelvis",
    "CHEST": "chest",
    "CHESTABDOMEN": "chest and abdomen",
    "CHESTABDPELVIS": "chest, abdomen and pelvis",
    "LIVER": "liver",
    "NECKCHESTABDOMEN": "neck, chest and abdomen",
    "NECKCHESTABDPELV": "neck, chest, abdomen and pelvis",
    "PANCREAS": "pancreas",
    "PELVIS": "pelvis",
    "THORAX": "chest",
    "WHOLEBODY": "whole body",
}
"""Plain names of the defined terms for parts of the trunk (PS3.16 Annex L)."""

MANUFACTURERS = {
    "siemens": "Siemens",
    "ge medical": "GE",
    "ge healthcare": "GE",
    "philips": "Philips",
    "toshiba": "Toshiba",
    "canon": "Canon",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "united imaging": "United Imaging",
    "neusoft": "Neusoft",
}
"""Names of scanner manufacturers, by a part of the header field in lower case."""

_NO_CONTRAST = ("", "NO", "NONE", "N", "0", "WITHOUT", "W/O", "NATIVE", "N/A")
_SCANNERS_KERNEL = re.compile(r"[A-Z][a-z]?\d{2}[a-z]?|FC\d{2}")
_NAMED_KERNELS = ("STANDARD", "SOFT", "DETAIL", "CHST", "LUNG", "BONE", "BONEPLUS", "EDGE")


def acquisition_of(header: "Dataset") -> Acquisition:
    """Return the acquisition parameters of a header, without free text.

    Args:
        header: Header of one image of the series; missing, damaged or unknown values become None.
    """
    body_part = text_of(header, "BodyPartExamined").upper().replace("_", "").replace(" ", "")
    manufacturer = text_of(header, "Manufacturer").lower()
    return Acquisition(
        body_part=BODY_PARTS.get(body_part),
        contrast=True if text_of(header, "ContrastBolusAgent").upper() not in _NO_CONTRAST else None,
        kv=_number(header, "KVP", most=500),
        slice_thickness_mm=_number(header, "SliceThickness", most=100),
        kernel=_kernel(text_of(header, "ConvolutionKernel")),
        manufacturer=next((name for part, name in MANUFACTURERS.items() if part in manufacturer), None),
    )


def _number(header: "Dataset", keyword: str, *, most: float) -> float | None:
    try:
        value = round(float(text_of(header, keyword)), 2)
    except ValueError:
        return None
    return value if 0 < value <= most else None


def _kernel(text: str) -> str | None:
    known = text.upper() in _NAMED_KERNELS or _SCANNERS_KERNEL.fullmatch(text)
    return (text.upper() if text.upper() in _NAMED_KERNELS else text) if known else None
