"""The range of slices that can hold the pancreas, derived from the base of the lungs."""

from pancascade.imaging.preprocessing.body_orientation import is_upside_down
from pancascade.imaging.preprocessing.body_part import LUNG_FROM_MM, LUNG_SHARE, is_whole_section
from pancascade.imaging.preprocessing.body_profile import BodyProfile, body_profile
from pancascade.imaging.volume import Box, Volume

ABOVE_LUNG_BASE_MM = 40.0
BELOW_LUNG_BASE_MM = 220.0
"""In the measured scans the pancreas lies 5 to 126 mm below the lung base; all of it lies within about 20 cm."""


def search_range(scan_lps: Volume, inside: Box) -> Box:
    """Return the part of a box in which the pancreas can lie.

    Args:
        scan_lps: (I, J, K) Hounsfield units, axes to the left, to the back and upwards (LPS).
        inside: A box of the scan.

    Returns:
        The box without slices more than `ABOVE_LUNG_BASE_MM` above or `BELOW_LUNG_BASE_MM` below the base of the
        lungs; the unchanged box where the scan shows no base of the lungs, is upside down, or is a cropped region.
    """
    profile = body_profile(scan_lps)
    if not is_whole_section(profile) or is_upside_down(profile):
        return inside
    base_mm = _lasting_lung_base_mm(profile)
    if base_mm is None:
        return inside
    slice_mm = scan_lps.spacing_mm[2]
    first = max(inside.start[2], int((base_mm - BELOW_LUNG_BASE_MM) / slice_mm))
    last = min(inside.stop[2], int((base_mm + ABOVE_LUNG_BASE_MM) / slice_mm) + 1)
    if last <= first:
        return inside
    return Box((*inside.start[:2], first), (*inside.stop[:2], last))


def _lasting_lung_base_mm(profile: BodyProfile) -> float | None:
    """Return the height of the lowest slice that has only lung above it for `ABOVE_LUNG_BASE_MM` or to the scan's end.

    Gas and contents of the bowel may look like lung in a few slices; a base taken there would cut off the pancreas.
    """
    lung = profile.lung_share >= LUNG_SHARE
    least, lasting = (max(1, round(mm / profile.step_mm)) for mm in (LUNG_FROM_MM, ABOVE_LUNG_BASE_MM))
    bases = (place for place in range(len(lung) - least + 1) if lung[place : place + lasting].all())
    base = next(bases, None)
    return None if base is None else base * profile.step_mm
