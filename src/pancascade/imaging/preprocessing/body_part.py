"""Checks of the body part: whether a scan can show the pancreas, and where it ends.

The limits were chosen on few scans (four abdomens, one pelvis with the thighs, and regions cropped from them), so only
clear cases are reported. Each limit has its measured values beside it.
"""

from collections.abc import Iterator

import numpy as np

from pancascade.errors import NotCTError
from pancascade.imaging.preprocessing.body_profile import BodyProfile, Numbers
from pancascade.messages.notices import Notice

WHOLE_SECTION_CUT = 0.6
"""Middle slice: 0 to 0.19 in scans of the whole section, 0.86 to 1 in regions and halves of a body."""

LUNG_SHARE = 0.04
"""Slices without lung have up to 0.031 (edges of gas, contents of the bowel); 20 mm above the base it is 0.1."""

LUNG_FROM_MM = 12.0
"""A shorter run of lung slices is something else."""

CHEST_SHARE = 0.2
"""Reached from 30 mm above the lung base upwards; the pancreas lies 15 to 105 mm below the base."""

HEAD_BONE_SHARE, HEAD_MM2 = 0.12, 35_000
"""The bone share of abdomens, also the smallest, is 0.008 to 0.045; a head lies within 35 000 mm²."""

LEGS_SHARE = 0.4
NO_BODY_MM2 = 4_000

PELVIS_BEHIND_MM = (-20.0, 12.0)
"""Bone behind the body's centre, median of the slices: -1 in a pelvis, 30 to 52 in abdomens, below -30 if flipped."""

BELOW_LUNG_MM = 60.0
"""In the measured scans the pancreas ends 66 to 105 mm below the base of the lungs."""

LEAST_HEIGHT_MM = 60.0
SCORED_HEIGHT_MM = 150.0
"""A shorter stack may have been cropped to the pancreas."""


def is_whole_section(profile: BodyProfile) -> bool:
    """Return whether slices show the body from skin to skin; a cropped region cannot be judged by its shape."""
    return bool(np.median(profile.cut_share) < WHOLE_SECTION_CUT)


def lung_base_mm(lung_share: Numbers, *, step_mm: float) -> float | None:
    """Return the height of the base of the lungs above the first slice; None without lung.

    Args:
        lung_share: (N,) share of lung in the slices of a profile, from the lowest slice.
        step_mm: Distance from one slice to the next.
    """
    run = max(1, round(LUNG_FROM_MM / step_mm))
    lung = lung_share >= LUNG_SHARE
    for place in range(len(lung) - run + 1):
        if lung[place : place + run].all():
            return place * step_mm
    return None


def refuse_no_abdomen(profile: BodyProfile, *, scan_name: str) -> None:
    """Refuse a scan that certainly shows no abdomen; cropped regions always pass.

    Args:
        profile: Profile of the LPS scan.
        scan_name: Starts the sentence.

    Raises:
        NotCTError: no body, only the chest, the head, or the legs; its code is ``no_body`` or ``no_abdomen``.
    """
    if not is_whole_section(profile):
        return
    largest_mm2 = float(profile.area_mm2.max())
    if largest_mm2 < NO_BODY_MM2:
        raise NotCTError(
            f"{scan_name}: the largest thing in it is {largest_mm2 / 100:.0f} cm² in any slice, there is no body. "
            "Give a CT of the abdomen.",
            code="no_body",
        )
    shown = _only(profile)
    if shown is not None:
        raise NotCTError(f"{scan_name}: {shown}, not the abdomen. Give a CT of the abdomen.", code="no_abdomen")


def _only(profile: BodyProfile) -> str | None:
    """Return what all slices show if it is certainly no abdomen, else None."""
    if len(profile.area_mm2) * profile.step_mm < LEAST_HEIGHT_MM:
        return None
    lung, bone = float(np.quantile(profile.lung_share, 0.05)), float(profile.bone_share.mean())
    if lung >= CHEST_SHARE:
        return f"lungs fill at least {100 * lung:.0f} % of the body in every slice; this is the chest"
    if bone > HEAD_BONE_SHARE and profile.area_mm2.max() < HEAD_MM2:
        return f"{100 * bone:.0f} % of a small body is bone; this looks like the head or a limb"
    two = float(np.mean(profile.second_share >= LEGS_SHARE))
    if two > 0.9 and lung_base_mm(profile.lung_share, step_mm=profile.step_mm) is None:
        return f"{100 * two:.0f} % of the slices show two separate parts; these look like the legs"
    return None


def coverage(profile: BodyProfile, *, scan_name: str) -> Iterator[Notice]:
    """Yield a notice if part of the pancreas may lie beyond an end of the scan.

    Args:
        profile: Profile of the LPS scan, not upside down.
        scan_name: Starts each sentence.

    Yields:
        ``pelvis_only`` or ``abdomen_truncated_above`` (no lung at all in a tall stack), ``abdomen_truncated_below``
        (ends close below the lungs), or ``body_part_unknown`` for a cropped region.
    """
    if not is_whole_section(profile):
        cut = float(np.median(profile.cut_share))
        yield Notice(
            code="body_part_unknown",
            severity="information",
            about="input",
            sentence=f"{scan_name}: an edge of the picture cuts off {100 * cut:.0f} % of the body, as in a region cut "
            "from a scan; the part of the body and its orientation cannot be checked.",
            values={"cut_share": round(cut, 3)},
        )
        return
    base_mm = lung_base_mm(profile.lung_share, step_mm=profile.step_mm)
    height_mm = len(profile.area_mm2) * profile.step_mm
    if base_mm is not None:
        yield from _lower_end(base_mm, height_mm=height_mm, scan_name=scan_name)
    elif height_mm >= SCORED_HEIGHT_MM:
        yield _without_lung(profile, height_mm=height_mm, scan_name=scan_name)


def _lower_end(below_lung_mm: float, *, height_mm: float, scan_name: str) -> Iterator[Notice]:
    if below_lung_mm < BELOW_LUNG_MM and height_mm >= LEAST_HEIGHT_MM:
        yield Notice(
            code="abdomen_truncated_below",
            about="input",
            sentence=f"{scan_name}: the scan ends {below_lung_mm:.0f} mm below the base of the lungs, the pancreas "
            "usually reaches further down; part of it may not be shown. Give the whole abdomen.",
            values={"below_lung_mm": round(below_lung_mm, 1)},
        )


def _without_lung(profile: BodyProfile, *, height_mm: float, scan_name: str) -> Notice:
    behind_mm = profile.bone_behind_mm[np.isfinite(profile.bone_behind_mm)]
    middle_mm = float(np.median(behind_mm)) if behind_mm.size else np.nan
    if PELVIS_BEHIND_MM[0] < middle_mm < PELVIS_BEHIND_MM[1]:
        return Notice(
            code="pelvis_only",
            about="input",
            sentence=f"{scan_name}: no lung in {height_mm:.0f} mm, and in most slices the bone lies around the middle "
            "as in the pelvis; the pancreas may not be shown. Give the upper abdomen.",
            values={"height_mm": round(height_mm, 1), "bone_behind_mm": round(middle_mm, 1)},
        )
    return Notice(
        code="abdomen_truncated_above",
        about="input",
        sentence=f"{scan_name}: no lung in {height_mm:.0f} mm, so the scan begins below the diaphragm; the upper part "
        "of the pancreas may not be shown. Give the whole abdomen.",
        values={"height_mm": round(height_mm, 1)},
    )
