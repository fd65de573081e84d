from pancascade.imaging.io.dicom.identity import identity_of
from pancascade.imaging.io.dicom.rtstruct_writer import write_rtstruct
from pancascade.imaging.io.dicom.search import Series
from pancascade.imaging.io.dicom.segmentation_writer import write_dicom_seg
from pancascade.imaging.io.dicom.series import choose_series, find_series, read_dicom_folder, read_series
from pancascade.imaging.io.dicom.source import DicomSource, find_source, require_source
from pancascade.imaging.io.grid_checks import require_spacing
from pancascade.imaging.io.itk import read_itk, write_itk
from pancascade.imaging.io.nifti import read_nifti, write_nifti
from pancascade.imaging.io.plausibility import require_ct, require_hounsfield
from pancascade.imaging.io.scan import read_label_map, read_scan, read_volume, write_volume

__all__ = [
    "DicomSource",
    "Series",
    "choose_series",
    "find_series",
    "find_source",
    "identity_of",
    "read_dicom_folder",
    "read_itk",
    "read_label_map",
    "read_nifti",
    "read_scan",
    "read_series",
    "read_volume",
    "require_ct",
    "require_hounsfield",
    "require_source",
    "require_spacing",
    "write_dicom_seg",
    "write_itk",
    "write_nifti",
    "write_rtstruct",
    "write_volume",
]
