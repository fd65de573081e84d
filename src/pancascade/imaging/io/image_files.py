"""Checks common to all image formats: the file exists, holds one 3-D scan, and stores a usable dtype."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError, OutputError, UnreadableError

# Larger images are damaged headers or micro-CT: 2**31 int16 voxels are 4 GiB.
MAX_VOXELS = 2**31

_MOST_LETTERS = 120

# NIfTI and ITK files cannot store booleans or half precision; few readers accept 64-bit integers.
_STORED_AS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.bool_): np.dtype(np.uint8),
    np.dtype(np.float16): np.dtype(np.float32),
    np.dtype(np.int64): np.dtype(np.int32),
    np.dtype(np.uint64): np.dtype(np.int32),
    np.dtype(np.longdouble): np.dtype(np.float64),
}


def shortened(path: Path) -> str:
    """Return a path for a sentence; a path too long for any file system is cut to its beginning."""
    text = str(path).replace("\0", "?")
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."


def require_file(path: Path) -> None:
    """Check that a path is a readable, non-empty file.

    Raises:
        UnreadableError: the path does not exist, is a folder, is empty, or may not be read.
    """
    try:
        if path.is_dir():
            raise UnreadableError(f"{path}: this is a folder. Give an image file.", code="not_a_file")
        if path.exists() and not path.is_file():
            raise UnreadableError(f"{path}: this is not a regular file. Give an image file.", code="not_a_file")
        with path.open("rb") as file:
            if not file.read(1):
                raise UnreadableError(
                    f"{path}: the file is empty (0 bytes). Copy or export it again.", code="empty_file"
                )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(f"{path}: there is no such file. Check the path.", code="no_such_file") from error
    except PermissionError as error:
        raise UnreadableError(
            f"{path}: no permission to read this file. Change its permissions.", code="no_permission"
        ) from error
    except (OSError, ValueError) as error:
        # The system's own message would repeat the path, which may be too long.
        reason = getattr(error, "strerror", None) or "no valid path"
        raise UnreadableError(
            f"{shortened(path)}: the file cannot be opened ({reason}). Check the path.", code="unreadable"
        ) from error


def require_one_scan(shape: Sequence[int], *, path: Path) -> tuple[int, int, int]:
    """Return the shape (I, J, K) of an image that is one 3-D scan, before any voxel is read.

    Args:
        shape: Shape in the header; trailing axes of length 1 are dropped.
        path: Names the file in messages.

    Raises:
        GeometryError: a 2-D image, several scans or channels, no voxels, or more than 2**31 voxels.
    """
    sizes = tuple(int(size) for size in shape)
    if len(sizes) < 3:
        raise GeometryError(
            f"{path}: the image has shape {sizes}, but a scan has three axes. Give a 3-D scan.", code="not_3d"
        )
    if any(size != 1 for size in sizes[3:]):
        raise GeometryError(
            f"{path}: the image has shape {sizes}, which is several scans or channels in one file. "
            "Split it (`fslsplit`, or nibabel.four_to_three) and give one of them.",
            code="several_scans",
        )
    rows, columns, slices = sizes[:3]
    if min(rows, columns, slices) < 1:
        raise GeometryError(
            f"{path}: the image has shape {sizes}, no voxels at all. Export it again.", code="no_voxels"
        )
    if rows * columns * slices > MAX_VOXELS:
        raise GeometryError(
            f"{path}: the image has shape {sizes}, more than {MAX_VOXELS} voxels. "
            "Crop or resample it first; if that is not its size, the header is damaged.",
            code="too_many_voxels",
        )
    return rows, columns, slices


def as_stored(voxels: npt.NDArray[Any], dtype: npt.DTypeLike | None, *, path: Path) -> npt.NDArray[Any]:
    """Return the voxels in a dtype that files can store, without overflow or clipping.

    Args:
        voxels: (I, J, K).
        dtype: Stored dtype; None uses the voxels' own dtype or the nearest one that files can store.
        path: Names the file in messages.

    Returns:
        The same values; floats are rounded for an integer dtype.

    Raises:
        OutputError: a value does not fit into the dtype.
    """
    own = voxels.dtype.newbyteorder("=")
    asked: np.dtype[Any] = own if dtype is None else np.dtype(dtype)
    stored = _STORED_AS.get(asked, asked)
    if stored.kind in "iu" and not np.can_cast(own, stored):
        low, high, limits = voxels.min(), voxels.max(), np.iinfo(stored)
        # This form makes NaN fail too.
        if not (low >= limits.min and high <= limits.max):
            raise OutputError(
                f"{path}: voxels from {low} to {high} do not fit into {stored} "
                f"({limits.min} to {limits.max}). Choose a wider dtype."
            )
        voxels = np.rint(voxels) if own.kind == "f" else voxels
    return voxels.astype(stored, copy=False)
