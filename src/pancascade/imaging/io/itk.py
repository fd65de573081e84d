"""NRRD and MetaImage files (.nrrd, .nhdr, .mha, .mhd) through SimpleITK (an extra).

ITK arrays are (K, J, I) with LPS+ coordinates; both are converted only in this module.
"""

from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError, OutputError, ScanError, UnreadableError
from pancascade.files.atomic import written_whole
from pancascade.imaging.io.image_files import as_stored, require_file, require_one_scan
from pancascade.imaging.io.itk_files import METAIMAGE, not_an_image, read_header, require_whole
from pancascade.imaging.volume import Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_RIGHT_ANGLE_COSINE = 1e-5


def read_itk(path: Path) -> Volume:
    """Read one 3-D scan or mask.

    Args:
        path: .nrrd, .nhdr, .mha or .mhd. A fourth axis of length 1 is dropped.

    Returns:
        Volume (I, J, K) with the file's integer dtype, or float32; affine to RAS+ mm.

    Raises:
        UnreadableError: SimpleITK is not installed, no such file, or a damaged one.
        GeometryError: not one 3-D scan, or an impossible spacing.
    """
    require_file(path)
    itk = _simple_itk(path)
    place = read_header(path)
    try:
        reader = itk.ImageFileReader()
        # ITK does not recognise a suffix in capitals.
        reader.SetImageIO("MetaImageIO" if path.suffix.lower() in METAIMAGE else "NrrdImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        channels = reader.GetNumberOfComponents()
        shape = require_one_scan(reader.GetSize() + ((channels,) if channels > 1 else ()), path=path)
        image = reader.Execute()
    except RuntimeError as error:
        raise _one_sentence(path, error) from error
    stored = itk.GetArrayFromImage(image)
    require_whole(path, place, nbytes=stored.nbytes)
    voxels = stored.astype(np.float32, copy=False) if stored.dtype.kind == "f" else stored
    affine = _ras_affine(image.GetDirection(), image.GetSpacing(), origin_mm=image.GetOrigin())
    return Volume(voxels.transpose().reshape(shape, order="F"), affine, path)


def write_itk(volume: Volume, path: Path, *, dtype: npt.DTypeLike | None = None) -> None:
    """Write a volume; a failure leaves no partial file.

    Args:
        volume: (I, J, K) with its affine.
        path: .nrrd or .mha.
        dtype: Stored dtype; None keeps the volume's own (booleans become uint8, int64 int32).

    Raises:
        OutputError: SimpleITK is not installed, the path cannot be written, the grid is sheared, a value
            does not fit into the dtype, or the suffix is neither (.mhd and .nhdr are two files each).
    """
    # ITK accepts neither capitals nor .mhd and .nhdr as one file, and leaves other files behind.
    if path.suffix not in (".mha", ".nrrd"):
        raise OutputError(f"{path}: only .mha and .nrrd are written as one whole file. Name it .mha or .nrrd.")
    axes = volume.affine[:3, :3] / volume.spacing_mm
    if np.abs(axes.T @ axes - np.eye(3)).max() > _RIGHT_ANGLE_COSINE:
        raise OutputError(f"{path}: the grid is sheared, which this format cannot store. Name it .nii.gz.")
    voxels = as_stored(volume.voxels, dtype, path=path)
    try:
        itk = _simple_itk(path)
    except UnreadableError as error:
        raise OutputError(str(error)) from error
    image = itk.GetImageFromArray(np.ascontiguousarray(voxels.transpose()))
    image.SetSpacing(volume.spacing_mm)
    image.SetDirection((_LPS_TO_RAS @ axes).ravel().tolist())
    image.SetOrigin((_LPS_TO_RAS @ volume.affine[:3, 3]).tolist())
    try:
        with written_whole(path) as temporary:
            itk.WriteImage(image, str(temporary), True)
    except RuntimeError as error:
        raise OutputError(f"{path}: SimpleITK cannot write it. Choose another folder or name it .nii.gz.") from error


def _simple_itk(path: Path) -> ModuleType:
    try:
        import SimpleITK
    except ImportError as error:
        raise UnreadableError(
            f"{path}: NRRD and MetaImage files need SimpleITK, which is not installed. "
            "Run: pip install 'pancascade[itk]'",
            code="extra_missing",
        ) from error
    return SimpleITK


def _ras_affine(
    direction: tuple[float, ...], spacing_mm: tuple[float, ...], *, origin_mm: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    # A fourth axis of length 1 adds a fourth row and column.
    axes = np.reshape(direction, (len(spacing_mm), -1))[:3, :3] * spacing_mm[:3]
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ axes
    affine[:3, 3] = _LPS_TO_RAS @ origin_mm[:3]
    return affine


def _one_sentence(path: Path, error: RuntimeError) -> ScanError:
    """Return the error to raise for ITK's message of several lines."""
    reason = str(error).lower()
    if "spacing is not supported" in reason:
        return GeometryError(
            f"{path}: voxel spacing is 0 or not a number, the header is damaged. Re-export the scan.",
            code="spacing_impossible",
        )
    if "bad direction" in reason:
        return GeometryError(
            f"{path}: the three voxel axes lie in one plane, the header is damaged. Re-export the scan.",
            code="directions_impossible",
        )
    return not_an_image(path)
