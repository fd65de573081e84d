"""Confidence of the network in a lesion."""

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import GeometryError, ScanError
from pancascade.imaging.volume import Box, Volume

_BALL_ML = 1.0


def lesion_confidence(lesion: Volume, probability: NDArray[np.floating]) -> float:
    """Return the highest mean probability of a neighbourhood of 1 mL inside a lesion.

    For each ball of 1 mL around a voxel of the lesion, the probabilities of the lesion's voxels in the ball are added.
    The sum is divided by the number of voxels of a whole ball, or of the lesion, if that is smaller. So the thin tip of
    a lesion counts less than its bulk, and a lesion that fits into a ball has the mean of all its voxels.

    Args:
        lesion: Boolean (I, J, K).
        probability: Tumour probability (I, J, K) in [0, 1] on the same grid; NaN counts as 0.

    Returns:
        The confidence in [0, 1].

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
        raise ScanError(f"{lesion.name}: the mask of the lesion holds no voxel, so it has no confidence.")
    inside = lesion.voxels[box.slices] != 0
    values = np.where(inside, np.nan_to_num(probability[box.slices].astype(np.float32)), np.float32(0))
    ball = _ball(lesion.affine)
    least = min(int(ball.sum()), int(np.count_nonzero(inside)))
    sums = _sums(values, ball)
    return float(np.clip(sums[inside].max() / least, 0, 1))


def _sums(values: NDArray[np.float32], ball: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the sum over a ball around each voxel, by FFT: importing scipy.signal would take half a second."""
    from scipy import fft

    shape = [fft.next_fast_len(one + other - 1, real=True) for one, other in zip(values.shape, ball.shape, strict=True)]
    product = fft.rfftn(values, shape) * fft.rfftn(ball.astype(np.float32), shape)
    starts = [(size - 1) // 2 for size in ball.shape]
    inside = tuple(slice(start, start + size) for start, size in zip(starts, values.shape, strict=True))
    return np.asarray(fft.irfftn(product, shape)[inside], np.float32)


def _ball(affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the voxels within a ball around the middle voxel, (A, B, C) of odd sizes."""
    radius_mm = (3 * _BALL_ML * 1000 / (4 * np.pi)) ** (1 / 3)
    # A row norm of the inverse is the largest number of voxels per millimetre along that axis.
    reach = np.floor(radius_mm * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1)
    return np.linalg.norm(steps @ affine[:3, :3].T, axis=-1) <= radius_mm
