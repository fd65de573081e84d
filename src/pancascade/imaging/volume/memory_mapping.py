"""Memory-mapped voxels on disk, to process a scan larger than the memory slab by slab."""

import errno
import math
import mmap
import os
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pancascade.errors import PancascadeError

_BLOCK = 2**24
SLAB_VOXELS = 2**24


def memory_mapped(shape: tuple[int, ...], dtype: npt.DTypeLike, *, order: str = "C") -> npt.NDArray[Any]:
    """Return an array of zeros in a temporary file that is deleted with the array.

    The file lies in the system's temporary folder (``TMPDIR``).

    Args:
        shape: Shape of the array.
        dtype: Type of the array.
        order: Memory order, ``C`` or ``F``.

    Raises:
        PancascadeError: The disk has too little free space.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with TemporaryFile(prefix="pancascade-") as file:
            _reserve(file, size)
            return np.memmap(file, dtype=dtype, mode="r+", shape=shape, order="F" if order == "F" else "C")
    except OSError as error:
        raise PancascadeError(
            f"The folder of temporary files has no room for {size / 1e9:.2f} GB of voxels "
            f"({error.strerror or error}). Free some, set TMPDIR to another folder, or leave --max-memory out."
        ) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Allocate the whole file at once, because a full disk found later through the mapping kills the program.

    Raises:
        OSError: The disk has too little free space.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    zeros = bytes(min(size, _BLOCK))
    for start in range(0, size, _BLOCK):
        file.write(zeros[: size - start])
    file.flush()


def release(voxels: npt.NDArray[Any]) -> None:
    """Free the memory of memory-mapped voxels; do nothing for voxels in memory."""
    base: Any = voxels
    while base is not None:
        mapped = getattr(base, "_mmap", None)
        if isinstance(mapped, mmap.mmap):
            if hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
                mapped.madvise(mmap.MADV_DONTNEED)
            return
        base = getattr(base, "base", None)


def slabs(voxels: npt.NDArray[Any], *, axis: int | None = None) -> Iterator[npt.NDArray[Any]]:
    """Yield views of an array slab by slab; the memory of each is freed before the next.

    Args:
        voxels: (I, J, K).
        axis: Axis across which the array is cut; None takes the axis with the largest stride.
    """
    along = int(np.argmax(np.abs(voxels.strides))) if axis is None else axis
    thickness = max(1, SLAB_VOXELS * voxels.shape[along] // max(1, voxels.size))
    for start in range(0, voxels.shape[along], thickness):
        yield voxels[(slice(None),) * along + (slice(start, start + thickness),)]
        release(voxels)


def sampled(voxels: npt.NDArray[Any], steps: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a copy of every n-th voxel along each axis, ``voxels[::i, ::j, ::k]``, read slab by slab."""
    view = voxels[tuple(slice(None, None, step) for step in steps)]
    copy = np.empty(view.shape, view.dtype)
    along = int(np.argmax(np.abs(view.strides)))
    thickness = max(1, SLAB_VOXELS * view.shape[along] // max(1, voxels.size))
    for start in range(0, view.shape[along], thickness):
        place = (slice(None),) * along + (slice(start, start + thickness),)
        copy[place] = view[place]
        release(voxels)
    return copy
