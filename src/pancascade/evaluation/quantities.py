"""Metrics of a target: names, titles, best direction, and values of surface distances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pancascade.metrics import SurfaceDistances


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        key: Name in files.
        title: Title in tables.
        best: Direction that is better; ``zero`` for signed errors.
        distance: Function that returns a surface metric in mm from a scan's surface distances; None for metrics of
            counts. `pancascade.metrics.RATIOS` has the ratios of counts under the metric's key.
    """

    key: str
    title: str
    best: Literal["high", "low", "zero"] = "high"
    distance: Callable[[SurfaceDistances], float] | None = None


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("dice", "Dice"),
        Metric("iou", "IoU"),
        Metric("sensitivity", "sensitivity"),
        Metric("specificity", "specificity"),
        Metric("precision", "precision"),
        Metric("hd95_mm", "HD95 [mm]", best="low", distance=lambda found: found.hausdorff_mm(95)),
        Metric("hd_mm", "HD [mm]", best="low", distance=lambda found: found.hausdorff_mm(100)),
        Metric("assd_mm", "ASSD [mm]", best="low", distance=lambda found: found.average_mm),
        Metric("volume_error", "relative volume error", best="zero"),
        Metric("volume_error_ml", "volume error [mL]", best="zero"),
        Metric("absolute_volume_error_ml", "absolute volume error [mL]", best="low"),
        Metric("box_recall", "box recall"),
        Metric("box_iou", "box IoU"),
    )
}
"""All metrics except normalised surface Dice (one per tolerance of the protocol), by key, in table order."""


def metrics_at(tolerances_mm: Sequence[float]) -> dict[str, Metric]:
    """Return all metrics by key; normalised surface Dice has one for each tolerance."""
    surface = [Metric(f"nsd_{tolerance:g}mm", f"NSD {tolerance:g} mm") for tolerance in tolerances_mm]
    return METRICS | {metric.key: metric for metric in surface}


def distances_of(found: SurfaceDistances) -> dict[str, float]:
    """Return each surface metric in mm, by key.

    Args:
        found: Surface distances of two masks that are not empty.
    """
    return {key: metric.distance(found) for key, metric in METRICS.items() if metric.distance is not None}
