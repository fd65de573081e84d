"""Patient and study attributes of a series, copied into DICOM results.

Scanners and anonymisers write values that the standard does not allow, and some libraries fail on them. Malformed
dates, codes and numbers are replaced by empty values. Names and identifiers are copied unchanged, as they link the
result to its patient.
"""

import logging
from typing import TYPE_CHECKING

from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.header_text import text_of
from pancascade.imaging.io.dicom.source import DicomSource

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

# Present in every result, empty if unknown (type 2, PS3.3 C.7.1.1 and C.7.2.1).
_ALWAYS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_WHERE_GIVEN = (
    *("IssuerOfPatientID", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
)


def patient_and_study(source: DicomSource) -> "Dataset":
    """Return patient, study, and frame of reference of a series.

    Text beyond ASCII is encoded as UTF-8 (ISO_IR 192) for any encoding of the series. A series without a frame of
    reference gets one derived from its series UID, so all results of the series share it.

    Args:
        source: The series, accepted by `require_references`.

    Returns:
        A data set of these attributes only.
    """
    import pydicom

    first, carried = source.datasets[0], pydicom.Dataset()
    with quiet():
        for keyword in (*_ALWAYS, *_WHERE_GIVEN):
            text = text_of(first, keyword)
            if text or keyword in _ALWAYS:
                setattr(carried, keyword, text)
        carried.StudyInstanceUID = str(first.StudyInstanceUID)
        carried.FrameOfReferenceUID = _frame_of_reference(source)
        carried.PositionReferenceIndicator = text_of(first, "PositionReferenceIndicator")
        if "DeidentificationMethodCodeSequence" in first:
            carried.DeidentificationMethodCodeSequence = first.DeidentificationMethodCodeSequence
        if not all(str(element.value).isascii() for element in carried):
            carried.SpecificCharacterSet = "ISO_IR 192"
    return carried


def _frame_of_reference(source: DicomSource) -> str:
    from pydicom.uid import generate_uid

    given = str(source.datasets[0].get("FrameOfReferenceUID") or "")
    if given:
        return given
    _logger.warning("%s: FrameOfReferenceUID is missing; the results have one made for this series.", source.path)
    return str(generate_uid(entropy_srcs=[str(source.datasets[0].SeriesInstanceUID), "frame of reference"]))
