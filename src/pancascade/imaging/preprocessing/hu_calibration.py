"""Check that air, fat and muscle have their usual Hounsfield units.

A slope that was applied twice or not at all, or a wrong intercept, leaves an image that looks like CT but has wrong
values. The histogram peaks of the three tissues show it. The limits were chosen on eight scans: fat peaks at -105 to
-75, muscle or liver at 25 to 115. A scan without clear peaks is not judged.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pancascade.imaging.volume import Volume, sampled
from pancascade.messages.notices import Notice

SAMPLE_MM = 4.0
AIR_HU, FAT_HU, MUSCLE_HU = -1000, -100, 50

_RANGE_HU = (-3500, 1500)
_STEP_HU = 5
_SMOOTH_HU = 12.0
_TISSUE_HU = (-350, 450)
# Least height of a tissue peak against the highest one; a lower peak is a vessel, the gut, or noise.
_PROMINENT = 0.15
_BROKEN_HU = 40
_AIR_SHARE = 0.002
_AIR_WIDTH_HU = 50
_BESIDE = 0.4

_FAT_OF_SCALE = (-120.0, -80.0)
_SCALES = ((0.4, 0.75), (1.35, 2.6))
_LEAST_OFFSET_HU = 60.0
_AIR_AGREES_HU = 45.0
_APART_HU = (90.0, 205.0)
# Fat and muscle so far apart, and fat so low, cannot be HU at any value of air; air may have been cut off at -1024.
_DOUBLE_FAT_HU, _DOUBLE_APART_HU = (-270.0, -150.0), 230.0


class TissuePeaks(NamedTuple):
    """HU at which each tissue peaks in the histogram of a scan; None without a clear peak."""

    air: float | None
    fat: float | None
    muscle: float | None


def hu_calibration(scan: Volume, *, scan_name: str) -> list[Notice]:
    """Return a warning if the values of a scan are not calibrated Hounsfield units.

    Args:
        scan: (I, J, K), finite, any orientation.
        scan_name: Starts the sentence.

    Returns:
        One warning ``hu_uncalibrated``, or nothing.
    """
    steps = tuple(max(1, round(SAMPLE_MM / spacing)) for spacing in scan.spacing_mm)
    values = sampled(scan.voxels, steps).ravel()
    peaks = tissue_peaks(values)
    reason = _wrong(peaks, values)
    if reason is None or peaks.fat is None or peaks.muscle is None:
        return []
    found = [(name, peak) for name, peak in zip(peaks._fields, peaks, strict=True) if peak is not None]
    places = ", ".join(f"{name} at {peak:.0f}" for name, peak in found)
    usual = ", ".join(str({"air": AIR_HU, "fat": FAT_HU, "muscle": MUSCLE_HU}[name]) for name, _ in found)
    return [
        Notice(
            code="hu_uncalibrated",
            about="input",
            sentence=f"{scan_name}: {places}, in HU near {usual}: the values {reason}. Export the scan again.",
            values={f"{name}_hu": round(peak) for name, peak in found},
        )
    ]


def tissue_peaks(values: npt.NDArray[Any]) -> TissuePeaks:
    """Return the peaks of air, fat and muscle among the voxels of a scan, identified by their order from low to high.

    Args:
        values: Any shape; voxels of a scan.
    """
    edges = np.arange(_RANGE_HU[0], _RANGE_HU[1] + _STEP_HU, _STEP_HU)
    counts = ndimage.gaussian_filter1d(np.histogram(values, edges)[0].astype(np.float64), _SMOOTH_HU / _STEP_HU)
    middles = edges[:-1] + _STEP_HU / 2
    inner = counts[1:-1]
    tops = 1 + np.flatnonzero((inner > counts[:-2]) & (inner >= counts[2:]) & (inner > 0))
    tissue = tops[(middles[tops] > _TISSUE_HU[0]) & (middles[tops] < _TISSUE_HU[1])]
    if tissue.size:
        tissue = tissue[counts[tissue] >= _PROMINENT * counts[tissue].max()]
    air = tops[(middles[tops] <= _TISSUE_HU[0]) & (counts[tops] >= _AIR_SHARE * counts.sum())]
    # Values stored in coarse steps break one peak into several.
    fat = _highest(tissue[middles[tissue] < middles[tissue].min(initial=np.inf) + _BROKEN_HU], counts)
    if fat is None:
        return TissuePeaks(None, None, None)
    muscle = _highest(tissue[middles[tissue] >= middles[fat] + _BROKEN_HU], counts)
    return TissuePeaks(
        *(None if peak is None else float(middles[peak]) for peak in (_highest(air, counts), fat, muscle))
    )


def _highest(tops: npt.NDArray[np.intp], counts: npt.NDArray[np.float64]) -> int | None:
    return int(tops[counts[tops].argmax()]) if tops.size else None


def _wrong(peaks: TissuePeaks, values: npt.NDArray[Any]) -> str | None:
    """Return what is wrong with the values if they are certainly not HU, else None."""
    air, fat, muscle = peaks
    if fat is None or muscle is None:
        return None
    if air is not None and _is_air(air, values):
        reason = _by_air(air, fat, muscle)
        if reason is not None:
            return reason
    if _within(fat, _DOUBLE_FAT_HU) and muscle > 0 and muscle - fat >= _DOUBLE_APART_HU:
        return "look doubled (rescale slope)"
    return None


def _by_air(air: float, fat: float, muscle: float) -> str | None:
    """Return the wrong slope or intercept that explains all three peaks, else None."""
    scale, offset = air / AIR_HU, fat - FAT_HU
    if (
        any(_within(scale, limits) for limits in _SCALES)
        and _within(fat / scale, _FAT_OF_SCALE)
        and _within((muscle - fat) / scale, _APART_HU)
    ):
        return (
            "look doubled (rescale slope)"
            if round(scale, 1) == 2
            else f"look multiplied by {scale:.1f} (rescale slope)"
        )
    if (
        abs(offset) >= _LEAST_OFFSET_HU
        and abs(offset - (air - AIR_HU)) <= _AIR_AGREES_HU
        and _within(muscle - fat, _APART_HU)
    ):
        return f"look about {abs(offset):.0f} too {'high' if offset > 0 else 'low'} (rescale intercept)"
    return None


def _is_air(peak: float, values: npt.NDArray[Any]) -> bool:
    """Return whether a peak is rescaled air, and neither lung nor padding beside true air."""
    there = _share(values, peak - _AIR_WIDTH_HU, peak + _AIR_WIDTH_HU)
    true = _share(values, AIR_HU - _AIR_WIDTH_HU, AIR_HU + _AIR_WIDTH_HU)
    if peak < AIR_HU:
        return true <= _BESIDE * there
        # Nothing lies between -1000 HU and a rescaled air peak above it; beside a lung peak true air does.
    return _share(values, AIR_HU - _AIR_WIDTH_HU, peak - _AIR_WIDTH_HU) <= _AIR_SHARE


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _share(values: npt.NDArray[Any], low_hu: float, high_hu: float) -> float:
    return float(np.count_nonzero((values >= low_hu) & (values <= high_hu)) / max(1, values.size))
