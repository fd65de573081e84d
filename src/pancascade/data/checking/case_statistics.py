"""Measurements of a case of a data set, or the fault that prevented them."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pancascade.data.checking.label_statistics import LabelStatistics, known_labels, measure_label
from pancascade.data.checking.thumbnail import draw_thumbnail
from pancascade.data.readers import AxialSlice, Case, LabelledScan
from pancascade.data.readers.label_flips import directions, how_turned
from pancascade.data.readers.structure import OURS, Structure
from pancascade.errors import DataError, GeometryError, NotCTError, PancascadeError
from pancascade.files.file_names import there
from pancascade.imaging.io import require_ct
from pancascade.imaging.preprocessing.hu_calibration import hu_calibration
from pancascade.imaging.volume import Volume
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Sentence
from pancascade.settings import Settings

PERCENTILES = (0, 1, 5, 50, 95, 99, 100)
_SAMPLE_STEP = 4

Read = TypeVar("Read")


class FaultKind(StrEnum):
    """Reason why a case cannot be used."""

    MISSING_FILE = "missing-file"
    UNREADABLE = "unreadable"
    GEOMETRY = "geometry"
    NOT_CT = "not-ct"
    OTHER_GRID = "other-grid"


class Fault(Settings):
    """Fault that prevented the reading of a case.

    Attributes:
        kind: Kind of the resulting issue.
        message: One sentence that names the file.
    """

    kind: FaultKind
    message: Sentence


class CaseStatistics(Settings):
    """Statistics of a case; values that could not be measured are None or empty.

    Attributes:
        name: Name of the case.
        patient: Patient of the case.
        source: Name of the data set.
        files: Names of image and label files.
        field: A whole scan, a region cropped from one, or single slices.
        fault: Fault that prevented the reading of the case.
        shape: (I, J, K); for slices their width, height and number.
        spacing_mm: Spacing along each axis; None if the source has none.
        orientation: Orientation of the scan's axes, such as LPS.
        label_orientation: Orientation of the label file's axes.
        obliquity_degrees: Largest angle between an axis of the grid and an axis of the patient.
        hu: Hounsfield units at `PERCENTILES` of the voxels.
        warnings: Unusual properties for a CT of an abdomen.
        label_warnings: Unusual properties of the label map's file.
        meaning: Structure of each value of the label map.
        label: Measurements of the label map; None without one.
        turned_by_reader: Directions in which the reader flipped the label map, because its header is wrong.
        image_hash: Hash that identifies the image.
        thumbnail: Thumbnail as PNG in base64.
    """

    name: str
    patient: str
    source: str
    files: tuple[str, ...] = ()
    field: Literal["scan", "region", "slice"] = "scan"
    fault: Fault | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str | None = None
    label_orientation: str | None = None
    obliquity_degrees: float | None = None
    hu: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()
    label_warnings: tuple[str, ...] = ()
    meaning: dict[int, Structure] = Field(default_factory=dict)
    label: LabelStatistics | None = None
    turned_by_reader: tuple[str, ...] = ()
    image_hash: str | None = None
    thumbnail: str | None = None

    @property
    def image_file(self) -> str:
        """Name of the image file for messages."""
        return self.files[0] if self.files else self.name

    @property
    def label_file(self) -> str:
        """Name of the label file for messages; the image's if there is none."""
        return self.files[-1] if self.files else self.name


def measure(case: Case, *, region: bool = False) -> CaseStatistics:
    """Read a case and measure it; an unreadable case gets a fault.

    Args:
        case: Case of a data set.
        region: Whether it is a region cropped from a scan, without a whole body or field of view.
    """
    known: dict[str, Any] = {
        "name": case.name,
        "patient": case.patient,
        "source": case.source,
        "files": tuple(map(public_name, case.files)),
        "field": "slice" if case.scan is None else "region" if region else "scan",
    }
    try:
        missing = [path for path in case.files if not there(path)]
        if missing:
            known["fault"] = Fault(kind=FaultKind.MISSING_FILE, message=_missing(missing, case.scan))
        elif case.scan is not None:
            _measure_scan(case.scan, known)
        else:
            _measure_slices(case.read_slices, known)
    except _FaultError as stopped:
        known["fault"] = stopped.fault
    except Exception as error:  # any exception of a library must not stop the check of the other cases
        message = f"{case.files[0] if case.files else case.name}: cannot be read ({type(error).__name__}: {error})."
        known["fault"] = Fault(kind=FaultKind.UNREADABLE, message=message)
    return CaseStatistics.model_validate(known)


class _FaultError(Exception):
    """A step failed with this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _step(read: Callable[[], Read], *, inconsistent: FaultKind, role: str = "") -> Read:
    """Return the result of a step, or raise the fault for its error.

    Args:
        read: Function of the step.
        inconsistent: Kind of fault for a `DataError` in this step.
        role: Text before the message, which starts with the file's name.
    """
    try:
        return read()
    except PancascadeError as error:
        kinds = {NotCTError: FaultKind.NOT_CT, GeometryError: FaultKind.GEOMETRY, DataError: inconsistent}
        # A reader of pictures wraps the library's error about a damaged file.
        damaged = isinstance(error, DataError) and isinstance(error.__cause__, OSError)
        kind = FaultKind.UNREADABLE if damaged else kinds.get(type(error), FaultKind.UNREADABLE)
        raise _FaultError(Fault(kind=kind, message=f"{role}{error}")) from error


def _role(path: Path, scan: LabelledScan | None) -> str:
    """Return a prefix that distinguishes a label map from an image of the same name, else ""."""
    twins = scan is not None and path == scan.label and path.name == scan.image.name
    return "label map " if twins else ""


def _missing(paths: list[Path], scan: LabelledScan | None) -> str:
    listed = " and ".join(f"{_role(path, scan)}{path}" for path in paths)
    return f"{listed}: no such {'file' if len(paths) == 1 else 'files'}. Copy or unpack again, or remove the case."


def _measure_scan(scan: LabelledScan, known: dict[str, Any]) -> None:
    """Measure the image first, so that its statistics remain if the label map cannot be read."""
    image = _step(scan.read_image, inconsistent=FaultKind.GEOMETRY)
    known["meaning"] = dict(scan.meaning)
    _measure_image(image, known)
    known["spacing_mm"], known["orientation"] = image.spacing_mm, image.orientation
    known["obliquity_degrees"] = round(float(np.degrees(nib.affines.obliquity(image.affine).max())), 2)
    if known["field"] == "scan":
        prefix = f"{Path(image.name).name}: "
        notices = _step(lambda: require_ct(image), inconsistent=FaultKind.GEOMETRY)
        notices += hu_calibration(image, scan_name=image.name)
        known["warnings"] = tuple(str(notice).removeprefix(prefix) for notice in notices)
    known["image_hash"] = _image_hash(image)
    labels = None
    if scan.label is not None:
        role = _role(scan.label, scan)
        values = _step(lambda: scan.read_values(image), inconsistent=FaultKind.OTHER_GRID, role=role)
        known["label_warnings"] = tuple(str(notice).removeprefix(f"{values.name}: ") for notice in values.notices)
        if scan.read_filed is not None:
            filed = scan.read_filed(image)
            known["turned_by_reader"] = directions(how_turned(filed.voxels, values.voxels), image.orientation)
        known["label_orientation"] = _orientation_of_file(scan.label)
        body = known["field"] == "scan"
        known["label"] = measure_label(image, values.voxels, scan.meaning, body=body)
        labels = known_labels(values.voxels, scan.meaning)
    known["thumbnail"] = draw_thumbnail(image, labels)


def _measure_slices(read: Callable[[], Sequence[AxialSlice]], known: dict[str, Any]) -> None:
    """Measure slices of one size as a stack; they have no slice distance, hence no volumes in mL."""
    slices = _step(read, inconsistent=FaultKind.OTHER_GRID)
    if not slices or len({axial.hu.shape for axial in slices}) > 1:
        message = f"{known['name']}: holds no slices, or slices of several sizes. Export it again."
        raise _FaultError(Fault(kind=FaultKind.GEOMETRY, message=message))
    spacing = slices[0].spacing_mm
    row_mm, column_mm = spacing or (1.0, 1.0)
    # The axes of a slice's transpose point to the left and to the back.
    image = Volume(np.stack([axial.hu.T for axial in slices], axis=2), np.diag((-column_mm, -row_mm, 1.0, 1.0)))
    known["meaning"] = dict(OURS)
    _measure_image(image, known)
    known["image_hash"] = _slice_hash(slices[len(slices) // 2].hu)
    labels = np.stack([axial.labels.T for axial in slices], axis=2)
    known["label"] = measure_label(image, labels, OURS, spaced=False, body=False)
    known["thumbnail"] = draw_thumbnail(image, labels)


def _measure_image(image: Volume, known: dict[str, Any]) -> None:
    known["shape"] = image.shape
    sample = image.voxels[tuple(slice(None, None, _SAMPLE_STEP if size > 64 else 1) for size in image.shape)]
    found = np.percentile(sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample, PERCENTILES)
    if not len(found) or image.voxels.min() == image.voxels.max():
        message = f"{known['files'][0]}: every voxel is {image.voxels.flat[0]:g}, there is no picture. Export it again."
        raise _FaultError(Fault(kind=FaultKind.NOT_CT, message=message))
    known["hu"] = tuple(round(float(value), 1) for value in found)


def _image_hash(image: Volume) -> str:
    from pancascade.data.checking.image_hash import image_hash

    return image_hash(image)


def _slice_hash(hu: NDArray[np.int16]) -> str:
    from pancascade.data.checking.image_hash import slice_hash

    return slice_hash(hu)


def _orientation_of_file(path: Path) -> str | None:
    """Return the orientation of a NIfTI file's axes from its header; None for other formats."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    return "".join(nib.aff2axcodes(nib.load(path).affine))  # type: ignore[attr-defined]
