"""Checks of a scan before any network runs."""

from pancascade.imaging.preprocessing.body_orientation import is_upside_down, orientation
from pancascade.imaging.preprocessing.body_part import coverage, refuse_no_abdomen
from pancascade.imaging.preprocessing.body_profile import METAL_HU, BodyProfile, body_profile
from pancascade.imaging.preprocessing.hu_calibration import hu_calibration
from pancascade.imaging.preprocessing.slice_faults import slice_faults
from pancascade.imaging.volume import Volume
from pancascade.messages.notices import Notice

METAL_SHARE = 0.0005
"""The measured scans have 0.0003 or less; one of them has clips."""

ARMS_SHARE = 0.3

_BY_HU = ("left_right_flipped",)


def check_input(scan_lps: Volume, *, scan_name: str) -> list[Notice]:
    """Check the body part, coverage, orientation and HU of a scan, and return notices.

    A cropped region is allowed and passes with ``body_part_unknown``.

    Args:
        scan_lps: (I, J, K) Hounsfield units that `require_ct` accepts, axes to the left, to the back and upwards
            (LPS).
        scan_name: Starts each sentence.

    Returns:
        Warnings and information about the scan; empty for an ordinary abdomen.

    Raises:
        NotCTError: the scan certainly shows no abdomen; its code is ``no_body`` or ``no_abdomen``.
    """
    profile = body_profile(scan_lps)
    refuse_no_abdomen(profile, scan_name=scan_name)
    values = hu_calibration(scan_lps, scan_name=scan_name)
    # Left and right are distinguished by the density of organs, which needs calibrated HU.
    turned = [notice for notice in orientation(profile, scan_name=scan_name) if not values or notice.code not in _BY_HU]
    found = [*values, *slice_faults(scan_lps, scan_name=scan_name), *turned]
    if not is_upside_down(profile):
        found += coverage(profile, scan_name=scan_name)
    return found + _beside_and_inside(profile, scan_name=scan_name)


def _beside_and_inside(profile: BodyProfile, *, scan_name: str) -> list[Notice]:
    """Return notices about arms and metal, which both cause streaks."""
    found = []
    arms = float((profile.arms > 0).mean())
    if arms >= ARMS_SHARE:
        found.append(
            Notice(
                code="arms_down",
                severity="information",
                about="input",
                sentence=f"{scan_name}: an arm lies beside the body in {100 * arms:.0f} % of the slices; its streaks "
                "may hide small lesions.",
                values={"slices_share": round(arms, 3)},
            )
        )
    if profile.metal_share >= METAL_SHARE:
        found.append(
            Notice(
                code="metal",
                severity="information",
                about="input",
                sentence=f"{scan_name}: {100 * profile.metal_share:.2f} % of the body is above {METAL_HU} HU, which "
                "is metal; its streaks may hide or imitate lesions.",
                values={"metal_share": round(profile.metal_share, 5)},
            )
        )
    return found
