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
    """How many lesions of a size were found.

    Attributes:
        size: Longest axial diameter, as "1–2 cm".
        lesions: In the references.
        found: Of them.
        sensitivity: Their ratio, with its interval.
    """

    size: str
    lesions: int
    found: int
    sensitivity: Interval


@dataclass(frozen=True)
class DetectionSummary:
    """How well a method finds lesions.

    Attributes:
        scans: All.
        scans_with_lesion: With at least one in the reference.
        lesions: In the references.
        numbers: Sensitivity, precision, false positives per scan and per healthy scan, average precision, AUROC and
            PANORAMA's score, each with its interval; NaN where undefined.
        by_size: Sensitivity by size.
        froc_points: (false positives per scan, sensitivity) as commonly read.
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
    """Detection numbers of a method.

    Args:
        cases: Of one method.
        protocol: Holds the bootstrap's settings.

    Returns:
        None where neither references nor predictions hold a lesion.
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
    """Whose scans a number depends on, where it is not everybody's."""
    ill = patients[table.has_lesion]
    return {
        "sensitivity": ill,
        "average_precision": ill,
        "precision": patients[table.candidate_scan],
        "false_positives_per_healthy_scan": patients[~table.has_lesion],
    }


def _curve(table: DetectionTable) -> tuple[tuple[float, float, float], ...]:
    # The first point lies above every confidence; a file of JSON knows no infinity.
    curve = froc(table)
    points = zip(curve.thresholds[1:], curve.false_positives[1:], curve.sensitivity[1:], strict=True)
    return tuple((float(threshold), float(false), float(true)) for threshold, false, true in points)
