"""CT series in folders of DICOM files: find them, choose one, read it as a volume."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pancascade.errors import GeometryError, NotCTError, ScanError
from pancascade.io.dicom_files import dicom_files, opened, quiet, read_header
from pancascade.io.dicom_frames import Frame, frames_of
from pancascade.io.dicom_geometry import Array, arrange
from pancascade.io.dicom_kinds import CT, HEADER_TAGS, NOT_AXIAL, is_axial, kind_of
from pancascade.io.dicom_pixels import hounsfield
from pancascade.io.files import MAX_VOXELS
from pancascade.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """What the headers say about the files of one series; of its patient, nothing.

    Localizers and other pictures that a scanner files under the CT's series UID are a series of their own.

    Attributes:
        uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        modality: "CT", "RTSTRUCT", ...
        number: SeriesNumber, if it has one.
        description: SeriesDescription, or "".
        files: Sorted by path. Within a zip archive: the archive's path and the name inside it.
        instance_count: Number of files.
        slice_count: Number of pictures; more than files in enhanced CT, 0 for what is no picture.
        kind: "ct" for an axial CT, or what it is instead ("localizer", "RTSTRUCT", ...).
        rows: Pixels from top to bottom, 0 for what is no picture.
        columns: Pixels from left to right.
        thickness_mm: SliceThickness, if given.
    """

    uid: str
    study_uid: str
    modality: str
    number: int | None
    description: str
    files: tuple[Path, ...]
    instance_count: int
    slice_count: int
    kind: str
    rows: int
    columns: int
    thickness_mm: float | None = None

    def __str__(self) -> str:
        number = "without number" if self.number is None else str(self.number)
        size = f", {self.slice_count} x {self.columns} x {self.rows}" if self.slice_count else ""
        return f'series {number} "{self.description}" ({self.kind}{size})'


def find_series(folder: Path) -> list[Series]:
    """All DICOM series at or below a folder, from their headers alone.

    Args:
        folder: A folder, a zip archive of one, or a single DICOM file. Other files are passed over.

    Returns:
        Sorted by series number; empty where there is no DICOM.

    Raises:
        UnreadableError: no such path, no permission, or a damaged archive.
    """
    folder = Path(folder).absolute()
    with opened(folder) as place:
        return [_moved(each, place, folder) for each in _find(place)]


def choose_series(series: Sequence[Series], *, wanted: str | None = None) -> Series:
    """The CT to segment: of the axial CT series the one with most slices, then the thinnest, then the lowest number.

    Args:
        series: As `find_series` gives them.
        wanted: Series UID, series number, or a part of the description; looked for in this order. The
            rule above decides among several of that name. Names a coronal or sagittal CT, too.

    Raises:
        ScanError: no such series, no CT, or several that the rule cannot tell apart or that belong to
            different studies. The message lists what there is.
    """
    named = list(series) if wanted is None else _named(series, wanted)
    if not named:
        found = "There is no DICOM series here." if wanted is None else f'No series is "{wanted}".'
        raise ScanError(f"{found}{_listed(series)}", code="no_series" if wanted is None else "no_such_series")
    fit = [each for each in named if each.kind == CT]
    if not fit and wanted is not None:
        fit = [each for each in named if each.kind == NOT_AXIAL]
    if not fit:
        which = "" if wanted is None else f' called "{wanted}"'
        raise ScanError(
            f"No series{which} is an axial CT.{_listed(named)} Give the folder of a CT series.", code="no_ct_series"
        )
    if len({each.study_uid for each in fit}) > 1:
        raise ScanError(
            f"CT series of several studies.{_listed(fit, uids=True)} Name one by its series UID.",
            code="several_studies",
        )
    best, *others = sorted(fit, key=_rank)
    if others and _rank(others[0]) == _rank(best):
        raise ScanError(
            f"Several CT series fit equally.{_listed(fit, uids=True)} Name one by its series UID.",
            code="several_series",
        )
    if others:
        _logger.warning("Of %d CT series this one is read: %s.%s", len(fit), best, _listed(others))
    return best


def read_series(series: Series) -> Volume:
    """Read one CT series.

    Args:
        series: As `find_series` gives it.

    Returns:
        (I, J, K) = (columns, rows, slices along their normal), affine to RAS+ mm. HU as int16; float32
        where a rescale slope or intercept is a fraction; int32 where int16 is too narrow. Padding is
        -1024. Source is the folder of the files, or the file if it is one.

    Raises:
        UnreadableError: files that are missing, truncated, damaged or of an unknown transfer syntax.
        NotCTError: another modality.
        GeometryError: slices that are missing, doubled, unevenly spaced, of different sizes or
            orientations, or tilted; headers without positions.
    """
    if series.modality != "CT" or not series.files:
        raise NotCTError(f"{series} is not a CT. Give the CT series.", code="no_ct_series")
    archive = next((parent for parent in series.files[0].parents if parent.is_file()), None)
    if archive is None:
        return _read(series, source=Path(os.path.commonpath(series.files)))
    with opened(archive) as place:
        return _read(_moved(series, archive, place), source=archive)


def read_dicom_folder(path: Path, *, wanted: str | None = None, keep_on_disk: bool = False) -> Volume:
    """Find, choose and read the CT series in a folder.

    Args:
        path: A folder, a zip archive of one, or a single DICOM file.
        wanted: As for `choose_series`.
        keep_on_disk: Put the voxels into a temporary file rather than into memory.

    Returns:
        As `read_series`, with `path` as source.

    Raises:
        ScanError: as the three functions.
    """
    path = Path(path).absolute()
    with placed_slices(path, wanted=wanted) as (frames, affine):
        return Volume(hounsfield(frames, source=path, keep_on_disk=keep_on_disk), affine, path)


@contextmanager
def placed_slices(path: Path, *, wanted: str | None = None) -> Iterator[tuple[list[Frame], Array]]:
    """The slices of the CT series in a folder, without their pixels, for as long as an archive is unpacked.

    Args:
        path: A folder, a zip archive of one, or a single DICOM file.
        wanted: As for `choose_series`.

    Yields:
        The slices in the order of the volume's third axis, copies left out, and the (4, 4) affine to RAS+ mm.

    Raises:
        ScanError: as `find_series`, `choose_series` and `read_series`.
    """
    with opened(path) as place:
        try:
            chosen = choose_series(_find(place), wanted=wanted)
        except ScanError as error:
            raise type(error)(f"{path}: {error}", code=error.code) from error
        _logger.info("%s: reading %s.", path, chosen)
        yield _placed(chosen, source=place)


def _read(series: Series, *, source: Path) -> Volume:
    frames, affine = _placed(series, source=source)
    return Volume(hounsfield(frames, source=source), affine, source)


def _placed(series: Series, *, source: Path) -> tuple[list[Frame], Array]:
    frames = [frame for file in series.files for frame in frames_of(file)]
    if len(frames) * int(np.prod(frames[0].size)) > MAX_VOXELS:
        raise GeometryError(
            f"{source}: {len(frames)} slices have more than {MAX_VOXELS} voxels. Give one scan.", code="too_many_voxels"
        )
    return arrange(frames, source=source)


def _find(place: Path) -> list[Series]:
    groups: defaultdict[tuple[str, ...], list[tuple[Path, Dataset]]] = defaultdict(list)
    for file in dicom_files(place):
        header = read_header(file, tags=HEADER_TAGS)
        if header is None:
            _logger.warning("%s: the DICOM header is damaged; left out.", file)
            continue
        with quiet():
            # A slice of another patient is none of the series, whatever its series UID says.
            owner = str(header.get("PatientID", ""))
            groups[(str(header.get("SeriesInstanceUID", "")), kind_of(header), owner)].append((file, header))
    with quiet():
        found = [_series(uid, kind, members) for (uid, kind, _), members in groups.items()]
    return sorted(found, key=lambda each: (_number(each), each.uid, each.kind))


def _series(uid: str, kind: str, members: "list[tuple[Path, Dataset]]") -> Series:
    headers = [header for _, header in members]
    first = headers[0]
    if kind == CT and 2 * sum(map(is_axial, headers)) < len(headers):
        kind = NOT_AXIAL
    rows, columns = (int(_value(first, keyword) or 0) for keyword in ("Rows", "Columns"))
    number, thickness_mm = _value(first, "SeriesNumber"), _value(first, "SliceThickness")
    return Series(
        uid=uid,
        study_uid=str(first.get("StudyInstanceUID", "")),
        modality=str(first.get("Modality", "")),
        number=None if number is None else int(number),
        description=str(first.get("SeriesDescription") or "").strip(),
        files=tuple(file for file, _ in members),
        instance_count=len(members),
        slice_count=sum(int(_value(header, "NumberOfFrames") or 1) for header in headers) if rows else 0,
        kind=kind,
        rows=rows,
        columns=columns,
        thickness_mm=thickness_mm or None,
    )


def _value(header: "Dataset", keyword: str) -> float | None:
    try:
        value: Any = header.get(keyword)
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _moved(series: Series, old: Path, new: Path) -> Series:
    return replace(series, files=tuple(new / file.relative_to(old) for file in series.files))


def _named(series: Sequence[Series], wanted: str) -> list[Series]:
    wanted = wanted.strip()
    by_uid = [each for each in series if each.uid == wanted]
    by_number = [each for each in series if each.number is not None and str(each.number) == wanted]
    return by_uid or by_number or [each for each in series if wanted.casefold() in each.description.casefold()]


def _rank(series: Series) -> tuple[float, float, float]:
    return (-series.slice_count, series.thickness_mm or np.inf, _number(series))


def _number(series: Series) -> float:
    return np.inf if series.number is None else series.number


def _listed(series: Sequence[Series], *, uids: bool = False) -> str:
    names = [f"{each} UID {each.uid}" if uids else str(each) for each in series]
    more = [f"and {len(names) - 12} more"] if len(names) > 12 else []
    return f" There are: {'; '.join([*names[:12], *more])}." if names else ""
