"""Patient identifiers of a series. Used only if the user asks to keep identifiers."""

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
    """Return identifiers of patient, study and series, for results that must be traceable.

    Args:
        source: A source from `find_source`.

    Returns:
        patient_name, patient_id, patient_birth_date and study_date (YYYYMMDD), accession_number, study_uid,
        series_uid; without missing, empty or damaged values.
    """
    header = source.datasets[0]
    with quiet():
        found = {name: text_of(header, keyword) for name, keyword in _KEYWORDS.items()}
    return {name: text for name, text in found.items() if text}
