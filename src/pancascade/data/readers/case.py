"""A case: one patient's image and reference labels, read only when asked."""

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
from pancascade.files.file_names import abbreviated, composed, there
from pancascade.imaging.io import require_hounsfield
from pancascade.imaging.preprocessing.hu_calibration import hu_calibration
from pancascade.imaging.volume import Volume, as_label_map, reorient
from pancascade.messages.notices import Notice

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AxialSlice:
    """One axial slice as a radiologist sees it: row 0 is anterior, column 0 the patient's right.

    Attributes:
        name: Unique within its data set.
        patient: Whose slice it is; splits go by patient.
        hu: (H, W) int16, Hounsfield units.
        labels: (H, W) uint8, ids of `pancascade.labels.Label`.
        spacing_mm: Row and column spacing, None if the source does not tell.
        slice_mm: Distance to the next slice of the same list; None for slices that have no neighbours there.
        flipped_rows: The picture that it came from shows the back at the top; masks beside that picture do, too.
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
    """A whole scan and its label map, where they are and how they are read.

    Attributes:
        image: File, or folder of a DICOM series.
        label: File; None where nothing is outlined.
        meaning: What the label map's values stand for.
        read_image: Reads the scan, Hounsfield units.
        read_values: Reads the label map with its own values, on the grid of the scan it is given.
        read_filed: Reads it the way round that its header says, where `read_values` knows better.
        region: It is cut from a scan and windowed, so that its values do not tell a CT.
    """

    image: Path
    label: Path | None
    meaning: LabelMapping
    read_image: Callable[[], Volume]
    read_values: Callable[[Volume], Volume]
    read_filed: Callable[[Volume], Volume] | None = None
    region: bool = field(default=False, kw_only=True)

    def read(self) -> tuple[Volume, Volume]:
        """The scan in Hounsfield units, and its labels: uint8, ids of `pancascade.labels.Label`, on its grid.

        Raises:
            ScanError: A file cannot be read.
            DataError: The label map lies on another grid, or holds a value without a meaning.
        """
        image = self.read_image()
        values = self.read_values(image)
        return image, values.with_voxels(as_labels(values, self.meaning))

    def read_ct(self) -> tuple[Volume, Volume]:
        """The same, for work that stands on Hounsfield units; what is unusual about them goes to the log.

        Raises:
            NotCTError: The scan is no CT in Hounsfield units, by the judgement of `pancascade segment`.
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
        patient: Whose it is.
        source: Name of the data set.
        read_slices: Reads the axial slices; nothing is read before it is called.
        scan: The whole scan; None where a data set has single slices only.
        files: The image, and the label where there is one; whether they are there is found out by reading.
    """

    name: str
    patient: str
    source: str
    read_slices: Callable[[], Sequence[AxialSlice]]
    scan: LabelledScan | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        # A name from a Mac's file system is spelled otherwise than the same name in a table or split.
        object.__setattr__(self, "name", composed(self.name))
        object.__setattr__(self, "patient", composed(self.patient))

    @classmethod
    def of_scan(cls, name: str, *, patient: str, source: str, scan: LabelledScan) -> Self:
        """A case of a whole scan, whose slices are all its axial slices, feet first."""
        files = (scan.image,) if scan.label is None else (scan.image, scan.label)
        return cls(name, patient, source, partial(_slices_of, scan, name=name, patient=patient), scan, files)


def hounsfield_notices(image: Volume) -> list[Notice]:
    """What is unusual about the Hounsfield units of a whole scan.

    Raises:
        NotCTError: They cannot be Hounsfield units.
        GeometryError: The axes are not at right angles.
    """
    return [*require_hounsfield(image), *hu_calibration(image, scan_name=image.name)]


def require_files(cases: Iterable[Case]) -> None:
    """Pass only if every file of the cases is there.

    Raises:
        DataError: Files are missing; the first three are named.
    """
    missing = [path for case in cases for path in case.files if not there(path)]
    if missing:
        listed = ", ".join(abbreviated(path.name) for path in missing[:3]) + (", ..." if len(missing) > 3 else "")
        number = "a file is" if len(missing) == 1 else f"{len(missing)} files are"
        raise DataError(
            f"{listed}: {number} missing. Copy or unpack again; `pancascade data check` looks at all of a data set."
        )


def _slices_of(scan: LabelledScan, *, name: str, patient: str) -> list[AxialSlice]:
    return axial_slices(*scan.read_ct(), name=name, patient=patient)


def as_labels(values: Volume, meaning: LabelMapping) -> NDArray[np.uint8]:
    """Ids of `pancascade.labels.Label` in place of a label map's own values.

    Args:
        values: Whole numbers, whatever their type.
        meaning: What each value above 0 stands for.

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
    """The axial slices of a volume and its label map, feet first, as a radiologist sees them."""
    return list(each_axial_slice(hu, labels, name=name, patient=patient))


def each_axial_slice(hu: Volume, labels: Volume, *, name: str, patient: str) -> Iterator[AxialSlice]:
    """The same one by one, so that no more than one is copied at a time."""
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
