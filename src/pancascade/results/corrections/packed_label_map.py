"""Read a label map as a reader's program sends it: limit its size, check its grid and its labels."""

import gzip
import zlib
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import GeometryError, UnreadableError
from pancascade.imaging.io import read_nifti
from pancascade.imaging.volume import Volume, as_label_map, restore
from pancascade.labels import Label
from pancascade.results.corrections.record import SegmentedScan

MOST_BYTES = 64_000_000
"""Largest size of a packed label map; those of whole scans take less than 1 MB."""

_MOST_BYTES_A_VOXEL = 8
_MOST_BYTES_OF_HEADER = 1_000_000
_SAME_PLACE = 0.05
"""Share of a voxel by which two files of one grid may differ, since headers are rounded."""

_NAME = "label map"
_FILE = "label_map.nii"
_GZIP = b"\x1f\x8b"


def read_packed_label_map(packed: bytes, scan: SegmentedScan) -> Volume:
    """Read the volume of a gzip NIfTI file that came over the network.

    Args:
        packed: The file's content.
        scan: The scan that it belongs to; its grid limits the unpacked size.

    Returns:
        (I, J, K) in the file's order, any type.

    Raises:
        UnreadableError: It is too large, no gzip, truncated, or no NIfTI image.
        GeometryError: It is not one 3-D image.
    """
    require_size(len(packed))
    if not packed.startswith(_GZIP):
        raise UnreadableError(f"{_NAME}: not a gzip file. Save it as .nii.gz.", code="not_an_image")
    most = int(np.prod(scan.grid.shape)) * _MOST_BYTES_A_VOXEL + _MOST_BYTES_OF_HEADER
    try:
        with gzip.GzipFile(fileobj=BytesIO(packed)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(
            f"{_NAME}: the file ends too early or is damaged. Save it again.", code="truncated"
        ) from error
    if len(content) > most:
        raise UnreadableError(
            f"{_NAME}: unpacks to more voxels than the scan has. Draw on the result's own scan.",
            code="label_map_too_large",
        )
    with TemporaryDirectory(prefix="pancascade-") as folder:
        path = Path(folder) / _FILE
        path.write_bytes(content)
        return read_nifti(path)


def require_size(size_bytes: int) -> None:
    """Refuse a label map that is too large, at best before it is received.

    Args:
        size_bytes: As it is sent, packed; so far, while it still comes.

    Raises:
        UnreadableError: It is.
    """
    if size_bytes > MOST_BYTES:
        raise UnreadableError(
            f"{_NAME}: larger than {MOST_BYTES // 1_000_000} MB. Save labels as whole numbers of 8 bits, compressed.",
            code="label_map_too_large",
        )


def on_grid_of(scan: SegmentedScan, label_map: Volume) -> NDArray[np.uint8]:
    """Return the labels voxel for voxel on the scan's grid; permuted or mirrored axes are reordered.

    Args:
        scan: The scan that the label map belongs to.
        label_map: (I', J', K'), each voxel at its place in the patient.

    Returns:
        (I, J, K), ids of `Label`.

    Raises:
        GeometryError: It is on another grid.
        UnreadableError: It holds other values than 0, 1 and 2.
    """
    like = grid_of(scan)
    try:
        turned = restore(label_map, like, tolerance_mm=_SAME_PLACE * min(like.spacing_mm))
    except GeometryError as error:
        raise GeometryError(
            f"{_NAME}: not on the grid of the result's scan: {_grid(label_map)} against {_grid(like)}. "
            "Draw on that scan, without resampling.",
            code="other_grid",
        ) from error
    return _labels(turned.voxels)


def grid_of(scan: SegmentedScan) -> Volume:
    """Return a volume on the scan's grid, all voxels 0."""
    empty = np.broadcast_to(np.zeros(1, np.uint8), scan.grid.shape)
    return Volume(empty, np.array(scan.grid.affine, np.float64))


def _labels(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    whole = as_label_map(Volume(voxels, np.eye(4))).voxels
    known = np.isin(whole, [int(label) for label in Label])
    if not known.all():
        strange = whole[~known].ravel()[0]
        raise UnreadableError(
            f"{_NAME}: holds the value {strange:.6g}; only 0 background, 1 pancreas and 2 tumour have a meaning. "
            "Save only these labels.",
            code="other_labels",
        )
    return np.ascontiguousarray(whole.astype(np.uint8))


def _grid(volume: Volume) -> str:
    size, spacing = " x ".join(map(str, volume.shape)), " x ".join(f"{mm:.3g}" for mm in volume.spacing_mm)
    return f"{size} voxels of {spacing} mm"
