"""Reading and writing of NIfTI files (.nii, .nii.gz)."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError

from pancascade.errors import OutputError, UnreadableError
from pancascade.files.atomic import written_whole
from pancascade.imaging.io.image_files import as_stored, require_file, require_one_scan
from pancascade.imaging.io.nifti_header import contradictions, quiet, require_spacing
from pancascade.imaging.volume import Volume, memory_mapped, release

# NIfTI stores float32, so orthogonal axes are read back with cosines around 1e-7.
_RIGHT_ANGLE_COSINE = 1e-5

_PIECE_VOXELS = 2**22


def read_nifti(path: Path, *, keep_on_disk: bool = False) -> Volume:
    """Read one 3-D scan or mask.

    Args:
        path: .nii or .nii.gz. A fourth axis of length 1 is dropped.
        keep_on_disk: Unpack the voxels piece by piece into a temporary file instead of memory.

    Returns:
        (I, J, K) in the file's order. The file's integer dtype if it has no slope and intercept, so a CT stays int16;
        otherwise float32, with slope and intercept applied. Affine from sform, else qform. A notice reports a header
        that contradicts itself.

    Raises:
        UnreadableError: no such file, not NIfTI, truncated, or voxels that are colours or complex numbers.
        GeometryError: not one 3-D scan, or an impossible spacing.
    """
    require_file(path)
    with _one_sentence(path), quiet():
        image_class: Any = type(nib.load(path))
        with nib.openers.ImageOpener(str(path)) as file:
            parts = image_class.make_file_map({"header": file, "image": file})
            # No memory map, because the file may be replaced while the scan is in use.
            image = image_class.from_file_map(parts, mmap=False)
            shape = require_one_scan(image.shape, path=path)
            require_spacing(path, image.header)
            notices = contradictions(path, image.header)
            if keep_on_disk:
                voxels = _unpacked(image.dataobj, file, shape=shape, path=path)
            else:
                voxels = _scaled(image.dataobj, path=path).reshape(shape, order="F")
            # gzip compares its checksum only at the end of the file, which nibabel does not read.
            while file.read(1 << 20):
                pass
    return Volume(voxels, image.affine, path, tuple(notices))


def write_nifti(volume: Volume, path: Path, *, dtype: npt.DTypeLike | None = None, slope: float | None = None) -> None:
    """Write a volume; a failure leaves no partial file.

    sform stores the affine (float32). qform is set too unless the grid is sheared, which a qform cannot store.

    Args:
        volume: (I, J, K) with its affine.
        path: .nii or .nii.gz.
        dtype: Stored dtype; None keeps the volume's own (booleans become uint8, int64 int32).
        slope: Factor by which readers multiply the stored integers; None for 1.

    Raises:
        OutputError: the path cannot be written, or a value does not fit into the dtype.
    """
    voxels = as_stored(volume.voxels, dtype, path=path)
    try:
        image: Any = nib.Nifti1Image(voxels, volume.affine)
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = b"pancascade"
        if slope is not None:
            image.header.set_slope_inter(slope, 0)
        image.set_sform(volume.affine, code=1)
        image.set_qform(volume.affine if _has_right_angles(volume.affine) else None, code=None)
        image.header["qform_code"] = int(_has_right_angles(volume.affine))
        with written_whole(path) as temporary:
            nib.save(image, temporary)
    except (ImageFileError, HeaderDataError) as error:
        raise OutputError(f"{path}: cannot be written as NIfTI ({error}). Name it .nii.gz.") from error


def _scaled(dataobj: ArrayProxy, *, path: Path) -> npt.NDArray[Any]:
    _require_numbers(dataobj, path=path)
    return _with_slope(np.asanyarray(dataobj.get_unscaled()), dataobj)


def _unpacked(
    dataobj: ArrayProxy, file: nib.openers.Opener, *, shape: tuple[int, int, int], path: Path
) -> npt.NDArray[Any]:
    """Do the same as `_scaled`, piece by piece into a temporary file."""
    _require_numbers(dataobj, path=path)
    voxels = memory_mapped(shape, _with_slope(np.zeros(1, dataobj.dtype), dataobj).dtype, order="F")
    flat = voxels.reshape(-1, order="F")
    file.seek(dataobj.offset)
    for start in range(0, flat.size, _PIECE_VOXELS):
        piece = flat[start : start + _PIECE_VOXELS]
        packed = file.read(piece.size * dataobj.dtype.itemsize)
        if len(packed) < piece.size * dataobj.dtype.itemsize:
            raise EOFError
        piece[:] = _with_slope(np.frombuffer(packed, dataobj.dtype), dataobj)
        release(voxels)
    return voxels


def _require_numbers(dataobj: ArrayProxy, *, path: Path) -> None:
    if dataobj.dtype.kind not in "iuf":
        raise UnreadableError(
            f"{path}: the voxels are colours or complex numbers ({dataobj.dtype}), not Hounsfield units. "
            "Export the original CT.",
            code="colours",
        )


def _with_slope(stored: npt.NDArray[Any], dataobj: ArrayProxy) -> npt.NDArray[Any]:
    if dataobj.slope == 1 and dataobj.inter == 0 and stored.dtype.kind in "iu":
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    # nibabel would scale in float64, which needs twice the memory.
    voxels: npt.NDArray[Any] = stored.astype(np.float32)
    if dataobj.slope != 1:
        voxels *= np.float32(dataobj.slope)
    if dataobj.inter != 0:
        voxels += np.float32(dataobj.inter)
    return voxels


def _has_right_angles(affine: npt.NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _RIGHT_ANGLE_COSINE)


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Convert every error of nibabel, gzip and NumPy for a bad file into one sentence."""
    try:
        yield
    except (ImageFileError, HeaderDataError, HeaderTypeError) as error:
        raise UnreadableError(
            f"{path}: this is not a NIfTI image, or its header is damaged. Check that it was not renamed, "
            "and copy or export it again.",
            code="not_an_image",
        ) from error
    except (EOFError, OSError, zlib.error, ValueError, OverflowError) as error:
        raise UnreadableError(
            f"{path}: the image ends too early or is damaged. Copy or download it again.", code="truncated"
        ) from error
    except MemoryError as error:
        raise UnreadableError(
            f"{path}: the image does not fit into memory. Crop or resample it first.", code="out_of_memory"
        ) from error
