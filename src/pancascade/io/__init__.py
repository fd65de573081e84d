from pancascade.io.atomic import written_together, written_whole
from pancascade.io.itk import read_itk, write_itk
from pancascade.io.nifti import read_nifti, write_nifti
from pancascade.io.plausibility import require_ct
from pancascade.io.scan import READABLE_SUFFIXES, read_scan, read_volume, stem, write_volume

__all__ = [
    "READABLE_SUFFIXES",
    "read_itk",
    "read_nifti",
    "read_scan",
    "read_volume",
    "require_ct",
    "stem",
    "write_itk",
    "write_nifti",
    "write_volume",
    "written_together",
    "written_whole",
]
