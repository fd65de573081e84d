"""Stacks of slices in one compressed file, with access to single slices.

Files are Blosc2 arrays (``.b2nd``, Zstandard after a bit shuffle), (K, H, W) with one chunk per slice.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.data.store.extra import load_extra
from pancascade.errors import DataError
from pancascade.files.atomic import written_whole

_LEVEL = 1
"""A whole scan shrinks to 42 % of its size; level 5 saves 1 % more and takes four times as long."""


class SliceStack:
    """Stack of slices, compressed one by one in memory, then written as one file.

    Args:
        count: Number of slices.
        shape: Rows and columns.
        dtype: Type of the pixels.

    Raises:
        DataError: The extra ``data`` is not installed.
    """

    def __init__(self, count: int, *, shape: tuple[int, int], dtype: npt.DTypeLike) -> None:
        blosc2 = load_extra("blosc2")
        coding = blosc2.CParams(
            codec=blosc2.Codec.ZSTD,
            clevel=_LEVEL,
            filters=[blosc2.Filter.BITSHUFFLE],
            nthreads=1,  # cases run in parallel already, and one thread gives reproducible bytes
        )
        self._array: Any = blosc2.empty(
            (count, *shape), dtype=np.dtype(dtype), chunks=(1, *shape), blocks=(1, *shape), cparams=coding
        )

    def put(self, position: int, pixels: npt.NDArray[Any]) -> None:
        """Compress one slice at its position.

        Args:
            position: Index in the stack.
            pixels: (H, W).
        """
        self._array[position] = np.ascontiguousarray(pixels, dtype=self._array.dtype)

    def write(self, path: Path) -> tuple[str, int]:
        """Write the file; a failure leaves no partial file.

        Returns:
            Digest of the file, equal to `pancascade.files.digests.content_digest`, and its size in bytes.

        Raises:
            OutputError: The file cannot be written.
        """
        # Python writes the file, because Blosc2's errors do not distinguish a full disk from a bug.
        content: bytes = self._array.to_cframe()
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
        return digest_of(content), len(content)


def digest_of(content: bytes) -> str:
    """Return the value of `pancascade.files.digests.content_digest` for a file of this content."""
    return hashlib.blake2b(hashlib.blake2b(content).digest(), digest_size=16).hexdigest()


def read_stack(path: Path, *, digest: str) -> npt.NDArray[Any]:
    """Read all slices of a file, (K, H, W).

    Args:
        path: The file.
        digest: Digest of the file when it was written.

    Raises:
        DataError: The file is missing or has changed, or the extra ``data`` is not installed.
    """
    return _read(path, None, digest)


def read_some(path: Path, positions: Sequence[int], *, digest: str) -> list[npt.NDArray[Any]]:
    """Read some slices (H, W) of a file; the others are not unpacked.

    Args:
        path: The file.
        positions: Indices in the stack.
        digest: Digest of the file when it was written.

    Raises:
        DataError: The file is missing or has changed, or the extra ``data`` is not installed.
    """
    return list(_read(path, positions, digest))


def read_intact(path: Path, *, digest: str) -> bytes:
    """Read a file of a store, and check its digest.

    Raises:
        DataError: The file is missing, cannot be read, or has changed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{path.name}: no such file, but the store lists it. Prepare the data set again; it will be redone."
        ) from error
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}). Copy the store again.") from error
    if digest_of(content) != digest:
        raise DataError(
            f"{path.name}: damaged, it is not as it was written. Delete it and prepare the data set again; "
            "only its case is redone."
        )
    return content


def _read(path: Path, positions: Iterable[int] | None, digest: str) -> Any:
    blosc2 = load_extra("blosc2")
    # Checked before unpacking, because a damaged header could request any amount of memory.
    content = read_intact(path, digest=digest)
    try:
        array = blosc2.ndarray_from_cframe(content, copy=False)
        return array[:] if positions is None else [array[position] for position in positions]
    except (RuntimeError, ValueError, OSError, IndexError, TypeError) as error:
        raise DataError(f"{path.name}: damaged. Prepare the data set again; it will be redone.") from error
