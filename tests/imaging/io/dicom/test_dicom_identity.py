from dicom_phantoms import STUDY
from dicom_writing import IDENTIFIERS, SERIES_UID, STUDY_UID, ct_slices, picture, save_all

from pancascade.imaging.io import find_source, identity_of


def test_a_series_is_named_as_its_headers_name_it(tmp_path):
    save_all(ct_slices(picture(), **STUDY), tmp_path)
    assert identity_of(find_source(tmp_path)) == {
        "patient_name": IDENTIFIERS["PatientName"],
        "patient_id": IDENTIFIERS["PatientID"],
        "patient_birth_date": IDENTIFIERS["PatientBirthDate"],
        "study_date": STUDY["StudyDate"],
        "accession_number": IDENTIFIERS["AccessionNumber"],
        "study_uid": STUDY_UID,
        "series_uid": SERIES_UID,
    }


def test_what_is_missing_or_empty_is_left_out(tmp_path):
    slices = ct_slices(picture(), PatientName="", PatientID=None)
    for image in slices:
        del image.AccessionNumber, image.PatientBirthDate
    save_all(slices, tmp_path)
    assert identity_of(find_source(tmp_path)) == {"study_uid": STUDY_UID, "series_uid": SERIES_UID}
