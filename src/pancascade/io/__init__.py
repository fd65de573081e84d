from pancascade.io.atomic import written_together, written_whole
from pancascade.io.csv_tables import TableRow, read_table
from pancascade.io.dicom_identity import identity_of
from pancascade.io.dicom_search import Series
from pancascade.io.dicom_seg import write_dicom_seg
from pancascade.io.dicom_series import choose_series, find_series, read_dicom_folder, read_series
from pancascade.io.dicom_source import DicomSource, find_source, require_source
from pancascade.io.digests import content_digest, patient_mark, text_digest, volume_digest
from pancascade.io.itk import read_itk, write_itk
from pancascade.io.nifti import read_nifti, write_nifti
from pancascade.io.plausibility import require_ct, require_hounsfield
from pancascade.io.rtstruct import write_rtstruct
from pancascade.io.scan import READABLE_SUFFIXES, read_label_map, read_scan, read_volume, stem, write_volume

__all__ = [
    "READABLE_SUFFIXES",
    "DicomSource",
    "Series",
    "TableRow",
    "choose_series",
    "content_digest",
    "find_series",
    "find_source",
    "identity_of",
    "patient_mark",
    "read_dicom_folder",
    "read_itk",
    "read_label_map",
    "read_nifti",
    "read_scan",
    "read_series",
    "read_table",
    "read_volume",
    "require_ct",
    "require_hounsfield",
    "require_source",
    "stem",
    "text_digest",
    "volume_digest",
    "write_dicom_seg",
    "write_itk",
    "write_nifti",
    "write_rtstruct",
    "write_volume",
    "written_together",
    "written_whole",
]
