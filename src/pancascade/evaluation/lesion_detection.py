"""Detection of lesions over all cases of a method, with intervals over patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.records import CaseRecord
from pancascade.metrics import DetectionTable, Interval, Resamples
from pancascade.metrics.detection_statistics import (
    FROC_POINTS,
    auroc,
    average_precision,
    count_by_size,
    false_positives_per_scan,
    froc,
    panorama_score,
    precision,
    sensitivity,
    sensitivity_at,
)
from pancascade.metrics.lesions import SizeClass


@dataclass(frozen=True)
class SizeSensitivity:
    """Sensitivity for lesions of one size.

    Attributes:
        size: Class of longest axial diameter, such as "1-2 cm".
        lesions: Number of lesions in the references.
        found: Number of found lesions.
        sensitivity: Their ratio, with its interval.
    """

    size: str
    lesions: int
    found: int
    sensitivity: Interval


@dataclass(frozen=True)
class DetectionSummary:
    """Detection results of a method.

    Attributes:
        scans: Number of scans.
        scans_with_lesion: Number of scans with a lesion in the reference.
        lesions: Number of lesions in the references.
        numbers: Sensitivity, precision, false positives per scan and per healthy scan, average precision, AUROC and
            PANORAMA's score, each with its interval; NaN where undefined.
        by_size: Sensitivity by size.
        froc_points: (false positives per scan, sensitivity) at the common points.
        froc: (threshold, false positives per scan, sensitivity) at every threshold, highest first.
    """

    scans: int
    scans_with_lesion: int
    lesions: int
    numbers: dict[str, Interval]
    by_size: tuple[SizeSensitivity, ...]
    froc_points: tuple[tuple[float, Interval], ...]
    froc: tuple[tuple[float, float, float], ...]


NUMBERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "sensitivity": ("lesion sensitivity", sensitivity),
    "precision": ("lesion precision", precision),
    "false_positives_per_scan": ("false positives per scan", false_positives_per_scan),
    "false_positives_per_healthy_scan": (
        "false positives per healthy scan",
        partial(false_positives_per_scan, healthy=True),
    ),
    "average_precision": ("average precision", average_precision),
    "auroc": ("AUROC of patients", auroc),
    "panorama_score": ("PANORAMA score", panorama_score),
}
"""Title and statistic of each detection number."""


def summarise_detection(cases: Sequence[CaseRecord], protocol: Protocol) -> DetectionSummary | None:
    """Return the detection results of a method.

    Args:
        cases: Cases of one method.
        protocol: Protocol with the bootstrap's settings.

    Returns:
        The results; None if neither references nor predictions have a lesion.
    """
    scans = [case.detections for case in cases if case.detections is not None]
    if not any(scan.lesions or scan.false_positives for scan in scans):
        return None
    table = DetectionTable.of(scans)
    resamples = Resamples.draw([scan.patient for scan in scans], resamples=protocol.resamples, seed=protocol.seed)
    weights = resamples.case_weights()

    patients = np.array([scan.patient for scan in scans])
    behind = _patients_behind(table, patients)

    def with_interval(statistic: Callable[..., Any], who: NDArray[Any]) -> Interval:
        return resamples.interval(statistic(table), statistic(table, weights), patients=len(set(who.tolist())))

    def of_size(size: SizeClass) -> Interval:
        return with_interval(
            partial(sensitivity, size=size), patients[table.lesion_scan[size.holds(table.diameter_mm)]]
        )

    return DetectionSummary(
        scans=len(scans),
        scans_with_lesion=sum(scan.has_lesion for scan in scans),
        lesions=sum(len(scan.lesions) for scan in scans),
        numbers={key: with_interval(statistic, behind.get(key, patients)) for key, (_, statistic) in NUMBERS.items()},
        by_size=tuple(
            SizeSensitivity(row.size.name, row.lesions, row.found, of_size(row.size)) for row in count_by_size(table)
        ),
        froc_points=tuple(
            (rate, with_interval(partial(sensitivity_at, false_positives=rate), behind["sensitivity"]))
            for rate in FROC_POINTS
        ),
        froc=_curve(table),
    )


def _patients_behind(table: DetectionTable, patients: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the patients on whose scans a number depends, if not all."""
    ill = patients[table.has_lesion]
    return {
        "sensitivity": ill,
        "average_precision": ill,
        "precision": patients[table.candidate_scan],
        "false_positives_per_healthy_scan": patients[~table.has_lesion],
    }


def _curve(table: DetectionTable) -> tuple[tuple[float, float, float], ...]:
    # The first threshold is infinite, which JSON cannot store.
    curve = froc(table)
    points = zip(curve.thresholds[1:], curve.false_positives[1:], curve.sensitivity[1:], strict=True)
    return tuple((float(threshold), float(false), float(true)) for threshold, false, true in points)
