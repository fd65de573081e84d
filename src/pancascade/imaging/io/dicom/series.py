"""Finding, choosing and reading of CT series in folders of DICOM files."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pancascade.errors import GeometryError, NotCTError, ScanError
from pancascade.imaging.io.dicom.acquisition import TAGS as ACQUISITION_TAGS
from pancascade.imaging.io.dicom.acquisition import acquisition_of
from pancascade.imaging.io.dicom.dicom_files import opened, read_header
from pancascade.imaging.io.dicom.frames import frames_of
from pancascade.imaging.io.dicom.geometry import Stack, arrange
from pancascade.imaging.io.dicom.kinds import CT, NAMEABLE
from pancascade.imaging.io.dicom.left_out import damaged_files, other_kinds
from pancascade.imaging.io.dicom.pixels import hounsfield
from pancascade.imaging.io.dicom.rescale import require_rescale
from pancascade.imaging.io.dicom.search import Series, search, series_number, uid_mark
from pancascade.imaging.io.image_files import MAX_VOXELS
from pancascade.imaging.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_NAMED = 2
"""Number of series that a message lists."""

_LONGEST_NUMBER = 10
_SEE = " See --list-series."


def find_series(folder: Path) -> list[Series]:
    """Find all DICOM series at or below a folder, from their headers only.

    Args:
        folder: A folder, a zip archive of one, or a single DICOM file. Other files are ignored.

    Returns:
        Sorted by series number; empty where there is no DICOM.

    Raises:
        UnreadableError: no such path, no permission, or a damaged archive.
    """
    folder = Path(folder).absolute()
    with opened(folder) as place:
        return [_moved(each, place, folder) for each in search(place).series]


def choose_series(series: Sequence[Series], *, wanted: str | None = None) -> Series:
    """Return the CT to segment: the axial CT with most slices, then the thinnest, then the lowest number.

    Args:
        series: Series from `find_series`.
        wanted: Series UID or its mark, series number, or a part of the description, matched in this order. The rule
            above chooses among several matches. It can also name a coronal, sagittal or mixed dual-energy CT.

    Raises:
        ScanError: no such series, no CT, or several between which the rule cannot choose, or several of different
            studies. The message lists the series without descriptions.
    """
    named = list(series) if wanted is None else _named(series, wanted)
    if not named:
        found = "There is no DICOM series here." if wanted is None else f"No series matches --series.{_SEE}"
        raise ScanError(f"{found}{_listed(series)}", code="no_series" if wanted is None else "no_such_series")
    fit = [each for each in named if each.kind == CT]
    if not fit and wanted is not None:
        fit = [each for each in named if each.kind in NAMEABLE]
    if not fit:
        which = "No series" if wanted is None else "None that --series names"
        more = any(each.kind in NAMEABLE for each in named)
        advice = "Name one by --series to read it anyway." if more else "Give the folder of a CT series."
        raise ScanError(f"{which} is an axial CT.{_listed(named)} {advice}", code="no_ct_series")
    if len({each.study_uid for each in fit}) > 1:
        raise ScanError(
            f"CT series of several studies.{_listed(fit)} Name one by --series and its UID.{_SEE}",
            code="several_studies",
        )
    best, *others = sorted(fit, key=_rank)
    if others and _rank(others[0]) == _rank(best):
        raise ScanError(
            f"Several CT series fit equally.{_listed(fit)} Name one by --series and its UID.{_SEE}",
            code="several_series",
        )
    if others:
        _logger.warning("Of %d CT series this one is read: %s.%s", len(fit), best, _listed(others))
    return best


def series_name(volume: Volume, wanted: str) -> str | None:
    """Return the requested series without text that may name a patient: its number, or its UID's mark.

    Args:
        volume: The volume that was read.
        wanted: As for `choose_series`.
    """
    wanted = wanted.strip()
    return wanted if wanted.isdecimal() and len(wanted) <= _LONGEST_NUMBER else volume.series


def read_series(series: Series, *, keep_on_disk: bool = False) -> Volume:
    """Read one CT series.

    Args:
        series: A series from `find_series`.
        keep_on_disk: Store the voxels in a temporary file instead of memory.

    Returns:
        (I, J, K) = (columns, rows, slices along their normal), affine to RAS+ mm. HU as int16; float32
        if a rescale slope or intercept is fractional; int32 if int16 is too narrow. Padding is
        -1024. The source is the archive, the folder of the files, or the single file.

    Raises:
        UnreadableError: files are missing, truncated, damaged or of an unknown transfer syntax.
        NotCTError: the modality is not CT, or the slices disagree about a rescale slope or intercept.
        GeometryError: slices are missing, duplicated, unevenly spaced, tilted, or of different sizes or orientations;
            or headers have no positions.
    """
    if series.modality != "CT" or not series.files:
        raise NotCTError(f"{series} is not a CT. Give the CT series.", code="no_ct_series")
    archive = next((parent for parent in series.files[0].parents if parent.is_file()), None)
    if archive is None:
        return _read(series, source=Path(os.path.commonpath(series.files)), keep_on_disk=keep_on_disk)
    with opened(archive) as place:
        return _read(_moved(series, archive, place), source=archive, keep_on_disk=keep_on_disk)


def read_dicom_folder(path: Path, *, wanted: str | None = None, keep_on_disk: bool = False) -> Volume:
    """Find, choose and read the CT series in a folder.

    Args:
        path: A folder, a zip archive of one, or a single DICOM file.
        wanted: As for `choose_series`.
        keep_on_disk: Store the voxels in a temporary file instead of memory.

    Returns:
        As `read_series`, with `path` as source.

    Raises:
        ScanError: as the three functions.
    """
    path = Path(path).absolute()
    with _chosen_slices(path, wanted) as (series, stack):
        return _voxels_of(stack, series, source=path, keep_on_disk=keep_on_disk)


@contextmanager
def placed_slices(path: Path, *, wanted: str | None = None) -> Iterator[Stack]:
    """Yield the slices of the CT series in a folder, without pixels, while an archive is unpacked.

    Args:
        path: A folder, a zip archive of one, or a single DICOM file.
        wanted: As for `choose_series`.

    Yields:
        The slices in the order of the volume's third axis, without copies, and their affine.

    Raises:
        ScanError: as `find_series`, `choose_series` and `read_series`.
    """
    with _chosen_slices(path, wanted) as (_, stack):
        yield stack


@contextmanager
def _chosen_slices(path: Path, wanted: str | None) -> Iterator[tuple[Series, Stack]]:
    with opened(path) as place:
        try:
            found = search(place)
            chosen = choose_series(found.series, wanted=wanted)
        except ScanError as error:
            raise type(error)(f"{path}: {error}", code=error.code) from error
        _logger.info("%s: reading %s.", path, chosen)
        stack = _placed(chosen, source=path)
        left_out = (*damaged_files(found.left_out, path), *other_kinds(found.series, chosen, path))
        yield chosen, stack._replace(notices=(*left_out, *stack.notices))


def _read(series: Series, *, source: Path, keep_on_disk: bool) -> Volume:
    return _voxels_of(_placed(series, source=source), series, source=source, keep_on_disk=keep_on_disk)


def _voxels_of(stack: Stack, series: Series, *, source: Path, keep_on_disk: bool) -> Volume:
    rescale = require_rescale(stack.frames, source=source)
    voxels = hounsfield(stack.frames, source=source, keep_on_disk=keep_on_disk)
    notices = (*stack.notices, *rescale)
    header = read_header(series.files[0], tags=("SOPClassUID", "Modality", "FrameOfReferenceUID", *ACQUISITION_TAGS))
    return Volume(
        voxels,
        stack.affine,
        source,
        notices,
        series=series.mark,
        frame_of_reference=_frame_of_reference(header),
        acquisition=None if header is None else acquisition_of(header),
    )


def _frame_of_reference(header: "Dataset | None") -> str | None:
    """Return the mark of a header's frame of reference, if it has one."""
    uid = "" if header is None else str(header.get("FrameOfReferenceUID") or "").strip()
    return uid_mark(uid) if uid else None


def _placed(series: Series, *, source: Path) -> Stack:
    frames = [frame for file in series.files for frame in frames_of(file)]
    if len(frames) * int(np.prod(frames[0].size)) > MAX_VOXELS:
        raise GeometryError(
            f"{source}: {len(frames)} slices have more than {MAX_VOXELS} voxels. Give one scan.", code="too_many_voxels"
        )
    return arrange(frames, source=source)


def _moved(series: Series, old: Path, new: Path) -> Series:
    return replace(series, files=tuple(new / file.relative_to(old) for file in series.files))


def _named(series: Sequence[Series], wanted: str) -> list[Series]:
    wanted = wanted.strip()
    by_uid = [each for each in series if wanted in (each.uid, each.mark)]
    by_number = [each for each in series if each.number is not None and str(each.number) == wanted]
    return by_uid or by_number or [each for each in series if wanted.casefold() in each.description.casefold()]


def _rank(series: Series) -> tuple[float, float, float]:
    return (-series.slice_count, series.thickness_mm or np.inf, series_number(series))


def _listed(series: Sequence[Series]) -> str:
    names = [each.short for each in series]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" There are: {', '.join(names[:_NAMED])}{more}." if names else ""
