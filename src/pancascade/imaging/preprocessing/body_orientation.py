"""Checks that the body has the orientation that the header states.

The limits were chosen on few scans (four abdomens and a pelvis, in their true orientation and with voxels flipped
against the header), so only clear cases are reported. Each limit has its measured values beside it.
"""

from collections.abc import Iterator

import numpy as np

from pancascade.imaging.preprocessing.body_part import LUNG_SHARE, is_whole_section, lung_base_mm
from pancascade.imaging.preprocessing.body_profile import BodyProfile, Numbers
from pancascade.messages.notices import Notice

BONE_SCORE_MM = 20.0
"""5th plus 95th percentile of the bone behind the body's centre: 12 in a pelvis, 45 to 102 in abdomens.

Slices through the pancreas alone lie between: their mean is -4 mm or more, its median over 51 patients 25 mm."""

TABLE_MM = 60.0
"""The table lies 110 to 205 mm behind the body's centre, and up to 45 mm to the side."""

LIVER_ML = 250.0
"""Thick solid tissue on the right, less that on the left: 530 to 690 mL in scans with liver and lung base."""

LIVER_BELOW_LUNG_SHARE = 0.2
"""Slices with more lung show the heart, which lies on the left and is as thick."""

LIVER_SHOWN_MM = 40.0
DOME_MM = 50.0

LUNG_END_MM = 20.0
END_LUNG_SHARE = 0.06
"""The upper 20 mm of the measured abdomens have 0.075 to 0.35."""
LUNGLESS_MM = 80.0
NECK_SHARE = 0.6
"""The other end of an abdomen is at least 0.7 as large as the chest; a chest ends in the neck."""

LEAST_SLICES = 5


def is_upside_down(profile: BodyProfile) -> bool:
    """Return whether the lower end shows lungs and the upper end a body as wide without lung."""
    lung, area = profile.lung_share, profile.area_mm2
    end, other = (max(1, round(width / profile.step_mm)) for width in (LUNG_END_MM, LUNGLESS_MM))
    if not is_whole_section(profile) or len(lung) < end + other:
        return False
    return bool(
        lung[:end].mean() >= END_LUNG_SHARE
        and lung[-other:].max() < LUNG_SHARE
        and area[-other:].min() >= NECK_SHARE * np.median(area[:end])
    )


def orientation(profile: BodyProfile, *, scan_name: str) -> Iterator[Notice]:
    """Yield notices about a wrong orientation in the header, and about the patient's position on the table.

    A cropped region is not judged. Left and right are judged only if the lung base and 40 mm below it are shown.

    Args:
        profile: Profile of the LPS scan.
        scan_name: Starts each sentence.

    Yields:
        Warnings ``upside_down``, ``front_back_flipped``, ``left_right_flipped``; information ``prone``, ``on_side``.
    """
    if not is_whole_section(profile):
        return
    overturned = is_upside_down(profile)
    if overturned:
        yield Notice(
            code="upside_down",
            about="input",
            sentence=f"{scan_name}: the lungs lie at the lower end of the scan, so its slices are in the wrong order "
            "or the header is wrong. Export the scan again.",
            values={"lung_share_below": round(float(profile.lung_share[:LEAST_SLICES].mean()), 3)},
        )
    table_behind_mm, table_left_mm = (_table(profile, of) for of in (profile.table_behind_mm, profile.table_left_mm))
    bone_score_mm = _bone_score_mm(profile)
    if bone_score_mm < -BONE_SCORE_MM:
        yield _turned(bone_score_mm, table_behind_mm, scan_name)
    elif table_behind_mm < -TABLE_MM:
        yield Notice(
            code="prone",
            severity="information",
            about="input",
            sentence=f"{scan_name}: the table lies {-table_behind_mm:.0f} mm in front of the body's centre, so the "
            "patient lies prone; the model was trained on patients lying supine.",
            values={"table_behind_mm": round(table_behind_mm, 1)},
        )
    elif abs(table_left_mm) > TABLE_MM and abs(table_behind_mm) < TABLE_MM:
        yield Notice(
            code="on_side",
            severity="information",
            about="input",
            sentence=f"{scan_name}: the table lies {abs(table_left_mm):.0f} mm beside the body's centre, so the "
            "patient lies on the side; the model was trained on patients lying supine.",
            values={"table_left_mm": round(table_left_mm, 1)},
        )
    yield from _sides(profile, scan_name=scan_name, overturned=overturned)


def _bone_score_mm(profile: BodyProfile) -> float:
    behind_mm = profile.bone_behind_mm[np.isfinite(profile.bone_behind_mm)]
    return float(np.quantile(behind_mm, (0.05, 0.95)).sum()) if behind_mm.size >= LEAST_SLICES else 0.0


def _table(profile: BodyProfile, places_mm: Numbers) -> float:
    """Return the median over the slices; NaN, which fails every comparison, if fewer than half show a table."""
    seen = places_mm[np.isfinite(places_mm)]
    return float(np.median(seen)) if seen.size >= max(LEAST_SLICES, len(profile.area_mm2) / 2) else np.nan


def _turned(bone_score_mm: float, table_behind_mm: float, scan_name: str) -> Notice:
    cause = (
        "the patient may have lain prone but been entered as supine, which exchanges left and right too"
        if table_behind_mm > TABLE_MM
        else "front and back may be exchanged"
    )
    values: dict[str, float | int | str] = {"bone_score_mm": round(bone_score_mm, 1)}
    if np.isfinite(table_behind_mm):
        values["table_behind_mm"] = round(table_behind_mm, 1)
    return Notice(
        code="front_back_flipped",
        about="input",
        sentence=f"{scan_name}: by the header the spine lies in front of the body's centre; {cause}. "
        "Check the header, or export the scan again.",
        values=values,
    )


def _sides(profile: BodyProfile, *, scan_name: str, overturned: bool) -> Iterator[Notice]:
    order = slice(None, None, -1) if overturned else slice(None)
    lung_share, step_mm = profile.lung_share[order], profile.step_mm
    base_mm = lung_base_mm(lung_share, step_mm=step_mm)
    if base_mm is None or base_mm < LIVER_SHOWN_MM:
        return
    heights_mm = np.arange(len(lung_share)) * step_mm
    belly = (lung_share < LIVER_BELOW_LUNG_SHARE) & (heights_mm < base_mm + DOME_MM)
    right_ml = float(profile.liver_right_mm2[order][belly].sum() * step_mm / 1000)
    if right_ml < -LIVER_ML:
        yield Notice(
            code="left_right_flipped",
            about="input",
            sentence=f"{scan_name}: by the header the liver lies on the left ({-right_ml:.0f} mL more solid tissue "
            "there than on the right); left and right may be exchanged, unless this is known of the patient. "
            "Check the header, or export the scan again.",
            values={"liver_right_ml": round(right_ml)},
        )
