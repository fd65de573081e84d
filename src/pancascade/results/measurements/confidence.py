"""How sure the network is of a lesion."""

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import GeometryError, ScanError
from pancascade.imaging.volume import Box, Volume

_BALL_ML = 1.0


def lesion_confidence(lesion: Volume, probability: NDArray[np.floating]) -> float:
    """Highest mean probability of a neighbourhood of 1 mL inside a lesion.

    For each ball of 1 mL around a voxel of the lesion, the probabilities of the lesion's voxels in it are added up
    and divided by the number of voxels that a whole ball has, or the lesion, if that has fewer. So the thin tip of a
    lesion counts for less than its bulk, and a lesion that fits into a ball has the mean of all its voxels.

    Args:
        lesion: Boolean (I, J, K).
        probability: (I, J, K) in [0, 1], of tumour, on the same grid; NaN counts as 0.

    Returns:
        In [0, 1].

    Raises:
        GeometryError: The probabilities have another shape.
        ScanError: The mask is empty.
    """
    if probability.shape != lesion.shape:
        raise GeometryError(
            f"{lesion.name}: the probabilities have shape {probability.shape}, the mask {lesion.shape}. "
            "Give those of the same scan."
        )
    box = Box.around(lesion.voxels)
    if box is None:
        raise ScanError(f"{lesion.name}: the mask of the lesion holds no voxel, so nobody can be sure of it.")
    inside = lesion.voxels[box.slices] != 0
    values = np.where(inside, np.nan_to_num(probability[box.slices].astype(np.float32)), np.float32(0))
    ball = _ball(lesion.affine)
    least = min(int(ball.sum()), int(np.count_nonzero(inside)))
    sums = _sums(values, ball)
    return float(np.clip(sums[inside].max() / least, 0, 1))


def _sums(values: NDArray[np.float32], ball: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Sum over a ball around each voxel, by Fourier transforms: scipy.signal's takes half a second to import."""
    from scipy import fft

    shape = [fft.next_fast_len(one + other - 1, real=True) for one, other in zip(values.shape, ball.shape, strict=True)]
    product = fft.rfftn(values, shape) * fft.rfftn(ball.astype(np.float32), shape)
    starts = [(size - 1) // 2 for size in ball.shape]
    inside = tuple(slice(start, start + size) for start, size in zip(starts, values.shape, strict=True))
    return np.asarray(fft.irfftn(product, shape)[inside], np.float32)


def _ball(affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The voxels within a ball around one, (A, B, C) of odd sizes."""
    radius_mm = (3 * _BALL_ML * 1000 / (4 * np.pi)) ** (1 / 3)
    # The row norms of the inverse are how many voxels a millimetre can span along each axis.
    reach = np.floor(radius_mm * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1)
    return np.linalg.norm(steps @ affine[:3, :3].T, axis=-1) <= radius_mm
