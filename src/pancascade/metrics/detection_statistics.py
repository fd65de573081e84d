"""Lesion detection over many scans: FROC, average precision, AUROC, sensitivity by size.

`DetectionTable.of` converts the records of `detect` to a table, and each statistic converts a table to a number. Every
statistic accepts resampling weights: the number of draws of each scan in each resample. It then returns one number
per resample, equal to that of a table with repeated scans.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from pancascade.metrics.detection import ScanDetections
from pancascade.metrics.lesions import SIZE_CLASSES, SizeClass

FROC_POINTS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
"""False positives per scan at which FROC curves are commonly reported."""

_BLOCK = 2**20
"""Numbers per block of resamples, so that ten thousand resamples fit into the memory of a laptop."""

Weights = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """Records of N scans as arrays: L lesions, and C counted candidates, the most confident first.

    Attributes:
        confidence: (C,) confidences, descending.
        is_true: (C,) whether the candidate matches a lesion.
        candidate_scan: (C,) index of its scan.
        diameter_mm: (L,) longest axial diameter.
        found: (L,) whether a candidate matches the lesion.
        lesion_scan: (L,) index of its scan.
        score: (N,) score of each scan.
        has_lesion: (N,) whether the reference of each scan has a lesion.
    """

    confidence: NDArray[np.float64]
    is_true: NDArray[np.bool_]
    candidate_scan: NDArray[np.int64]
    diameter_mm: NDArray[np.float64]
    found: NDArray[np.bool_]
    lesion_scan: NDArray[np.int64]
    score: NDArray[np.float64]
    has_lesion: NDArray[np.bool_]

    @classmethod
    def of(cls, scans: Sequence[ScanDetections]) -> "DetectionTable":
        """Build the table of these scans, in their order.

        Raises:
            ValueError: There is no scan, or a confidence or score is not a number.
        """
        lesions = [(index, lesion) for index, scan in enumerate(scans) for lesion in scan.lesions]
        candidates = [(lesion.confidence, True, index) for index, lesion in lesions if lesion.confidence is not None]
        candidates += [(value, False, index) for index, scan in enumerate(scans) for value in scan.false_positives]
        candidates.sort(key=lambda candidate: -candidate[0])
        columns = list(zip(*candidates, strict=True)) or [(), (), ()]
        table = cls(
            np.array(columns[0], np.float64),
            np.array(columns[1], np.bool_),
            np.array(columns[2], np.int64),
            np.array([lesion.diameter_mm for _, lesion in lesions], np.float64),
            np.array([lesion.confidence is not None for _, lesion in lesions], np.bool_),
            np.array([index for index, _ in lesions], np.int64),
            np.array([scan.score for scan in scans], np.float64),
            np.array([scan.has_lesion for scan in scans], np.bool_),
        )
        if not scans or np.isnan(table.score).any() or np.isnan(table.confidence).any():
            raise ValueError("a table needs at least one scan, and no confidence or score may be NaN")
        return table

    @property
    def last_of_ties(self) -> NDArray[np.int64]:
        """(T,) index of the last candidate of each distinct confidence, from the highest confidence down."""
        later = self.confidence[1:]
        return np.flatnonzero(np.append(later != self.confidence[:-1], len(self.confidence) > 0))


class DetectionStatistic(Protocol[P]):
    """A statistic of a table: a float without weights, an array (R,) with (R, N) weights."""

    @overload
    def __call__(self, table: DetectionTable, weights: None = None, *args: P.args, **kwargs: P.kwargs) -> float: ...
    @overload
    def __call__(
        self, table: DetectionTable, weights: Weights, *args: P.args, **kwargs: P.kwargs
    ) -> NDArray[np.float64]: ...


def _statistic(
    formula: Callable[Concatenate[DetectionTable, NDArray[np.float64], P], NDArray[Any]],
) -> DetectionStatistic[P]:
    """Wrap a formula on (R, N) weights: weights become optional, many resamples are processed in blocks."""

    @wraps(formula)
    def statistic(table: DetectionTable, weights: Weights | None = None, *args: P.args, **kwargs: P.kwargs) -> Any:
        scans = len(table.score)
        if weights is None:
            return float(formula(table, np.ones((1, scans)), *args, **kwargs)[0])
        if weights.ndim != 2 or weights.shape[1] != scans or not weights.min(initial=0) >= 0:
            raise ValueError(f"weights must be (resamples, {scans} scans) and not negative, got shape {weights.shape}")
        rows = max(1, _BLOCK // max(scans, len(table.confidence), len(table.found)))
        blocks = [weights[row : row + rows] for row in range(0, len(weights), rows)]
        parts = [formula(table, block.astype(np.float64), *args, **kwargs) for block in blocks]
        return np.concatenate([np.zeros(0), *parts])

    return statistic


@_statistic
def sensitivity(
    table: DetectionTable, weights: NDArray[np.float64], *, size: SizeClass | None = None
) -> NDArray[np.float64]:
    """Return the share of lesions found at any confidence, of one size class or all; NaN without a lesion."""
    of_lesion = weights[:, table.lesion_scan] * (True if size is None else size.holds(table.diameter_mm))
    return _share(of_lesion @ table.found.astype(np.float64), of_lesion.sum(axis=1))


@_statistic
def precision(table: DetectionTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of counted candidates that match a lesion; NaN without a candidate."""
    of_candidate = weights[:, table.candidate_scan]
    return _share(of_candidate @ table.is_true.astype(np.float64), of_candidate.sum(axis=1))


@_statistic
def false_positives_per_scan(
    table: DetectionTable, weights: NDArray[np.float64], *, healthy: bool = False
) -> NDArray[np.float64]:
    """Return the mean number of false positives of all scans, or of scans without a lesion; NaN without scans."""
    of_scan = weights * ~table.has_lesion if healthy else weights
    false = np.bincount(table.candidate_scan[~table.is_true], minlength=len(table.score))
    return _share(of_scan @ false.astype(np.float64), of_scan.sum(axis=1))


@_statistic
def sensitivity_at(
    table: DetectionTable, weights: NDArray[np.float64], *, false_positives: float
) -> NDArray[np.float64]:
    """Return the largest sensitivity over thresholds with at most this many false positives per scan.

    A step function without interpolation between thresholds. NaN without a lesion.
    """
    true, false = _counts(table, weights)
    allowed = false <= false_positives * weights.sum(axis=1, keepdims=True) + 1e-9
    return _share(np.where(allowed, true, 0).max(axis=1, initial=0), _lesions(table, weights))


@_statistic
def average_precision(table: DetectionTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ (recallₜ − recallₜ₋₁) · precisionₜ over thresholds from the highest down; NaN without a lesion.

    Missed lesions count in recall, so it may end below 1. Equal to picai_eval's AP.
    """
    true, false = _counts(table, weights)
    gained = np.diff(true, axis=1, prepend=0)
    at_threshold = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    return _share((gained * at_threshold).sum(axis=1), _lesions(table, weights))


@_statistic
def auroc(table: DetectionTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often a scan with a lesion scores higher than one without, ties count half; NaN without both kinds.

    The area under the ROC curve, in the form of Mann and Whitney.
    """
    ill, healthy = table.score[table.has_lesion, None], table.score[~table.has_lesion]
    wins = (ill > healthy) + 0.5 * (ill == healthy)
    of_ill, of_healthy = weights[:, table.has_lesion], weights[:, ~table.has_lesion]
    return _share(((of_ill @ wins) * of_healthy).sum(axis=1), of_ill.sum(axis=1) * of_healthy.sum(axis=1))


@_statistic
def panorama_score(table: DetectionTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of average precision and AUROC, picai_eval's ``score``.

    The PANORAMA challenge ranks by the mean of a method's ranks in both.
    """
    return (average_precision(table, weights) + auroc(table, weights)) / 2


@dataclass(frozen=True, eq=False)
class Froc:
    """Free-response ROC curve, from the highest threshold down; candidates at or above it count.

    Attributes:
        thresholds: (T + 1,) +∞ and each distinct confidence.
        sensitivity: (T + 1,) share of lesions found; NaN without a lesion.
        false_positives: (T + 1,) false positives per scan.
    """

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    false_positives: NDArray[np.float64]


def froc(table: DetectionTable) -> Froc:
    """Return sensitivity against false positives per scan at every confidence threshold."""
    true, false = (np.append(0, counts) for counts in _counts(table, np.ones((1, len(table.score)))))
    thresholds = np.append(np.inf, table.confidence[table.last_of_ties])
    return Froc(thresholds, _share(true, np.full_like(true, len(table.found))), false / len(table.score))


class SizeCount(NamedTuple):
    """Numbers of lesions and of found lesions of a size class."""

    size: SizeClass
    lesions: int
    found: int


def count_by_size(table: DetectionTable) -> tuple[SizeCount, ...]:
    """Count lesions and found lesions of each class of `SIZE_CLASSES`; their ratio is `sensitivity` at that size."""
    of_size = [(size, size.holds(table.diameter_mm)) for size in SIZE_CLASSES]
    return tuple(SizeCount(size, int(held.sum()), int((held & table.found).sum())) for size, held in of_size)


def _counts(table: DetectionTable, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true and false positives at each distinct confidence from the highest down, both (R, T)."""
    of_candidate = weights[:, table.candidate_scan]
    true = np.cumsum(of_candidate * table.is_true, axis=1)[:, table.last_of_ties]
    return true, np.cumsum(of_candidate * ~table.is_true, axis=1)[:, table.last_of_ties]


def _lesions(table: DetectionTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (R,), number of lesions of the reference."""
    return weights[:, table.lesion_scan].sum(axis=1)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
