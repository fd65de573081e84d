"""The DICOM series of a mask, to which DICOM results refer slice by slice."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pancascade.errors import OutputError, UnreadableError
from pancascade.imaging.io.dicom.dicom_files import exists, looks_like_dicom, quiet, read_header
from pancascade.imaging.io.dicom.frames import Frame
from pancascade.imaging.io.dicom.series import placed_slices
from pancascade.imaging.volume import Volume, restore
from pancascade.labels import Label

if TYPE_CHECKING:
    from pydicom import Dataset

DicomFormat = Literal["dicom-seg", "rtstruct", "dicom-sr"]
"""DICOM formats of results."""

NEED_HIGHDICOM: tuple[DicomFormat, ...] = ("dicom-seg", "dicom-sr")
"""Formats that need the extra ``dicom``."""

_TITLES: dict[DicomFormat, str] = {"dicom-seg": "DICOM-SEG", "rtstruct": "RTSTRUCT", "dicom-sr": "DICOM SR"}
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_REFERENCES = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A CT series slice by slice, in the order of its volume's third axis.

    Attributes:
        path: Folder, archive or file of the series.
        datasets: Header of each slice's image, without pixels. The slices of a multi-frame image share one header.
        frames: Position of each slice and its index in the image. Files of an archive no longer exist on disk.
        grid: Shape and affine of the volume that `read_volume` makes of the series; all voxels are 0.
    """

    path: Path
    datasets: tuple["Dataset", ...]
    frames: tuple[Frame, ...]
    grid: Volume

    def images(self) -> Iterator["Dataset"]:
        """Yield the header of each image once, in the order of its first slice."""
        seen: set[int] = set()
        for dataset in self.datasets:
            if id(dataset) not in seen:
                seen.add(id(dataset))
                yield dataset

    def number_in(self, place: int) -> int | None:
        """Return the frame number of a slice in its image, from 1; None for a single-frame image."""
        single = str(self.datasets[place].get("SOPClassUID")) == _CT_IMAGE
        return None if single else self.frames[place].index + 1


def find_source(path: Path, *, series: str | None = None) -> DicomSource:
    """Return the series that `read_volume` reads from a path, by the same rules.

    Args:
        path: A folder, a zip archive of one, or a single DICOM file.
        series: Series UID, number, or a part of the description; None chooses by rule.

    Raises:
        ScanError: as `read_volume`.
    """
    path = Path(path).absolute()
    with placed_slices(path, wanted=series) as (frames, affine, _):
        headers = {file: _header(file) for file in dict.fromkeys(frame.file for frame in frames)}
    rows, columns = frames[0].size
    # A broadcast zero takes no memory; the grid has no voxels of its own.
    nothing = np.broadcast_to(np.zeros((), np.uint8), (columns, rows, len(frames)))
    return DicomSource(path, tuple(headers[frame.file] for frame in frames), tuple(frames), Volume(nothing, affine))


def require_source(path: Path, *, kind: DicomFormat = "dicom-seg") -> None:
    """Check before any long work that DICOM results can refer to a scan.

    Args:
        path: The scan. A missing file passes; reading it raises the error.
        kind: Format to write. DICOM-SEG and DICOM SR need an extra.

    Raises:
        OutputError: the scan is no DICOM, or the library that writes DICOM-SEG and SR is not installed.
    """
    path = Path(path).absolute()
    if exists(path) and not looks_like_dicom(path):
        raise OutputError(
            f"{path}: DICOM-SEG, RTSTRUCT and SR must refer to a DICOM series, and this is none. Give the folder of "
            "the DICOM series, or write NIfTI (--format nifti)."
        )
    if kind in NEED_HIGHDICOM and find_spec("highdicom") is None:
        raise OutputError(
            f"{path}: writing {_TITLES[kind]} needs highdicom, which is not installed. "
            'Install it with `pip install "pancascade[dicom]"`, or write RTSTRUCT or NIfTI.'
        )


def most_demanding(formats: Collection[str]) -> DicomFormat:
    """Return the format to write that has all requirements of the others.

    Args:
        formats: Formats to write, with at least one of DICOM.
    """
    return next((kind for kind in NEED_HIGHDICOM if kind in formats), "rtstruct")


def require_references(source: DicomSource) -> None:
    """Check that UIDs distinguish all images of a series, as DICOM results refer to them by UID.

    Args:
        source: A source from `find_source`.

    Raises:
        OutputError: a UID is missing, or two images share one.
    """
    images = list(source.images())
    with quiet():
        missing = [keyword for keyword in _REFERENCES if not all(image.get(keyword) for image in images)]
        instances = {str(image.get("SOPInstanceUID")) for image in images}
    if missing or len(instances) < len(images):
        wrong = f"{missing[0]} is missing" if missing else "several images have the same SOPInstanceUID"
        raise OutputError(
            f"{source.path}: {wrong}, so DICOM-SEG and RTSTRUCT cannot refer to the images. "
            "Export the original series, or write NIfTI (--format nifti)."
        )


def slices_of(mask: Volume, *, source: DicomSource) -> npt.NDArray[Any]:
    """Return a mask on the rows and columns of its source's slices.

    Args:
        mask: (I, J, K) of `Label`, on the grid of the source or a flipped or permuted copy of it.
        source: The series of the mask.

    Returns:
        (slices, rows, columns), a view: slice k belongs to `source.datasets[k]`.

    Raises:
        GeometryError: The mask is on another grid.
        ValueError: a voxel value is no label.
    """
    voxels = restore(mask, like=source.grid).voxels
    # Labels are consecutive, so minimum and maximum suffice; a check of each value takes seconds.
    low, high = voxels.min(), voxels.max()
    if voxels.dtype.kind not in "bui" or low < min(Label) or high > max(Label):
        raise ValueError(f"{mask.name}: {voxels.dtype} values from {low} to {high} are not all labels")
    return voxels.transpose(2, 1, 0)


def _header(file: Path) -> "Dataset":
    header = read_header(file)
    if header is None:
        raise UnreadableError(
            f"{file}: the DICOM header is damaged. Copy or export the file again.", code="header_damaged"
        )
    with quiet():
        for tag in list(header.keys()):
            try:
                _ = header[tag].value
            # A value that cannot be decoded may raise any exception in pydicom, and cannot be copied.
            except Exception:
                del header[tag]
    return header
