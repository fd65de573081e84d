"""Who a series belongs to. Nothing calls this unless the user asks to keep identifiers."""

from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.header_text import text_of
from pancascade.imaging.io.dicom.source import DicomSource

_KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "patient_birth_date": "PatientBirthDate",
    "study_date": "StudyDate",
    "accession_number": "AccessionNumber",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
}


def identity_of(source: DicomSource) -> dict[str, str]:
    """Patient, study and series as the source names them, for results that are meant to be traced back.

    Args:
        source: As `find_source` gives it.

    Returns:
        patient_name, patient_id, patient_birth_date and study_date (YYYYMMDD), accession_number, study_uid,
        series_uid; those that are missing, empty or damaged are left out.
    """
    header = source.datasets[0]
    with quiet():
        found = {name: text_of(header, keyword) for name, keyword in _KEYWORDS.items()}
    return {name: text for name, text in found.items() if text}
