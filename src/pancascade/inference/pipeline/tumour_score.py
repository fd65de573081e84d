"""One number for the patient: how suspicious is the most suspicious place?"""

from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.results.measurements.neighbourhood import neighbourhood_mean

SURROUNDINGS_MM = 10.0
"""A tumour may reach so far beyond the box of what is pancreas with probability ½ or more."""


def patient_tumour_score(
    prediction: RegionProbabilities, spacing_mm: tuple[float, float, float], *, volume_ml: float = 1.0
) -> float:
    """Highest mean probability of tumour in a neighbourhood of 1 mL, in or around the pancreas.

    The mean is `neighbourhood_mean`'s. No threshold has a part in it: what stays below the threshold of the mask
    counts as well. It is looked for in the box of the pancreas, tumour included, where its probability is at least ½,
    and 10 mm around; in the prediction's whole box where nothing is. A tumour of much less than 1 mL scores low however
    sure it is: the mean asks what surrounds it, too.

    Args:
        prediction: With calibrated probabilities.
        spacing_mm: Voxel size of the LPS scan along I, J, K.
        volume_ml: Of the neighbourhood.

    Returns:
        In [0, 1]; 0 where nothing was found.
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
