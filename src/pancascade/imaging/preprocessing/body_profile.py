"""Measurements of the body per axial slice on a coarse grid, which distinguish chest, abdomen and pelvis."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pancascade.imaging.preprocessing.patient_box import AIR_HU
from pancascade.imaging.volume import Volume, sampled

STRIDE_MM = 5.0
LUNG_HU = (-950, -500)
"""Between gas in the gut, which is less dense, and fat."""
FAT_HU = (-150, -30)
BONE_HU = 250
METAL_HU = 3000
SOLID_HU = (30, 200)
SOLID_RADIUS_MM = 25.0
"""Only the liver, the heart and a large spleen are this thick."""
PIECE_MM2 = 2000.0
"""A smaller component of a slice is a finger, a tube, or noise."""

_CROSS = ndimage.generate_binary_structure(2, 1)
_PARTS_SHARE = 0.25
_TABLE_VOX = 3

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BodyProfile:
    """Measurements of each sampled axial slice, from the lowest to the highest; 0 where a slice shows no body.

    Attributes:
        step_mm: Distance from one sampled slice to the next.
        area_mm2: (N,) area inside the outline of the body, with the air in it.
        width_mm: (N,) width of the outline, left to right.
        depth_mm: (N,) depth of the outline, front to back.
        lung_share: (N,) share of the outline with the density of lung.
        bone_share: (N,) share of the outline that is bone.
        fat_share: (N,) share of the outline that is fat.
        bone_behind_mm: (N,) distance of the bone's centre behind the outline's; negative: in front; NaN: no bone.
        liver_right_mm2: (N,) area of thick solid tissue on the patient's right, less that on the left.
        second_share: (N,) area of the body's second largest component against the largest: 0 in a trunk, 1 in legs.
        arms: (N,) number of components to the left or right of the body that are as thick as an arm.
        cut_share: (N,) share of the body's width or depth that an edge of the image cuts off; the worst of four edges.
        table_behind_mm: (N,) distance behind the body's centre of thin dense objects outside it, mainly the table;
            NaN: none.
        table_left_mm: (N,) distance of the same objects to the patient's left.
        metal_share: Share of the whole body above 3000 HU.
    """

    step_mm: float
    area_mm2: Numbers
    width_mm: Numbers
    depth_mm: Numbers
    lung_share: Numbers
    bone_share: Numbers
    fat_share: Numbers
    bone_behind_mm: Numbers
    liver_right_mm2: Numbers
    second_share: Numbers
    arms: Numbers
    cut_share: Numbers
    table_behind_mm: Numbers
    table_left_mm: Numbers
    metal_share: float


def body_profile(scan_lps: Volume) -> BodyProfile:
    """Measure a body slice by slice on a grid of about 5 mm.

    The body is the largest connected component denser than `AIR_HU` after an opening, as in `patient_box`. Components
    of at least a quarter of its size (the other leg) and the enclosed air belong to it.

    Args:
        scan_lps: (I, J, K) Hounsfield units, axes to the left, to the back and upwards (LPS).
    """
    steps = tuple(max(1, round(STRIDE_MM / spacing)) for spacing in scan_lps.spacing_mm)
    hu = sampled(scan_lps.voxels, steps)
    across_mm, deep_mm, step_mm = (spacing * step for spacing, step in zip(scan_lps.spacing_mm, steps, strict=True))
    dense = hu > AIR_HU
    thick = ndimage.binary_opening(dense, structure=_CROSS[..., None])
    body = _largest_parts(thick)
    rows = [
        _slice_numbers(hu[..., k], dense[..., k], thick[..., k], body[..., k], pixel_mm=(across_mm, deep_mm))
        for k in range(hu.shape[2])
    ]
    return BodyProfile(
        step_mm=step_mm,
        metal_share=float(_count((hu > METAL_HU) & body) / max(1, _count(body))),
        **{name: np.array([row[name] for row in rows], np.float64) for name in rows[0]},
    )


def _largest_parts(thick: Mask) -> Mask:
    pieces, count = ndimage.label(thick)
    if count == 0:
        return np.zeros(thick.shape, np.bool_)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _PARTS_SHARE * sizes.max())[pieces])


def _slice_numbers(
    hu: npt.NDArray[Any], dense: Mask, thick: Mask, body: Mask, *, pixel_mm: tuple[float, float]
) -> dict[str, float]:
    """Return all measurements of one slice; every array is (I, J)."""
    outline = _filled(body)
    across_mm, deep_mm = pixel_mm
    pixels = _count(outline)
    centre = _centre(outline)
    bone = (hu > BONE_HU) & outline
    sizes = np.sort(np.bincount(ndimage.label(body)[0].ravel())[1:])[::-1]
    table = dense & ~thick & ~ndimage.binary_dilation(outline, iterations=2)
    seen = pixels > 0 and _count(table) >= _TABLE_VOX
    to_table = _centre(table) - centre if seen else np.full(2, np.nan)
    return {
        "area_mm2": float(pixels) * across_mm * deep_mm,
        "width_mm": _extent(outline, axis=0) * across_mm,
        "depth_mm": _extent(outline, axis=1) * deep_mm,
        "lung_share": _share(hu, LUNG_HU, outline),
        "bone_share": _count(bone) / max(1, pixels),
        "fat_share": _share(hu, FAT_HU, outline),
        "bone_behind_mm": float((_centre(bone) - centre)[1] * deep_mm),
        "liver_right_mm2": _more_on_the_right(hu, outline, pixel_mm=min(pixel_mm)) * across_mm * deep_mm,
        "second_share": float(sizes[1] / sizes[0]) if len(sizes) > 1 else 0.0,
        "arms": float(_arms(thick & ~body, outline, least_vox=PIECE_MM2 / (across_mm * deep_mm))),
        "cut_share": _cut_share_of(outline),
        "table_left_mm": float(to_table[0] * across_mm),
        "table_behind_mm": float(to_table[1] * deep_mm),
    }


def _filled(body: Mask) -> Mask:
    """Return the body with its air; gaps in a thin chest wall are closed before holes are filled."""
    closed = ndimage.binary_closing(np.pad(body, 4), structure=_CROSS, iterations=3)
    return np.asarray(ndimage.binary_fill_holes(closed)[4:-4, 4:-4] | body)


def _share(hu: npt.NDArray[Any], limits_hu: tuple[int, int], outline: Mask) -> float:
    found = (hu > limits_hu[0]) & (hu < limits_hu[1]) & outline
    return _count(found) / max(1, _count(outline))


def _centre(mask: Mask) -> Numbers:
    """Return the mean (i, j) of the mask; NaN if it is empty."""
    places = np.argwhere(mask)
    return places.mean(axis=0) if len(places) else np.full(2, np.nan)


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _extent(outline: Mask, *, axis: int) -> int:
    places = np.flatnonzero(outline.any(axis=1 - axis))
    return int(places[-1] - places[0] + 1) if places.size else 0


def _cut_share_of(outline: Mask) -> float:
    width, depth = (max(1, _count(np.asarray(outline.any(axis=axis)))) for axis in (1, 0))
    aside = max(_count(outline[edge]) for edge in (0, -1)) / depth
    before = max(_count(outline[:, edge]) for edge in (0, -1)) / width
    return max(aside, before)


def _more_on_the_right(hu: npt.NDArray[Any], outline: Mask, *, pixel_mm: float) -> int:
    places = np.flatnonzero(outline.any(axis=1))
    if not places.size:
        return 0
    smooth = ndimage.uniform_filter(hu.astype(np.float32), 3)
    solid = (smooth > SOLID_HU[0]) & (smooth < SOLID_HU[1]) & outline
    solid = ndimage.binary_opening(solid, structure=_CROSS, iterations=max(1, round(SOLID_RADIUS_MM / pixel_mm)))
    middle = int(places[0] + places[-1] + 1) // 2
    return _count(solid[:middle]) - _count(solid[middle:])


def _arms(beside: Mask, outline: Mask, *, least_vox: float) -> int:
    """Count thick components of a slice whose centre lies to the left or right of the body."""
    if not (outline.any() and beside.any()):
        return 0
    pieces, count = ndimage.label(beside)
    across, deep = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(outline.any(axis=0))
    found = 0
    for number in range(1, count + 1):
        piece = pieces == number
        i, j = _centre(piece)
        aside = (i < across[0] or i > across[-1]) and deep[0] <= j <= deep[-1]
        found += bool(aside and _count(piece) >= least_vox)
    return found
