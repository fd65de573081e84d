"""Masks from DICOM-SEG (PS3.3 A.51), read through highdicom (an extra)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pancascade.errors import UnreadableError
from pancascade.imaging.io.dicom.dicom_files import dicom_files, opened, quiet, read_header
from pancascade.imaging.io.dicom.frames import frames_of
from pancascade.imaging.io.dicom.kinds import kind_of
from pancascade.imaging.io.dicom.search import uid_mark
from pancascade.imaging.volume import Volume
from pancascade.messages.quiet_log import quiet_log

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

_INSIDE = 0.5
"""Least value of a voxel of a fractional segment (probability or occupancy)."""

_LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))


@dataclass(frozen=True, eq=False)
class DicomMask:
    """The segments of a DICOM-SEG.

    Attributes:
        path: Path as given.
        names: Segment labels by segment number.
        kinds: Meanings of the coded property types by segment number.
        series: Marks of the referenced series; empty without a reference.
        frame_of_reference: Mark of the frame of reference of its positions, if given.
        places_mm: (N, 3), position of each frame in mm, LPS+.
        content: The object that highdicom reads.
    """

    path: Path
    names: dict[int, str]
    kinds: dict[int, str]
    series: frozenset[str]
    frame_of_reference: str | None
    places_mm: npt.NDArray[np.float64]
    content: "Segmentation"

    def volume(self, segments: Sequence[int]) -> Volume:
        """Return the union of some segments, uint8, on the planes of the file.

        Empty planes may be absent from the file: between others they are 0, at both ends they stay absent.

        Args:
            segments: Segment numbers.

        Raises:
            UnreadableError: The frames do not form one straight stack, or cannot be decoded.
        """
        with quiet_log("highdicom", level=logging.CRITICAL + 1), quiet():
            try:
                stack = self.content.get_volume(segment_numbers=list(segments), allow_missing_positions=True)
                inside: npt.NDArray[np.bool_] = np.any(np.asarray(stack.array) >= _INSIDE, axis=-1)
                affine = _LPS_TO_RAS @ _with_places(np.asarray(stack.affine), len(inside), self.places_mm)
            except Exception as error:  # a damaged file may raise any exception in highdicom and pydicom
                raise UnreadableError(
                    f"{self.path}: its frames are damaged, or no straight stack of slices. Export the segmentation "
                    "again, or give the mask as NIfTI.",
                    code="segmentation_damaged",
                ) from error
        voxels = inside.transpose(2, 1, 0).astype(np.uint8)
        return Volume(voxels, affine[:, [2, 1, 0, 3]], self.path)


def read_dicom_mask(path: Path) -> DicomMask:
    """Read a DICOM-SEG; its pixels are decoded later.

    Args:
        path: The file; or a folder or zip archive with one such file.

    Raises:
        UnreadableError: There is no DICOM-SEG, there are several, it is damaged, or highdicom is not installed.
        ScanError: The path cannot be read.
    """
    with opened(path) as place:
        file = _only_segmentation(place, path)
        if find_spec("highdicom") is None:
            raise UnreadableError(
                f'{path}: reading DICOM-SEG needs highdicom. Run: pip install "pancascade[dicom]"', code="extra_missing"
            )
        import highdicom

        with quiet_log("highdicom", level=logging.CRITICAL + 1), quiet():
            try:
                content = highdicom.seg.segread(file)
                reported = {int(number): content.get_segment_description(number) for number in content.segment_numbers}
                places = np.array([frame.position_mm for frame in frames_of(file)])
                series = {str(one.SeriesInstanceUID) for one in content.get("ReferencedSeriesSequence") or ()}
                frame_of_reference = str(content.get("FrameOfReferenceUID") or "")
            except Exception as error:
                raise UnreadableError(
                    f"{path}: this DICOM-SEG is damaged or not to the standard. Export it again, or give the mask as "
                    "NIfTI.",
                    code="segmentation_damaged",
                ) from error
        return DicomMask(
            path=path,
            names={number: str(one.segment_label).strip() for number, one in reported.items()},
            kinds={number: str(one.segmented_property_type.meaning).strip() for number, one in reported.items()},
            series=frozenset(map(uid_mark, series)),
            frame_of_reference=uid_mark(frame_of_reference) if frame_of_reference else None,
            places_mm=places,
            content=content,
        )


def _only_segmentation(place: Path, path: Path) -> Path:
    files, _ = dicom_files(place)
    kinds = {file: _kind(file) for file in files}
    found = [file for file, kind in kinds.items() if kind == "segmentation"]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnreadableError(
            f"{path}: holds {len(found)} files of DICOM-SEG. Give one of them.", code="several_segmentations"
        )
    contours = " RTSTRUCT holds contours, no voxels: convert it." if "RTSTRUCT" in kinds.values() else ""
    raise UnreadableError(
        f"{path}: there is no DICOM-SEG here.{contours} Give the file of the segmentation, or the mask as NIfTI.",
        code="no_segmentation",
    )


def _kind(file: Path) -> str:
    header = read_header(file, tags=("SOPClassUID", "Modality"))
    return "" if header is None else kind_of(header)


def _with_places(
    affine: npt.NDArray[np.float64], count: int, places_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Correct an affine (LPS+; slices, rows, columns) by the frames' own positions; the stack may lean slightly."""
    if count == 1:
        return affine
    ends = (affine[:3, 3], affine[:3, 3] + (count - 1) * affine[:3, 0])
    first, last = (places_mm[np.linalg.norm(places_mm - end, axis=1).argmin()] for end in ends)
    leaning = affine.copy()
    leaning[:3, 0], leaning[:3, 3] = (last - first) / (count - 1), first
    return leaning
