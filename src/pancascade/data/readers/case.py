"""A case: one patient's image and reference labels, read on request."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers.structure import LabelMapping
from pancascade.errors import DataError
from pancascade.files.file_names import abbreviated, text_name, there
from pancascade.imaging.io import require_hounsfield
from pancascade.imaging.preprocessing.hu_calibration import hu_calibration
from pancascade.imaging.volume import Volume, as_label_map, reorient
from pancascade.messages.notices import Notice

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AxialSlice:
    """One axial slice in radiological orientation: row 0 is anterior, column 0 the patient's right.

    Attributes:
        name: Unique within its data set.
        patient: Patient of the slice; splits are by patient.
        hu: (H, W) int16, Hounsfield units.
        labels: (H, W) uint8, ids of `pancascade.labels.Label`.
        spacing_mm: Row and column spacing, None if the source has none.
        slice_mm: Distance to the next slice of the same list; None for slices without neighbours in it.
        flipped_rows: Whether the picture file, and masks beside it, show the patient's back at the top.
    """

    name: str
    patient: str
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float] | None
    slice_mm: float | None = None
    flipped_rows: bool = False


@dataclass(frozen=True)
class LabelledScan:
    """A whole scan and its label map, with their files and readers.

    Attributes:
        image: File, or folder of a DICOM series.
        label: File of the label map; None without one.
        meaning: Structure of each value of the label map.
        read_image: Reads the scan in Hounsfield units.
        read_values: Reads the label map with its own values, on the grid of the given scan.
        read_filed: Reads the label map in its header's orientation, if `read_values` corrects a wrong header.
        region: Whether it is a cropped, windowed region, whose values cannot be checked to be CT.
    """

    image: Path
    label: Path | None
    meaning: LabelMapping
    read_image: Callable[[], Volume]
    read_values: Callable[[Volume], Volume]
    read_filed: Callable[[Volume], Volume] | None = None
    region: bool = field(default=False, kw_only=True)

    def read(self) -> tuple[Volume, Volume]:
        """Read the scan in Hounsfield units and its labels: uint8, ids of `pancascade.labels.Label`, on its grid.

        Raises:
            ScanError: A file cannot be read.
            DataError: The label map lies on another grid, or holds a value without a meaning.
        """
        image = self.read_image()
        values = self.read_values(image)
        return image, values.with_voxels(as_labels(values, self.meaning))

    def read_ct(self) -> tuple[Volume, Volume]:
        """Read as `read`, with a check of Hounsfield units; unusual values are logged as warnings.

        Raises:
            NotCTError: The scan is no CT in Hounsfield units, by the checks of `pancascade segment`.
            GeometryError: Its axes are not at right angles.
            ScanError: A file cannot be read.
            DataError: The label map lies on another grid, or holds a value without a meaning.
        """
        image, labels = self.read()
        notices = [] if self.region else hounsfield_notices(image)
        for notice in (*notices, *labels.notices):
            _logger.warning(str(notice))
        return image, labels


@dataclass(frozen=True)
class Case:
    """One image with its reference.

    Attributes:
        name: Unique within its data set.
        patient: Patient of the case.
        source: Name of the data set.
        read_slices: Reads the axial slices on request.
        scan: The whole scan; None if the data set has only single slices.
        files: Image file, and label file if any; missing files are detected on reading.
    """

    name: str
    patient: str
    source: str
    read_slices: Callable[[], Sequence[AxialSlice]]
    scan: LabelledScan | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        # A name from a Mac's file system has another Unicode form than the same name in a table or split.
        object.__setattr__(self, "name", text_name(self.name))
        object.__setattr__(self, "patient", text_name(self.patient))

    @classmethod
    def of_scan(cls, name: str, *, patient: str, source: str, scan: LabelledScan) -> Self:
        """Return the case of a whole scan with all its axial slices, feet first."""
        files = (scan.image,) if scan.label is None else (scan.image, scan.label)
        return cls(name, patient, source, partial(_slices_of, scan, name=name, patient=patient), scan, files)


def hounsfield_notices(image: Volume) -> list[Notice]:
    """Return notices about unusual Hounsfield units of a whole scan.

    Raises:
        NotCTError: The values cannot be Hounsfield units.
        GeometryError: The axes are not at right angles.
    """
    return [*require_hounsfield(image), *hu_calibration(image, scan_name=image.name)]


def require_files(cases: Iterable[Case]) -> None:
    """Check that every file of the cases exists.

    Raises:
        DataError: Files are missing; the first three are named.
    """
    missing = [path for case in cases for path in case.files if not there(path)]
    if missing:
        listed = ", ".join(abbreviated(path.name) for path in missing[:3]) + (", ..." if len(missing) > 3 else "")
        number = "a file is" if len(missing) == 1 else f"{len(missing)} files are"
        raise DataError(
            f"{listed}: {number} missing. Copy or unpack again; `pancascade data check` checks a whole data set."
        )


def _slices_of(scan: LabelledScan, *, name: str, patient: str) -> list[AxialSlice]:
    return axial_slices(*scan.read_ct(), name=name, patient=patient)


def as_labels(values: Volume, meaning: LabelMapping) -> NDArray[np.uint8]:
    """Convert a label map's own values to ids of `pancascade.labels.Label`.

    Args:
        values: Label map of whole numbers, of any type.
        meaning: Structure of each value above 0.

    Raises:
        DataError: A value is no whole number, or has no meaning.
    """
    values = as_label_map(values)
    found = np.unique(values.voxels.ravel(order="K"))
    strange = [value for value in found if value != 0 and value not in meaning]
    if strange:
        listed = ", ".join(f"{value:g}" for value in strange[:5])
        known = ", ".join(f"{value} {structure}" for value, structure in meaning.items())
        raise DataError(f"{values.name}: holds {listed}, which has no meaning here (known: {known}).")
    labels = np.zeros(values.shape, np.uint8)
    for value, structure in meaning.items():
        labels[values.voxels == value] = structure.label
    return labels


def axial_slices(hu: Volume, labels: Volume, *, name: str, patient: str) -> list[AxialSlice]:
    """Return the axial slices of a volume and its label map, feet first, in radiological orientation."""
    return list(each_axial_slice(hu, labels, name=name, patient=patient))


def each_axial_slice(hu: Volume, labels: Volume, *, name: str, patient: str) -> Iterator[AxialSlice]:
    """Yield the slices of `axial_slices` one by one, with only one copy at a time."""
    shown, marked = reorient(hu, "LPS"), reorient(labels, "LPS")
    column_mm, row_mm, slice_mm = shown.spacing_mm
    for k in range(shown.shape[2]):
        yield AxialSlice(
            f"{name}_z{k:03d}",
            patient,
            shown.voxels[:, :, k].T.astype(np.int16),
            marked.voxels[:, :, k].T.astype(np.uint8),
            (row_mm, column_mm),
            slice_mm,
        )
