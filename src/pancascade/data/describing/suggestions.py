"""Suggestions for a recipe from a data set's fingerprint, beside values of papers and shipped recipes."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.data.describing.case_fingerprint import CaseFingerprint, Tissue
from pancascade.data.describing.hu_histogram import TissueHu
from pancascade.files.yaml_documents import read_yaml
from pancascade.settings import Settings

REGION_MARGIN_VOX = 10
"""Margin around the pancreas in voxels on every side, as in Zhao et al. 2019."""


class Suggestion(Settings):
    """A suggested value to try, not a rule.

    Attributes:
        what: Purpose of the value.
        recipe_key: Key in a recipe; None if recipes have no such key.
        numbers: The suggested numbers.
        text: The suggestion as text.
        why: How it was computed.
        published: Published values.
        caution: Reason for caution with these cases, if any.
    """

    what: str
    recipe_key: str | None
    numbers: tuple[float, ...]
    text: str
    why: str
    published: str
    caution: str | None = None


class CropFit(Settings):
    """Fit of a recipe's crop to the data set.

    The input of stage 2 is the box of stage 1 with its margin, resized to the crop size; a larger box loses
    resolution. Here the reference pancreas replaces stage 1's box, in the slice where it is largest.

    Attributes:
        recipe: Name of a shipped recipe.
        canvas_spacing_mm: Pixel spacing of its canvas; None keeps the scan's own pixels.
        margin: Margin in pixels on every side of the box.
        crop_size: Height and width, pixels.
        share_held: Share of the cases whose box needs no shrinking.
        holds_95_percent: Height and width that contain 95 % of the cases along each axis, in multiples of 16.
        holds_all: Height and width that contain every case, in multiples of 16.
    """

    recipe: str
    canvas_spacing_mm: float | None
    margin: int
    crop_size: tuple[int, int]
    share_held: float
    holds_95_percent: tuple[int, int]
    holds_all: tuple[int, int]


def suggest(cases: Sequence[CaseFingerprint], hu: Mapping[Tissue, TissueHu]) -> tuple[Suggestion, ...]:
    """Return suggestions for window, normalisation, spacing and region.

    Args:
        cases: At least one case.
        hu: Hounsfield units pooled over the cases.
    """
    found = [_window(cases, hu), _normalisation(hu), _spacing(cases), _region(cases)]
    return tuple(suggestion for suggestion in found if suggestion is not None)


def fit_crops(cases: Sequence[CaseFingerprint]) -> tuple[CropFit, ...]:
    """Return the fit of the shipped recipes' crops to the cases; empty if no case has a pancreas."""
    outlined = [case for case in cases if case.slice_box_vox is not None]
    return tuple(_fit(outlined, **crop) for crop in _shipped_crops()) if outlined else ()


def _window(cases: Sequence[CaseFingerprint], hu: Mapping[Tissue, TissueHu]) -> Suggestion | None:
    if Tissue.PANCREAS not in hu:
        return None
    organ = hu[Tissue.PANCREAS].statistics
    low, high = organ.p0_5_hu, organ.p99_5_hu
    cut = sum(_is_cut(case) for case in cases)
    caution = (
        f"{cut} of {len(cases)} cases were stored with a window that cuts off a part of the pancreas: "
        "the true percentiles lie farther out."
    )
    return Suggestion(
        what="window",
        recipe_key="canvas.window",
        numbers=(low, high),
        text=f"{{lower_hu: {low:.0f}, upper_hu: {high:.0f}}}",
        why="0.5th and 99.5th percentile of the pancreas with tumour, with equal weight of each case.",
        published="−96 to 215 HU (nnU-Net, MSD); −87 to 199 HU (MONAI DiNTS, MSD); −100 to 240 HU (recipes here; "
        "Qiu et al. and Zhao et al. do not state theirs)",
        caution=caution if cut else None,
    )


def _is_cut(case: CaseFingerprint) -> bool:
    """Return whether the lowest or highest 0.5 % of the pancreas has the minimum or maximum value of the file."""
    scan, organ = case.hu.get(Tissue.SCAN), case.hu.get(Tissue.PANCREAS)
    if scan is None or organ is None:
        return False
    return organ.p0_5_hu <= round(scan.minimum_hu) or organ.p99_5_hu >= round(scan.maximum_hu)


def _normalisation(hu: Mapping[Tissue, TissueHu]) -> Suggestion | None:
    if Tissue.PANCREAS not in hu:
        return None
    organ = hu[Tissue.PANCREAS].statistics
    return Suggestion(
        what="mean and standard deviation",
        recipe_key=None,
        numbers=(organ.mean_hu, organ.sd_hu),
        text=f"{organ.mean_hu:.2f} and {organ.sd_hu:.2f} HU".replace("-", "−"),
        why="Of the pancreas with tumour, with equal weight of each case; for networks that take normalised HU.",
        published="77.99 and 75.40 HU (nnU-Net, MSD)",
    )


def _spacing(cases: Sequence[CaseFingerprint]) -> Suggestion | None:
    known = [(*case.pixel_mm, case.slice_distance_mm) for case in cases if case.pixel_mm is not None]
    if not known:
        return None
    pixels = np.median([spacing[:2] for spacing in known], axis=0)
    distances = [spacing[2] for spacing in known if spacing[2] is not None]
    median = (*pixels.tolist(), *([float(np.median(distances))] if distances else []))
    return Suggestion(
        what="spacing",
        recipe_key="canvas.spacing_mm",
        numbers=median,
        text=f"{median[0]:.3g} mm" + (f" (3-D: {_spelled_mm(median)})" if distances else ""),
        why="Median of the cases" + (" (right to left × front to back × feet to head)." if distances else "."),
        published="0.8 × 0.8 × 2.5 mm (nnU-Net and MONAI, MSD)",
    )


def _region(cases: Sequence[CaseFingerprint]) -> Suggestion | None:
    boxes = [case.box_vox for case in cases if case.box_vox is not None and case.slice_distance_mm is not None]
    if not boxes:
        return None
    sizes = np.array(boxes) + 2 * REGION_MARGIN_VOX
    most, all_held = np.percentile(sizes, 95, axis=0, method="higher"), sizes.max(axis=0)
    return Suggestion(
        what="region of a 3-D stage 2",
        recipe_key=None,
        numbers=tuple(most.astype(float).tolist()),
        text=f"{_times(most)} voxels hold 95\u00a0%, {_times(all_held)} hold all",
        why=f"Box of the pancreas on the scans' own voxels with {REGION_MARGIN_VOX} on every side, right to left × "
        "front to back × feet to head.",
        published="the box with 10 voxels on every side, of any size (Zhao et al. 2019)",
    )


def _fit(
    cases: Sequence[CaseFingerprint],
    *,
    recipe: str,
    spacing_mm: float | None,
    assumed_mm: float,
    margin: int,
    crop_size: tuple[int, int],
) -> CropFit:
    needed = np.array([_needed(case, spacing_mm, assumed_mm) for case in cases]) + 2 * margin
    return CropFit(
        recipe=recipe,
        canvas_spacing_mm=spacing_mm,
        margin=margin,
        crop_size=crop_size,
        share_held=float((needed <= np.array(crop_size)).all(axis=1).mean()),
        holds_95_percent=_up_to_16(np.percentile(needed, 95, axis=0, method="higher")),
        holds_all=_up_to_16(needed.max(axis=0)),
    )


def _needed(case: CaseFingerprint, spacing_mm: float | None, assumed_mm: float) -> tuple[int, int]:
    """Return height and width in pixels of a case's largest slice box on a canvas."""
    width, height = case.slice_box_vox or (0, 0)
    if spacing_mm is None:
        return height, width
    across_mm, down_mm = case.pixel_mm or (assumed_mm, assumed_mm)
    # 32 mm at a float32 spacing of 0.8 mm must be 40 pixels, not 41.
    return math.ceil(height * down_mm / spacing_mm - 1e-6), math.ceil(width * across_mm / spacing_mm - 1e-6)


@cache
def _shipped_crops() -> list[dict[str, Any]]:
    """Return canvas, margin and crop of the shipped recipes that have a crop."""
    folder = Path(str(files("pancascade"))) / "recipes"
    recipes = {path.stem: read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
    return [
        {
            "recipe": name,
            "spacing_mm": recipe["canvas"].get("spacing_mm"),
            "assumed_mm": recipe["canvas"].get("assumed_spacing_mm", 0.8),
            "margin": recipe["cascade"]["margin"],
            "crop_size": tuple(recipe["cascade"]["crop_size"]),
        }
        for name, recipe in recipes.items()
        if {"margin", "crop_size"} <= recipe["cascade"].keys()
    ]


def _up_to_16(size: NDArray[Any]) -> tuple[int, int]:
    height, width = (16 * math.ceil(side / 16) for side in size.tolist())
    return height, width


def _spelled_mm(spacing_mm: Sequence[float]) -> str:
    return " × ".join(f"{spacing:.3g}" for spacing in spacing_mm) + " mm"


def _times(numbers: NDArray[Any]) -> str:
    return " × ".join(f"{number:.0f}" for number in numbers.tolist())
