"""Records of corrections, and the part of a result that they need."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, PositiveInt, ValidationError

from pancascade.errors import UnreadableError
from pancascade.files.digests import content_digest
from pancascade.files.documents import first_fault, read_json, reason
from pancascade.settings import Settings

FOLDER = "corrections"
"""Name of the folder beside ``result.json``."""

RESULT = "result.json"
_NUMBERED = re.compile(r"(\d{3,9})\.(json|nii\.gz)")

Author = Annotated[str, Field(min_length=1, max_length=60)]
Step = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Grid(Settings):
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    affine: Annotated[tuple[tuple[Step, Step, Step, Step], ...], Field(min_length=4, max_length=4)]


class SegmentedScan(Settings):
    """The fields of ``result.json`` that a correction needs.

    Attributes:
        scan: Name of the scan's file, or of the case.
        scan_place: Place of the scan, seen from the result; see `pancascade.files.scan_place`.
        scan_digest: Digest of its voxels and grid; None in results of older versions.
        series: Requested DICOM series.
        model: Name of the model.
        grid: The scan's grid.
        files: Digests of the files that were written with the result, by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    scan: str
    scan_place: str | None = None
    scan_digest: str | None = None
    series: str | None = None
    model: str
    grid: _Grid
    files: dict[str, str] = Field(default_factory=dict)


class CorrectionRecord(Settings):
    """The record beside a corrected label map.

    Attributes:
        author: Name of the reader, as given.
        saved: Time, UTC.
        model: Model of the original mask.
        original_mask: Digest of the mask's file at that time; None for a result without one.
        scan_digest: Digest of the scan's voxels and grid, from the result.
        label_map: Digest of the corrected label map's file.
        voxels: Number of voxels of each label, by its name.
    """

    format: Literal[1] = 1
    author: Author
    saved: AwareDatetime
    model: str
    original_mask: str | None
    scan_digest: str | None
    label_map: str
    voxels: dict[str, int]


@dataclass(frozen=True)
class Correction:
    """A corrected label map and its record.

    Attributes:
        number: Number from 1, in the order of saving.
        label_map: NIfTI file, on the scan's grid.
        record: Its record.
    """

    number: int
    label_map: Path
    record: CorrectionRecord


def read_segmented_scan(result: Path) -> SegmentedScan:
    """Read the part of a result that a correction needs.

    Args:
        result: Folder that holds ``result.json``.

    Raises:
        UnreadableError: There is no result, or it is damaged.
    """
    try:
        return SegmentedScan.model_validate(read_json(result / RESULT))
    except ValidationError as error:
        raise UnreadableError(
            f"{RESULT} in {result.name}: not a result of pancascade segment ({first_fault(error)[:80]}). Segment again."
        ) from error
    except (OSError, ValueError) as error:
        raise UnreadableError(
            f"{RESULT} in {result.name}: not readable as a result ({reason(error)}). Give a folder with {RESULT}."
        ) from error


def corrections_of(result: Path) -> list[Correction]:
    """Return all corrections of a result, the oldest first; a label map without a record is unfinished and left out.

    Args:
        result: Folder of the result.

    Raises:
        UnreadableError: A record is damaged, or its label map is missing or was changed.
    """
    return [_read(path) for _, path in sorted(_numbered(result, "json"))]


def newest_correction(result: Path) -> Correction | None:
    """Return the last correction of a result, or None.

    Args:
        result: Folder of the result.

    Raises:
        UnreadableError: Its record is damaged, or its label map is missing or was changed.
    """
    records = _numbered(result, "json")
    return _read(max(records)[1]) if records else None


def has_corrections(result: Path) -> bool:
    """Return whether the result has files of corrections, finished or not."""
    return next_number(result) > 1


def next_number(result: Path) -> int:
    """Return the next free number; files of a killed run also count as used."""
    taken = [number for ending in ("json", "nii.gz") for number, _ in _numbered(result, ending)]
    return max(taken, default=0) + 1


def _numbered(result: Path, ending: str) -> list[tuple[int, Path]]:
    folder = result / FOLDER
    if not folder.is_dir():
        return []
    found: list[Any] = [(_NUMBERED.fullmatch(path.name), path) for path in folder.iterdir()]
    return [(int(match[1]), path) for match, path in found if match is not None and match[2] == ending]


def _read(path: Path) -> Correction:
    name = f"{FOLDER}/{path.name} of {path.parents[1].name}".replace("/", " ")
    try:
        record = CorrectionRecord.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        why = reason(error)
        raise UnreadableError(f"{name}: not readable ({why[:80]}). Copy it again, or remove it.") from error
    label_map = path.with_suffix(".nii.gz")
    if content_digest(label_map) != record.label_map:
        raise UnreadableError(
            f"{name}: the label map beside it is missing or not the one that was saved. Copy both again, or remove it.",
            code="correction_changed",
        )
    return Correction(int(path.stem), label_map, record)
