"""Search for the series in a folder of DICOM files, from their headers only."""

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pancascade.imaging.io.dicom.dicom_files import dicom_files, quiet, read_header
from pancascade.imaging.io.dicom.kinds import CT, HEADER_TAGS, NOT_AXIAL, is_axial, kind_of

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_LARGEST_NUMBER = 2**31
"""Limit of an integer string (PS3.5 6.2)."""


@dataclass(frozen=True)
class Series:
    """The files of one series and their header values, without patient data.

    Localizers and other images with the CT's series UID are a separate series.

    Attributes:
        uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        modality: "CT", "RTSTRUCT", ...
        number: SeriesNumber, if it has one.
        description: SeriesDescription, or "".
        files: Sorted by path. In a zip archive: the archive's path and the name inside it.
        instance_count: Number of files.
        slice_count: Number of images; more than the files in enhanced CT, 0 if there are no images.
        kind: "ct" for an axial CT, else another kind ("localizer", "RTSTRUCT", ...).
        rows: Pixels from top to bottom, 0 if there are no images.
        columns: Pixels from left to right, 0 if there are no images.
        thickness_mm: SliceThickness, if given.
        patient: A digest of the patient ID, which distinguishes two patients with the same study UID.
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
    patient: str = ""

    def __str__(self) -> str:
        size = f", {self.slice_count} x {self.columns} x {self.rows}" if self.slice_count else ""
        return f"{self._numbered} ({self.kind}{size})"

    @property
    def short(self) -> str:
        """Number and kind for messages, without the description, which may name the patient."""
        return f"{self._numbered} ({self.kind})"

    @property
    def mark(self) -> str:
        """Mark (hashed UID) that identifies the series in outputs instead of the UID."""
        return uid_mark(self.uid)

    @property
    def _numbered(self) -> str:
        return "series without number" if self.number is None else f"series {self.number}"


def uid_mark(uid: str) -> str:
    """Return the mark (hash) that replaces a UID in outputs."""
    return f"uid-{hashlib.blake2b(uid.encode(), digest_size=8).hexdigest()}"


class Search(NamedTuple):
    """Result of a search of a folder.

    Attributes:
        series: Sorted by series number.
        left_out: Files that are only named like DICOM, and DICOM files with a damaged header.
    """

    series: list[Series]
    left_out: list[Path]


class _Member(NamedTuple):
    """One file with the decoded values of its header."""

    file: Path
    header: "Dataset"
    kind: str
    axial: bool
    pictures: int
    key: tuple[str, ...]


def search(place: Path) -> Search:
    """Find all DICOM series at or below a folder.

    Args:
        place: A folder or a single DICOM file.

    Raises:
        UnreadableError: a folder or file that may not be read.
    """
    files, left_out = dicom_files(place)
    groups: defaultdict[tuple[str, ...], list[_Member]] = defaultdict(list)
    for file in files:
        member = _member(file)
        if member is None:
            _logger.warning("%s: the DICOM header is damaged; left out.", file)
            left_out.append(file)
        else:
            groups[member.key].append(member)
    with quiet():
        found = [_series(members) for members in groups.values()]
    return Search(sorted(found, key=lambda each: (series_number(each), each.uid, each.kind)), left_out)


def series_number(series: Series) -> float:
    """Return a sort key: a series without a number comes last."""
    return math.inf if series.number is None else series.number


def _member(file: Path) -> _Member | None:
    header = read_header(file, tags=HEADER_TAGS)
    if header is None:
        return None
    with quiet():
        try:
            kind = kind_of(header)
            # A slice of another patient does not belong to the series, even with the same series UID.
            key = (str(header.get("SeriesInstanceUID", "")), kind, str(header.get("PatientID", "")))
            return _Member(file, header, kind, is_axial(header), int(_value(header, "NumberOfFrames") or 1), key)
        # A value of the wrong type for its tag may raise any exception in pydicom.
        except Exception:
            return None


def _series(members: Sequence[_Member]) -> Series:
    first, kind = members[0].header, members[0].kind
    if kind == CT and 2 * sum(member.axial for member in members) < len(members):
        kind = NOT_AXIAL
    rows, columns = (int(_value(first, keyword) or 0) for keyword in ("Rows", "Columns"))
    number, thickness_mm = _value(first, "SeriesNumber"), _value(first, "SliceThickness")
    return Series(
        uid=str(first.get("SeriesInstanceUID", "")),
        study_uid=str(first.get("StudyInstanceUID", "")),
        modality=str(first.get("Modality", "")),
        number=None if number is None or abs(number) > _LARGEST_NUMBER else int(number),
        description=str(first.get("SeriesDescription") or "").strip(),
        files=tuple(member.file for member in members),
        instance_count=len(members),
        slice_count=sum(member.pictures for member in members) if rows else 0,
        kind=kind,
        rows=rows,
        columns=columns,
        thickness_mm=thickness_mm or None,
        patient=hashlib.blake2b(repr(str(first.get("PatientID", ""))).encode(), digest_size=8).hexdigest(),
    )


def _value(header: "Dataset", keyword: str) -> float | None:
    try:
        value: Any = header.get(keyword)
        number = None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and math.isfinite(number) else None
