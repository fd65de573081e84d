"""Withhold predictions that are no plausible pancreas."""

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.messages.notices import Notice
from pancascade.results.location import Location

LEAST_PLAUSIBILITY = 0.3
"""Plausibility below which a prediction is withheld, chosen on validation scans (docs/segmentation.md)."""


def is_withheld(location: Location | None) -> bool:
    """Whether what was found at a location is no plausible pancreas: wrong in size or place, scattered, or weak.

    Which of these it is, `Location.reasons` tells; `score_plausibility` in
    `pancascade.inference.localization.search_region` computes the number.
    """
    return location is not None and location.plausibility is not None and location.plausibility < LEAST_PLAUSIBILITY


def handed_out(
    found: RegionProbabilities, *, keep_doubtful: bool, voxel_ml: float, threshold: float
) -> tuple[RegionProbabilities, list[Notice]]:
    """Return the prediction, or an empty one if it is no plausible pancreas.

    Args:
        found: A prediction with calibrated probabilities.
        keep_doubtful: Return every prediction.
        voxel_ml: Volume of a voxel.
        threshold: Least probability of the organ.

    Returns:
        The prediction, and a warning if a pancreas was withheld.
    """
    if keep_doubtful or found.box is None or not is_withheld(found.location):
        return found, []
    volume_ml = float((found.organ >= threshold).sum()) * voxel_ml
    if volume_ml == 0:
        return RegionProbabilities.nothing(found.location), []
    notice = Notice(
        code="doubtful_withheld",
        about="location",
        sentence=f"Nothing is marked: what was found ({volume_ml:.0f} mL) is no plausible pancreas. "
        "To see it anyway, segment with --keep-doubtful.",
        values={"volume_ml": round(volume_ml, 2)},
    )
    return RegionProbabilities.nothing(found.location), [notice]
