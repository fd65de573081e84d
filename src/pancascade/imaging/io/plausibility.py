"""Checks that a volume can be an abdominal CT: errors for impossible values, warnings for unusual ones."""

import math
from collections.abc import Iterator
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from pancascade.errors import NotCTError
from pancascade.imaging.io.grid_checks import require_ct_size, require_right_angles, require_spacing, slice_axis_of
from pancascade.imaging.volume import Volume, slabs
from pancascade.messages.counts import counted
from pancascade.messages.notices import Notice

# Shares of voxels are estimated on about this many voxels; minimum and maximum use all voxels.
_SAMPLE_VOX = 500_000


def require_ct(volume: Volume) -> list[Notice]:
    """Check that a volume can be searched for a pancreas.

    Args:
        volume: (I, J, K), any orientation, meant to be in HU.

    Returns:
        The notices of reading, and a warning for each unusual property that may lower the accuracy; empty for an
        ordinary scan.

    Raises:
        GeometryError: a size or spacing that no CT of an abdomen has.
        NotCTError: voxels that are not finite or cannot be Hounsfield units.
    """
    slice_axis = slice_axis_of(volume)
    in_plane = [axis for axis in range(3) if axis != slice_axis]
    require_spacing(volume)
    require_ct_size(volume, in_plane=in_plane)
    return [*require_hounsfield(volume), *_unusual_geometry(volume, in_plane=in_plane, slice_axis=slice_axis)]


def require_hounsfield(volume: Volume) -> list[Notice]:
    """Check that a volume of any size is a CT in Hounsfield units; every reader of CT uses this check.

    Args:
        volume: (I, J, K), any orientation.

    Returns:
        The notices of reading, and a warning for each unusual property of the values.

    Raises:
        GeometryError: a spacing that no CT has, or axes that are not at right angles.
        NotCTError: voxels that are not finite or cannot be Hounsfield units.
    """
    require_spacing(volume)
    require_right_angles(volume)
    low_hu, high_hu = _finite_range(volume)
    _refuse_values(volume.name, _sample(volume.voxels), low_hu=low_hu, high_hu=high_hu)
    return [*volume.notices, *_unusual_values(volume.name, low_hu=low_hu, high_hu=high_hu)]


def _finite_range(volume: Volume) -> tuple[float, float]:
    if volume.voxels.dtype.kind not in "iuf":
        raise NotCTError(
            f"{volume.name}: voxels of type {volume.voxels.dtype} are not HU. Give the CT itself.", code="labels_not_hu"
        )
    # Minimum and maximum show every NaN and infinity without a second array in memory.
    ends = [(slab.min(), slab.max()) for slab in slabs(volume.voxels)]
    low_hu, high_hu = (
        float(end(values)) for end, values in zip((np.min, np.max), zip(*ends, strict=True), strict=True)
    )
    if not (math.isfinite(low_hu) and math.isfinite(high_hu)):
        count = volume.voxels.size - int(np.count_nonzero(np.isfinite(volume.voxels)))
        raise NotCTError(
            f"{volume.name}: {count} of {volume.voxels.size} voxels are NaN or infinite. "
            "Re-export the scan, or replace them by -1024.",
            code="not_finite",
        )
    return low_hu, high_hu


def _sample(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    step = max(1, math.ceil((voxels.size / _SAMPLE_VOX) ** (1 / 3)))
    return voxels[tuple(slice((min(step, size) - 1) // 2, None, step) for size in voxels.shape)]


def _refuse_values(name: str, sample: npt.NDArray[Any], *, low_hu: float, high_hu: float) -> None:
    """Run checks from certain to likely, so that the first failure names the most exact cause."""
    found = f"{name}: voxels go from {low_hu:g} to {high_hu:g}"
    if low_hu == high_hu:
        raise NotCTError(
            f"{name}: all voxels are {low_hu:g}, there is no picture. Export the scan again.", code="no_picture"
        )
    if low_hu < -32768 or high_hu > 32767:
        raise NotCTError(f"{found}, far outside CT's -1024 to 3071 HU. Re-export the scan.", code="values_impossible")
    if low_hu >= 0 and high_hu <= 255:
        raise NotCTError(
            f"{found}: grey values or labels, not HU. Give the CT itself, not a picture or mask of it.",
            code="labels_not_hu",
        )
    # Soft tissue at 850 to 1250 is 1024 too high; in true HU this is dense bone, a few percent of voxels.
    if _share(sample, 850, 1250) > 0.1:
        raise NotCTError(
            f"{found}, and most tissue lies near 1024: the rescale intercept is missing, or this is not CT. "
            "If it is CT, subtract 1024.",
            code="rescale_missing",
        )
    if low_hu >= 0:
        raise NotCTError(
            f"{found}, none below 0, but fat and air are: this looks like MR or PET. Give a CT in HU.",
            code="looks_like_mr",
        )
    if high_hu <= 0:
        raise NotCTError(
            f"{found}, none above 0, but soft tissue is. Check the rescale intercept; give a CT in HU.",
            code="rescale_missing",
        )
    if high_hu - low_hu < 200 or float(np.std(sample, dtype=np.float64)) < 10:
        raise NotCTError(
            f"{found} with hardly any contrast: this looks normalised. Give the CT in HU.", code="normalised"
        )
    if _share(sample, -math.inf, -30) < 0.005:
        raise NotCTError(
            f"{found}, with no fat and no air (below -30): this looks like MR. Give a CT in HU.", code="looks_like_mr"
        )
    if _share(sample, -30, 250) < 0.01:
        raise NotCTError(
            f"{found}, with no soft tissue (-30 to 250). Check the rescale slope and intercept.", code="rescale_missing"
        )


def _share(sample: npt.NDArray[Any], low_hu: float, high_hu: float) -> float:
    return float(np.count_nonzero((sample >= low_hu) & (sample < high_hu)) / sample.size)


def _unusual_geometry(volume: Volume, *, in_plane: list[int], slice_axis: int) -> Iterator[Notice]:
    name, shape, spacing_mm = volume.name, volume.shape, volume.spacing_mm
    apart_mm, slices = spacing_mm[slice_axis], shape[slice_axis]
    if apart_mm > 6:
        sentence = f"{name}: slices are {apart_mm:.1f} mm apart; small lesions may fall between them."
        yield Notice(code="thick_slices", about="input", sentence=sentence, values={"apart_mm": round(apart_mm, 3)})
    if slices < 10:
        sentence = f"{name}: only {counted(slices, 'slice')}; the pancreas may not be covered."
        yield Notice(code="few_slices", about="input", sentence=sentence, values={"slices": slices})
    first_mm, second_mm = (spacing_mm[axis] for axis in in_plane)
    if max(first_mm, second_mm) > 1.2 * min(first_mm, second_mm):
        yield Notice(
            code="pixels_not_square",
            about="input",
            sentence=f"{name}: pixels are not square ({first_mm:.2f} by {second_mm:.2f} mm); "
            "the picture may have been stretched.",
            values={"first_mm": round(first_mm, 3), "second_mm": round(second_mm, 3)},
        )
    turned_degrees = float(np.degrees(nib.affines.obliquity(volume.affine).max()))
    if turned_degrees > 20:
        yield Notice(
            code="grid_turned",
            about="input",
            sentence=f"{name}: the grid is rotated by {turned_degrees:.0f} degrees; training scans were not.",
            values={"turned_degrees": round(turned_degrees, 1)},
        )
    yield from (notice for axis in in_plane for notice in _narrow(volume, axis))


def _narrow(volume: Volume, axis: int) -> Iterator[Notice]:
    across = abs(volume.affine[0, axis]) > abs(volume.affine[1, axis])
    extent_mm = volume.shape[axis] * volume.spacing_mm[axis]
    # Many scans are cropped to the skin, and a slim body is under 250 mm from front to back.
    if extent_mm < (250 if across else 150):
        direction = "from left to right" if across else "from front to back"
        yield Notice(
            code="narrow_field",
            about="input",
            sentence=f"{volume.name}: only {extent_mm:.0f} mm {direction}; part of the body may be cut off.",
            values={"extent_mm": round(extent_mm, 1), "direction": direction},
        )


def _unusual_values(name: str, *, low_hu: float, high_hu: float) -> Iterator[Notice]:
    values: dict[str, float | int | str] = {"low_hu": low_hu, "high_hu": high_hu}
    if low_hu >= -300:
        sentence = f"{name}: nothing below {low_hu:g} HU, so no air; the scan may be windowed or cropped tightly."
        yield Notice(code="no_air", about="input", sentence=sentence, values=values)
    if low_hu < -4096 or high_hu > 20000:
        sentence = f"{name}: values from {low_hu:g} to {high_hu:g} HU; check for metal or padding."
        yield Notice(code="extreme_values", about="input", sentence=sentence, values=values)
    if high_hu < 200:
        sentence = f"{name}: nothing above {high_hu:g} HU, so no bone; the scan may be windowed."
        yield Notice(code="no_bone", about="input", sentence=sentence, values=values)
