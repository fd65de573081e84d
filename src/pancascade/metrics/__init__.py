"""Metrics that compare a prediction with its reference."""

from pancascade.metrics.bootstrap import Interval, Resamples, patient_bootstrap
from pancascade.metrics.boxes import BoxOverlap, Region, box_overlap
from pancascade.metrics.confusion import RATIOS, Confusion, confusion, confusion_by_slice
from pancascade.metrics.detection import DetectedLesion, ScanDetections, detect
from pancascade.metrics.detection_statistics import DetectionTable
from pancascade.metrics.paired import PairedComparison, compare_all, compare_pair, holm
from pancascade.metrics.ranking import MethodRank, rank_methods
from pancascade.metrics.surface import SurfaceDefinition, SurfaceDistances, surface_distances

__all__ = [
    "RATIOS",
    "BoxOverlap",
    "Confusion",
    "DetectedLesion",
    "DetectionTable",
    "Interval",
    "MethodRank",
    "PairedComparison",
    "Region",
    "Resamples",
    "ScanDetections",
    "SurfaceDefinition",
    "SurfaceDistances",
    "box_overlap",
    "compare_all",
    "compare_pair",
    "confusion",
    "confusion_by_slice",
    "detect",
    "holm",
    "patient_bootstrap",
    "rank_methods",
    "surface_distances",
]
