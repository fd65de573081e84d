"""Whether air, fat and muscle lie where Hounsfield units put them.

A slope that was applied twice or not at all, or a wrong intercept, leaves a picture that looks like CT and measures
wrongly. The peaks of the three tissues show it. The limits were chosen on eight scans, of which fat peaks at -105 to
-75 and muscle or liver at 25 to 115; a scan without clear peaks is not judged.
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
# A peak of tissue, against the highest one; less is a vessel, the gut, or noise.
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
# Fat and muscle so far apart, and fat so dark, is no HU, wherever air lies: it may have been cut off at -1024.
_DOUBLE_FAT_HU, _DOUBLE_APART_HU = (-270.0, -150.0), 230.0


class TissuePeaks(NamedTuple):
    """Where tissues peak in a histogram of voxels; None where there is no clear peak."""

    air: float | None
    fat: float | None
    muscle: float | None


def hu_calibration(scan: Volume, *, scan_name: str) -> list[Notice]:
    """What speaks against the Hounsfield units of a scan.

    Args:
        scan: (I, J, K), finite, any orientation.
        scan_name: Begins the sentence.

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
    """Peaks of air, fat and muscle among the voxels of a scan, by their order alone, not by their place.

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
    # Values stored in steps break one peak into several.
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
    """What the values look like, if they are surely no HU."""
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
    """What one slope, or one intercept, would put all three tissues there."""
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
    """Whether a peak is what air became, and neither lung nor padding beside true air."""
    there = _share(values, peak - _AIR_WIDTH_HU, peak + _AIR_WIDTH_HU)
    true = _share(values, AIR_HU - _AIR_WIDTH_HU, AIR_HU + _AIR_WIDTH_HU)
    if peak < AIR_HU:
        return true <= _BESIDE * there
    # Between the place of air and air itself nothing lies; above it lung does.
    return _share(values, AIR_HU - _AIR_WIDTH_HU, peak - _AIR_WIDTH_HU) <= _AIR_SHARE


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _share(values: npt.NDArray[Any], low_hu: float, high_hu: float) -> float:
    return float(np.count_nonzero((values >= low_hu) & (values <= high_hu)) / max(1, values.size))
