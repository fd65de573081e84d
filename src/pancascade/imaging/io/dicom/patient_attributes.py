"""Patient and study of a series, carried over into what is made of it.

Scanners and anonymisers write values that the standard does not allow, and libraries fail on some of them. What
must be well-formed (dates, codes, numbers) is left empty where it is not; names and identifiers are carried as
they are, as they tie the result to its patient.
"""

import logging
from typing import TYPE_CHECKING

from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.header_text import text_of
from pancascade.imaging.io.dicom.source import DicomSource

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

# Present in every result, empty where nobody knows (type 2, PS3.3 C.7.1.1 and C.7.2.1).
_ALWAYS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_WHERE_GIVEN = (
    *("IssuerOfPatientID", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
)


def patient_and_study(source: DicomSource) -> "Dataset":
    """Patient, study, and frame of reference of a series.

    Text beyond ASCII comes as UTF-8 (ISO_IR 192), whatever the series was written in. A series without a frame
    of reference gets one made from its UID, the same for all results of that series.

    Args:
        source: The series, whose references are sound.

    Returns:
        A data set of these attributes alone.
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
