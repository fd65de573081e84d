"""Attributes of a DICOM header as text."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_SEXES = ("M", "F", "O")


def text_of(header: "Dataset", keyword: str) -> str:
    """Return an attribute of a header as text; "" if it is missing, damaged, or malformed.

    Args:
        header: Header as read.
        keyword: DICOM keyword of a text, date, number or code; the first of several values is used.
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
    # A value that cannot be decoded may raise any exception in pydicom.
    except Exception:
        return ""
    return "" if keyword == "PatientSex" and text not in _SEXES else text
