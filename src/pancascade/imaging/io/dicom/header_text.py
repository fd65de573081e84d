"""Attributes of a DICOM header as text."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_SEXES = ("M", "F", "O")


def text_of(header: "Dataset", keyword: str) -> str:
    """An attribute of a header as text, "" where it is missing, damaged, or not well-formed where it must be.

    Args:
        header: As it was read.
        keyword: DICOM's keyword of a text, date, number or code; of several values the first is taken.
    """
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR
    from pydicom.multival import MultiValue
    from pydicom.valuerep import validate_value

    kind = dictionary_VR(keyword)
    try:
        value: Any = header.get(keyword)
        text = str(value[0] if isinstance(value, MultiValue) and value else value or "").strip()
        if kind in ("DA", "TM", "AS", "DS", "CS"):
            validate_value(kind, text, RAISE)
    # A value that cannot be decoded fails in pydicom with whatever that part of it raises.
    except Exception:
        return ""
    return "" if keyword == "PatientSex" and text not in _SEXES else text
