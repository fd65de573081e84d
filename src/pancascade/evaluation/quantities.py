"""Metrics of a target: names, titles, best direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        key: Name in files.
        title: Title in tables.
        best: Direction that is better; ``zero`` for signed errors.
    """

    key: str
    title: str
    best: Literal["high", "low", "zero"] = "high"


_METRICS = (
    Metric("dice", "Dice"),
    Metric("iou", "IoU"),
    Metric("sensitivity", "sensitivity"),
    Metric("specificity", "specificity"),
    Metric("precision", "precision"),
    Metric("hd95_mm", "HD95 [mm]", best="low"),
    Metric("hd_mm", "HD [mm]", best="low"),
    Metric("assd_mm", "ASSD [mm]", best="low"),
    Metric("volume_error", "relative volume error", best="zero"),
    Metric("volume_error_ml", "volume error [mL]", best="zero"),
    Metric("absolute_volume_error_ml", "absolute volume error [mL]", best="low"),
    Metric("box_recall", "box recall"),
    Metric("box_iou", "box IoU"),
)


def metrics_at(tolerances_mm: Sequence[float]) -> dict[str, Metric]:
    """Return all metrics by key; normalised surface Dice has one for each tolerance."""
    surface = [Metric(f"nsd_{tolerance:g}mm", f"NSD {tolerance:g} mm") for tolerance in tolerances_mm]
    return {metric.key: metric for metric in (*_METRICS, *surface)}
