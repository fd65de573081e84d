"""Reading and writing of volumes in every known format, chosen by the file suffix."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy.typing as npt

from pancascade.errors import OutputError, UnreadableError
from pancascade.files.file_names import READABLE_SUFFIXES, known_suffix
from pancascade.files.given_paths import given_path
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.imaging.io.dicom.series import read_dicom_folder
from pancascade.imaging.io.image_files import require_file
from pancascade.imaging.io.itk import read_itk, write_itk
from pancascade.imaging.io.nifti import read_nifti, write_nifti
from pancascade.imaging.io.plausibility import require_ct
from pancascade.imaging.volume import Volume, as_label_map

_logger = logging.getLogger(__name__)

_READERS: dict[str, Callable[[Path], Volume]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".nrrd": read_itk,
    ".nhdr": read_itk,
    ".mha": read_itk,
    ".mhd": read_itk,
}


def read_volume(path: str | Path, *, series: str | None = None, keep_on_disk: bool = False) -> Volume:
    """Read a scan, mask or label map; its values are not checked.

    Args:
        path: File with one of READABLE_SUFFIXES, in upper or lower case; or a CT series as DICOM: a folder, a zip
            archive of one, or a single file.
        series: For DICOM, the series to read: its UID, number, or a part of its description. None chooses by rule.
        keep_on_disk: Keep the voxels in a temporary file, for a scan larger than the memory; ITK formats ignore it.

    Returns:
        (I, J, K) in the file's order, affine to RAS+ mm.

    Raises:
        ScanError: a folder or archive holds no CT series, or several between which the rule cannot choose.
        UnreadableError: no such file, an unknown suffix, empty, truncated, no image, or a series for a non-DICOM file.
        GeometryError: not one 3-D scan, slices missing or doubled, or an impossible spacing.
    """
    path = given_path(path, what="path").absolute()  # so that messages can separate its folders from its name
    suffix = known_suffix(path)
    if suffix is None and looks_like_dicom(path):
        return read_dicom_folder(path, wanted=series, keep_on_disk=keep_on_disk)
    require_file(path)
    if series is not None:
        raise UnreadableError(
            f"{path}: not DICOM, so there is no series to choose. Leave --series out.", code="not_dicom"
        )
    if suffix is None:
        raise UnreadableError(
            f"{path}: unknown kind of file; known are {', '.join(READABLE_SUFFIXES)}, and DICOM in folders, zip "
            "archives or single files.",
            code="unknown_format",
        )
    if keep_on_disk and _READERS[suffix] is read_nifti:
        return read_nifti(path, keep_on_disk=True)
    return _READERS[suffix](path)


def read_label_map(path: str | Path) -> Volume:
    """Read a label map or mask; values within 0.001 of whole numbers (from a slope) are rounded.

    Args:
        path: As for `read_volume`.

    Returns:
        (I, J, K) in the file's order, affine to RAS+ mm. Other values stay unchanged.

    Raises:
        ScanError: As for `read_volume`.
    """
    return as_label_map(read_volume(path))


def read_scan(path: str | Path) -> Volume:
    """Read a CT scan that can be segmented; unusual properties are logged as warnings.

    Args:
        path: As for `read_volume`.

    Returns:
        (I, J, K) in HU, affine to RAS+ mm.

    Raises:
        UnreadableError: as for `read_volume`.
        GeometryError: not one 3-D scan, or a size or spacing that no abdominal CT has.
        NotCTError: the values cannot be Hounsfield units.
    """
    volume = read_volume(path)
    for notice in require_ct(volume):
        _logger.warning(str(notice))
    return volume


def write_volume(volume: Volume, path: str | Path, *, dtype: npt.DTypeLike | None = None) -> None:
    """Write a volume in the format of the file suffix; a failure leaves no partial file.

    Args:
        volume: (I, J, K) with its affine.
        path: .nii, .nii.gz, .nrrd or .mha.
        dtype: Stored dtype; None keeps the volume's own (booleans become uint8, int64 int32).

    Raises:
        OutputError: an unknown suffix, the path cannot be written, or a value does not fit into the dtype.
        TypeError: the volume is not a `Volume`, for example a bare array.
    """
    if not isinstance(volume, Volume):
        raise TypeError(f"volume: give a Volume, such as Volume(array, affine), got {type(volume).__name__}.")
    path = given_path(path, what="path")
    suffix = known_suffix(path)
    if suffix is None:
        raise OutputError(f"{path}: unknown kind of file to write. Name it .nii.gz, .nii, .nrrd or .mha.")
    write = write_nifti if _READERS[suffix] is read_nifti else write_itk
    write(volume, path, dtype=dtype)
