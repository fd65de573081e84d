"""Measurement of one prediction against its reference, with checks of grids and labels."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import DataError, GeometryError
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.quantities import distances_of
from pancascade.evaluation.records import CaseRecord, TargetRecord
from pancascade.imaging.io import require_spacing
from pancascade.imaging.volume import Box, Volume, as_label_map, reorient, resample_onto, restore
from pancascade.metrics import Confusion, ScanDetections, box_overlap, confusion_by_slice, detect, surface_distances

_SAME_PLACE = 0.05
"""Two grids whose voxels differ by less than this share of a voxel are the same grid."""


class _Cut(NamedTuple):
    """The non-zero part of a label map; everything around it is background."""

    labels: NDArray[Any]
    box: Box

    def inside(self, box: Box, wanted: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the mask of some labels in a box that contains this one."""
        mask = np.zeros(box.shape, dtype=bool)
        if 0 in self.box.shape:
            return mask
        mask[self.box.shift([-start for start in box.start]).slices] = np.isin(self.labels, wanted)
        return mask


_NOTHING = _Cut(np.zeros((0, 0, 0), np.uint8), Box((0, 0, 0), (0, 0, 0)))


def measure_case(
    reference: Volume,
    prediction: Volume | None,
    *,
    case: str,
    protocol: Protocol,
    patient: str | None = None,
    confidence: Volume | None = None,
    score: float | None = None,
) -> CaseRecord:
    """Compare one predicted label map with its reference, on the reference's grid.

    Args:
        reference: Label map, any orientation.
        prediction: Label map on the same grid, stored in any orientation; None counts as empty.
        case: Name of the case.
        protocol: Protocol of the comparison.
        patient: Patient of the scan; None uses the case's name.
        confidence: Map of the predicted likelihood of the lesion target, on the same grid.
        score: Likelihood that the patient has a lesion; None takes the largest confidence of a candidate.

    Raises:
        GeometryError: The reference has a spacing that no CT has, or the grids differ and the protocol does not
            resample.
        DataError: A label map holds values that are no labels, or none that the protocol knows.
    """
    require_spacing(reference)
    scan_lps = reorient(reference, "RAS")
    notes: list[str] = []
    true = _read_labels(scan_lps, protocol, of_reference=True)
    if prediction is None:
        found = _NOTHING
        notes.append("no prediction; counted as empty")
    else:
        found = _read_labels(_on_grid(prediction, scan_lps, protocol, notes), protocol, of_reference=False)
    box = _union(true.box, found.box)
    masks = {
        target: (found.inside(box, wanted), true.inside(box, protocol.labels_of_reference(target)))
        for target, wanted in protocol.labels.items()
    }
    notes += [str(notice) for volume in (reference, prediction) if volume is not None for notice in volume.notices]
    detections = None
    if protocol.lesions.target in masks:
        mask, truth = masks[protocol.lesions.target]
        candidates = None if confidence is None else _on_grid(confidence, scan_lps, protocol, notes)
        detections = _find_lesions(
            mask, truth, box, scan_lps, patient=patient or case, protocol=protocol, confidence=candidates, score=score
        )
    return CaseRecord(
        case=case,
        patient=patient or case,
        prediction=None if prediction is None else prediction.name,
        reference=reference.name,
        shape=scan_lps.shape,
        spacing_mm=scan_lps.spacing_mm,
        voxel_ml=scan_lps.voxel_volume_ml,
        diagonal_mm=math.dist((0, 0, 0), [n * mm for n, mm in zip(scan_lps.shape, scan_lps.spacing_mm, strict=True)]),
        targets={key: _measure_target(*pair, box, scan_lps, protocol=protocol) for key, pair in masks.items()},
        detections=detections,
        notes=tuple(notes),
    )


def _on_grid(volume: Volume, scan_lps: Volume, protocol: Protocol, notes: list[str]) -> Volume:
    """Return the volume on the reference's RAS grid, for any orientation of its axes."""
    turned = reorient(volume, "RAS")
    if turned.on_same_grid_as(scan_lps, tolerance_mm=_SAME_PLACE * min(scan_lps.spacing_mm)):
        return replace(turned, affine=scan_lps.affine)
    with suppress(GeometryError):
        # At 45 degrees "RAS" is ambiguous; the same grid may have been reoriented differently.
        return replace(restore(volume, scan_lps), source=volume.source)
    if not protocol.resample:
        raise GeometryError(
            f"{volume.name}: not on the grid of {scan_lps.name} ({_difference(turned, scan_lps)}). "
            "Write the prediction on the scan's grid, or pass --resample."
        )
    notes.append(
        f"{Path(volume.name).name} resampled from {_describe(turned)} to the reference's grid by nearest voxel"
    )
    return replace(resample_onto(turned, scan_lps, order=0), source=volume.source)


def _describe(volume: Volume) -> str:
    shape, spacing = _times(volume.shape), _times(f"{mm:.4g}" for mm in volume.spacing_mm)
    origin = ", ".join(f"{mm:.1f}" for mm in volume.affine[:3, 3])
    return f"{shape} voxels of {spacing} mm from ({origin}) mm"


def _difference(one: Volume, other: Volume) -> str:
    """Return the first difference of two grids (shape, spacing, position), and the distance of equal voxels."""
    if one.shape != other.shape:
        return f"{_times(one.shape)} against {_times(other.shape)} voxels"
    spacing, wanted = (_times(f"{mm:.4g}" for mm in grid.spacing_mm) for grid in (one, other))
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in one.shape))])
    distances = np.linalg.norm((corners @ (one.affine - other.affine).T)[:, :3], axis=1)
    apart = f"up to {distances.max():.2g} mm apart"
    return apart if spacing == wanted else f"voxels of {spacing} against {wanted} mm, {apart}"


def _times(sizes: Iterable[object]) -> str:
    return " × ".join(map(str, sizes))


def _read_labels(volume: Volume, protocol: Protocol, *, of_reference: bool) -> _Cut:
    """Return the non-zero part of a label map, with its values checked."""
    volume = as_label_map(volume)
    box = Box.around(volume.voxels)
    if box is None:
        return _NOTHING
    part = volume.voxels[box.slices]
    values = np.unique(part[part != 0])
    if not np.isfinite(values).all():
        raise DataError(f"{volume.name}: holds NaN or infinite values. A mask holds whole numbers; write it again.")
    if (values != np.rint(values)).any():
        odd = next(value for value in values if value != np.rint(value))
        raise DataError(
            f"{volume.name}: holds values such as {odd!s}, so it is no label map but probabilities or an "
            "interpolated mask. Threshold it first, or resample masks by nearest voxel."
        )
    labels = (protocol.reference_labels or protocol.labels) if of_reference else protocol.labels
    known = {value for wanted in labels.values() for value in wanted}
    unknown = [int(value) for value in values if int(value) not in known]
    if unknown and protocol.other_labels == "refuse":
        option = "--reference-labels" if of_reference else "--labels"
        raise DataError(
            f"{volume.name}: holds label {', '.join(map(str, unknown[:6]))}, which no target names (known: "
            f"{', '.join(map(str, sorted(known)))}). Map it with {option} or pass --other-labels background."
        )
    return _Cut(part, box)


def _union(one: Box, other: Box) -> Box:
    """Return the box of both masks; of size 0 if both are empty."""
    if 0 in one.shape:
        return other
    return one if 0 in other.shape else one.union(other)


def _measure_target(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], box: Box, scan_lps: Volume, *, protocol: Protocol
) -> TargetRecord:
    """Measure counts and distances of one target; the masks are cropped to a box that contains both."""
    slice_voxels = scan_lps.shape[0] * scan_lps.shape[1]
    slices = [Confusion(0, 0, 0, slice_voxels)] * scan_lps.shape[2]
    slices[box.start[2] : box.stop[2]] = confusion_by_slice(mask, truth, slice_voxels=slice_voxels)
    boxes = box_overlap(Box.around(mask), Box.around(truth))
    record = TargetRecord(
        slices=tuple(slices),
        box_recall=None if math.isnan(boxes.recall) else boxes.recall,
        box_iou=None if math.isnan(boxes.iou) else boxes.iou,
    )
    if not (mask.any() and truth.any()):
        return record
    distances = surface_distances(mask, truth, scan_lps.spacing_mm, definition=protocol.surface)
    return record.model_copy(
        update={
            "distances_mm": distances_of(distances),
            "nsd": tuple(distances.normalised_dice(tolerance) for tolerance in protocol.tolerances_mm),
        }
    )


def _find_lesions(
    mask: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    box: Box,
    scan_lps: Volume,
    *,
    patient: str,
    protocol: Protocol,
    confidence: Volume | None,
    score: float | None,
) -> ScanDetections:
    """Return found and missed lesions; the masks are cropped to a box that contains both."""
    rule = protocol.lesions
    if rule.candidates == "map" and confidence is None:
        raise DataError(f"{scan_lps.name}: the protocol takes candidates from a confidence map, and there is none.")
    likelihood = None
    if confidence is not None:
        field = box
        if rule.candidates == "map":
            field = _union(box, Box.around(confidence.voxels) or box)
        inside = tuple(slice(a - b, c - b) for a, b, c in zip(box.start, field.start, box.stop, strict=True))
        mask, truth = _grown(mask, field, inside), _grown(truth, field, inside)
        likelihood = confidence.voxels[field.slices]
    try:
        return detect(
            mask,
            truth,
            scan_lps.spacing_mm,
            patient=patient,
            confidence=likelihood,
            candidates=rule.candidates,
            hit=rule.hit,
            least_iou=rule.least_iou,
            score=score,
        )
    except ValueError as error:
        raise DataError(f"{scan_lps.name if confidence is None else confidence.name}: {error}.") from error


def _grown(mask: NDArray[np.bool_], field: Box, inside: tuple[slice, ...]) -> NDArray[np.bool_]:
    grown = np.zeros(field.shape, dtype=bool)
    grown[inside] = mask
    return grown
