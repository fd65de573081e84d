"""Mean over a neighbourhood of a given volume, which lowers small isolated peaks."""

import math

import numpy as np
from numpy.typing import NDArray

CUT_OFF = 3.0
"""Number of standard deviations at which the weights are cut off."""


def neighbourhood_mean(
    probability: NDArray[np.floating], spacing_mm: tuple[float, float, float], volume_ml: float = 1.0
) -> NDArray[np.float32]:
    """Return the weighted mean of a map over a neighbourhood of each voxel.

    The weights are a Gaussian's. Along each axis it has the variance of a uniform ball of that volume, σ = r / √5:
    1 mL is a ball of r = 6.2 mm, so σ = 2.8 mm. A Gaussian is separable, isotropic, and fits any voxel size; a ball cut
    out of slices 5 mm apart would not. Where voxels are far wider than σ the mean is the voxel's own value.

    Args:
        probability: (I, J, K); values outside count as 0.
        spacing_mm: Voxel size along I, J, K.
        volume_ml: Volume of the neighbourhood.

    Returns:
        (I, J, K) float32, between 0 and the map's maximum.

    Raises:
        ValueError: The map is not 3-D, or a size is not positive.
    """
    if probability.ndim != 3:
        raise ValueError(f"a neighbourhood needs a map (I, J, K), got shape {probability.shape}")
    if min(*spacing_mm, volume_ml) <= 0:
        raise ValueError(f"spacing and volume must be positive, got {spacing_mm} mm and {volume_ml} mL")
    from scipy import ndimage

    mean = np.asarray(probability, np.float32)
    if mean.size == 0:
        return mean.copy()
    sigmas = [neighbourhood_sigma_mm(volume_ml) / step for step in spacing_mm]
    return ndimage.gaussian_filter(mean, sigmas, mode="constant", cval=0.0, truncate=CUT_OFF)


def neighbourhood_sigma_mm(volume_ml: float) -> float:
    """Return the standard deviation along each axis of a uniform ball of a volume: its radius / √5."""
    radius_mm = (3 * volume_ml * 1000 / (4 * math.pi)) ** (1 / 3)
    return radius_mm / math.sqrt(5)
