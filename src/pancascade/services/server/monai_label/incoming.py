"""Read label maps of clients: NIfTI, NRRD or raw voxels; the request names their values."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np

from pancascade.data.readers.label_names import structure_named
from pancascade.data.readers.structure import Structure
from pancascade.errors import GeometryError, UnreadableError
from pancascade.files.file_names import READABLE_SUFFIXES
from pancascade.imaging.io import read_label_map
from pancascade.imaging.volume import Volume
from pancascade.labels import Label
from pancascade.results.corrections import MOST_BYTES, SegmentedScan, read_packed_label_map, require_size
from pancascade.services.server.faults import RequestError
from pancascade.services.server.upload_kinds import named_by_kind, recognise

RAW = ".bin"
"""Raw voxels, as viewers in a browser send them: 8 or 16 bits, the first axis fastest, on the scan's grid."""

_SUFFIXES = (*READABLE_SUFFIXES, RAW)
_MOST_BYTES_A_VOXEL = 8
_SCRIBBLES = ("background", "foreground_scribbles", "background_scribbles")


def suffix_of(name: str | None, *, default: str = ".nii.gz") -> str:
    """Return the suffix by which a client's file is read; nothing else of its name is used.

    Args:
        name: Name given by the client.
        default: Suffix of a file without a known one.
    """
    known = sorted(_SUFFIXES, key=len, reverse=True)
    return next((suffix for suffix in known if (name or "").lower().endswith(suffix)), default)


def read_sent_labels(sent: BinaryIO, suffix: str, *, scan: SegmentedScan, label_info: Sequence[Any]) -> Volume:
    """Read a label map and convert its values to our labels.

    Args:
        sent: The file.
        suffix: Suffix by `suffix_of`.
        scan: The scan that it belongs to.
        label_info: From the request: mappings with ``name`` and ``idx``, the value (default: the position in the list).

    Raises:
        PancascadeError: It is too large or unreadable, or a segment is neither pancreas nor tumour.
    """
    content = sent.read(MOST_BYTES + 1)
    try:
        require_size(len(content))
    except UnreadableError as error:
        raise RequestError(413, str(error)) from error
    return _named(_volume(content, suffix, scan), label_info)


def _volume(content: bytes, suffix: str, scan: SegmentedScan) -> Volume:
    if suffix == RAW:
        return _of_raw(content, scan)
    if suffix == ".nii":
        content, suffix = gzip.compress(content, 1), ".nii.gz"
    if suffix == ".nii.gz":
        return read_packed_label_map(content, scan)
    return _of_other_kind(content, scan)


def _of_other_kind(content: bytes, scan: SegmentedScan) -> Volume:
    """Read a label map that is recognised by its content: a client's suffix could make it name another file.

    Raises:
        RequestError: It is neither NIfTI nor NRRD, or holds more voxels than the scan.
    """
    with TemporaryDirectory(prefix="pancascade-") as folder:
        path = Path(folder) / "label_map"
        path.write_bytes(content)
        if recognise(path) not in ("nifti", "nifti-gz", "nrrd"):
            raise RequestError(
                415, "label map: neither NIfTI nor NRRD. Send .nii.gz, .nii, .nrrd, or raw voxels (.bin)."
            )
        return read_label_map(named_by_kind(path, most_bytes=_MOST_BYTES_A_VOXEL * int(np.prod(scan.grid.shape))))


def _of_raw(content: bytes, scan: SegmentedScan) -> Volume:
    voxels = int(np.prod(scan.grid.shape))
    kinds = {voxels: "u1", 2 * voxels: "<u2"}
    if len(content) not in kinds:
        raise GeometryError(
            f"label map: {len(content)} bytes are not the {voxels} voxels of the scan in 8 or 16 bits. "
            "Send it on the scan's grid.",
            code="other_grid",
        )
    stored = np.frombuffer(content, kinds[len(content)]).reshape(scan.grid.shape, order="F")
    return Volume(stored, np.array(scan.grid.affine))


def _named(labels: Volume, label_info: Sequence[Any]) -> Volume:
    """Convert values by the names of their segments; values without names are not changed."""
    meant = _meant(label_info)
    if not meant:
        return labels
    values = [value for value in np.unique(labels.voxels.ravel(order="K")) if value != 0]
    named = np.zeros(labels.shape, np.uint8)
    for value in values:
        name = meant.get(int(value)) if float(value).is_integer() else None
        structure = Structure.OTHER if name is None else structure_named(name)
        if structure not in (Structure.PANCREAS, Structure.TUMOUR):
            what = f"value {value:g}" if name is None else f"segment {name[:40]!r}"
            raise UnreadableError(
                f"label map: {what} is neither pancreas nor tumour. Rename the segment, or remove it.",
                code="other_labels",
            )
        named[labels.voxels == value] = Label.PANCREAS if structure is Structure.PANCREAS else Label.TUMOUR
    return labels.with_voxels(named)


def _meant(label_info: Sequence[Any]) -> dict[int, str]:
    meant: dict[int, str] = {}
    for place, one in enumerate(label_info, start=1):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise RequestError(400, "params: label_info must be a list of names and values. See corrections.md.")
        value = one.get("idx", place)
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError(400, "params: idx in label_info must be a whole number. See corrections.md.")
        if one["name"].casefold() not in _SCRIBBLES:
            meant[value] = one["name"]
    return meant
