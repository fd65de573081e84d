"""One score for the patient: the tumour probability of the most suspicious place."""

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.results.measurements.neighbourhood import neighbourhood_mean

SURROUNDINGS_MM = 10.0
"""Distance beyond the box of the organ (probability ½ or more) in which tumours are searched."""


def patient_tumour_score(
    prediction: RegionProbabilities, spacing_mm: tuple[float, float, float], *, volume_ml: float = 1.0
) -> float:
    """Return the highest mean tumour probability of a neighbourhood of 1 mL, in or around the pancreas.

    The mean is that of `neighbourhood_mean`. No threshold of the mask is used: lower probabilities count as well.
    The search covers the box of the organ (tumour included) at probability ½ or more and 10 mm around it; without such
    voxels, the prediction's whole box. A tumour of much less than 1 mL scores low even at probability 1, because the
    mean includes the tissue around it.

    Args:
        prediction: A prediction with calibrated probabilities.
        spacing_mm: Voxel size of the LPS scan along I, J, K.
        volume_ml: Volume of the neighbourhood.

    Returns:
        The score in [0, 1]; 0 where nothing was found.
    """
    if prediction.box is None:
        return 0.0
    organ = prediction.organ_box(spacing_mm=spacing_mm)
    tumour = prediction.tumour
    if organ is not None:
        back = tuple(-start for start in prediction.box.start)
        around = organ.expand_mm(SURROUNDINGS_MM, spacing_mm=spacing_mm).shift(back).clip(prediction.box.shape)
        tumour = tumour[around.slices]
    highest = neighbourhood_mean(tumour, spacing_mm, volume_ml).max(initial=0.0)
    return float(min(highest, 1.0))
