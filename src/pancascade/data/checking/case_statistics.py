"""All that is measured of a case of a data set, or what kept it from being measured."""

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
    """Why a case cannot be used."""

    MISSING_FILE = "missing-file"
    UNREADABLE = "unreadable"
    GEOMETRY = "geometry"
    NOT_CT = "not-ct"
    OTHER_GRID = "other-grid"


class Fault(Settings):
    """What kept a case from being read.

    Attributes:
        kind: Of the finding that it becomes.
        message: One sentence that names the file.
    """

    kind: FaultKind
    message: Sentence


class CaseStatistics(Settings):
    """What is known of a case; what could not be measured is None or empty.

    Attributes:
        name: Of the case.
        patient: Whose it is.
        source: Name of the data set.
        files: Image and label.
        field: What is shown: a whole scan, a region cut from one, or single slices.
        fault: What kept the case from being read.
        shape: (I, J, K); of slices their width, height and number.
        spacing_mm: Along each axis; None if the source does not tell.
        orientation: Of the scan's axes, such as LPS.
        label_orientation: Of the label file's axes.
        obliquity_degrees: Largest angle between an axis of the grid and of the patient.
        hu: At `PERCENTILES` of the voxels.
        warnings: What is unusual for a CT of an abdomen.
        label_warnings: What is unusual about the label map's file.
        meaning: Structure of each value of the label map.
        label: What was measured of the label map; None without one.
        turned_by_reader: Directions in which the reader turned the label map round, for its header is wrong.
        image_hash: By which the same image is found again.
        thumbnail: PNG in base64.
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
        """For messages."""
        return self.files[0] if self.files else self.name

    @property
    def label_file(self) -> str:
        """For messages; the image's where there is none."""
        return self.files[-1] if self.files else self.name


def measure(case: Case, *, region: bool = False) -> CaseStatistics:
    """Read a case and measure it; a case that cannot be read tells why.

    Args:
        case: Of a data set.
        region: It is cut from a scan: no body, no whole field of view.
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
    except Exception as error:  # whatever a file makes a library do, the other cases must be checked
        message = f"{case.files[0] if case.files else case.name}: cannot be read ({type(error).__name__}: {error})."
        known["fault"] = Fault(kind=FaultKind.UNREADABLE, message=message)
    return CaseStatistics.model_validate(known)


class _FaultError(Exception):
    """A step failed with this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _step(read: Callable[[], Read], *, inconsistent: FaultKind, role: str = "") -> Read:
    """The result of a step, or what its error means.

    Args:
        read: Reads something.
        inconsistent: What a `DataError` means here.
        role: Before the message, which starts with the file's name.
    """
    try:
        return read()
    except PancascadeError as error:
        kinds = {NotCTError: FaultKind.NOT_CT, GeometryError: FaultKind.GEOMETRY, DataError: inconsistent}
        # A reader of pictures wraps what the library says about a damaged file.
        damaged = isinstance(error, DataError) and isinstance(error.__cause__, OSError)
        kind = FaultKind.UNREADABLE if damaged else kinds.get(type(error), FaultKind.UNREADABLE)
        raise _FaultError(Fault(kind=kind, message=f"{role}{error}")) from error


def _role(path: Path, scan: LabelledScan | None) -> str:
    """What tells a label map from an image of the same name, for many data sets name both after the case."""
    twins = scan is not None and path == scan.label and path.name == scan.image.name
    return "label map " if twins else ""


def _missing(paths: list[Path], scan: LabelledScan | None) -> str:
    listed = " and ".join(f"{_role(path, scan)}{path}" for path in paths)
    return f"{listed}: no such {'file' if len(paths) == 1 else 'files'}. Copy or unpack again, or remove the case."


def _measure_scan(scan: LabelledScan, known: dict[str, Any]) -> None:
    """Image first, so that its facts are kept if the label map cannot be read."""
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
    """Slices of one size are looked at as a stack; without a spacing there are no millilitres."""
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
    """Of a NIfTI file's axes, from its header alone."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    return "".join(nib.aff2axcodes(nib.load(path).affine))  # type: ignore[attr-defined]
