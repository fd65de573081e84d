"""Run a network on a whole scan in patches: reorient, resample, normalise, slide, average, and map back."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import UnknownModelError
from pancascade.imaging.volume import Volume, reorient, resample_onto, resample_to_spacing, restore
from pancascade.inference.external.network import organ_parts, require_finite
from pancascade.inference.external.network_description import NetworkDescription

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Returns the output (1, C, *S) for an image (1, 1, *S)."""

SIGMA = 0.125
"""Standard deviation of a patch's Gaussian weight, relative to the patch size, as in MONAI and nnU-Net."""


def run_in_tiles(scan: Volume, predict: Predict, description: NetworkDescription, *, name: str) -> NDArray[np.float32]:
    """Return probabilities of pancreas and tumour on the scan's own grid, (2, I, J, K).

    Args:
        scan: Hounsfield units.
        predict: The network on one patch.
        description: Preparation of the scan.
        name: Name of the network, for messages.

    Raises:
        CheckpointError: The network returns NaN or infinity.
        UnknownModelError: It returns fewer channels than described, or another size.
    """
    turned = reorient(scan, description.axes)
    spacing_mm = description.spacing_mm
    seen = turned if spacing_mm is None else resample_to_spacing(turned, spacing_mm)
    answer = slide(description.normalise(seen.voxels), predict, description, name=name)
    labels = description.labels
    highest = max((*labels.pancreas, *labels.tumour))
    if highest >= len(answer):
        raise UnknownModelError(
            f"{name}: returns {len(answer)} channels, but its description names channel {highest}. Correct the labels."
        )
    maps = organ_parts(
        description.activate(answer), pancreas=labels.pancreas, tumour=labels.tumour, nested=description.nested
    )
    require_finite(maps, name=name)
    placed = [seen.with_voxels(one) for one in maps]
    back = placed if spacing_mm is None else [resample_onto(one, turned) for one in placed]
    return np.stack([restore(one, scan).voxels for one in back])


def slide(
    image: NDArray[np.float32], predict: Predict, description: NetworkDescription, *, name: str
) -> NDArray[np.float32]:
    """Return the weighted mean of the outputs for overlapping patches, (C, *image.shape).

    Args:
        image: (I, J, K), normalised.
        predict: The network on one patch.
        description: Gives patch, overlap and dimensions.
        name: Name of the network, for messages.
    """
    patch = description.patch
    missing = [max(0, side - size) for side, size in zip(patch, image.shape, strict=True)]
    pads = [(gap // 2, gap - gap // 2) for gap in missing]
    padded = np.pad(image, pads, constant_values=float(image.min()))
    weight = gaussian_weight(patch)
    total: NDArray[np.float32] | None = None
    weights = np.zeros(padded.shape, np.float32)
    for corner in itertools.product(*starts(padded.shape, patch, description.overlap)):
        place = tuple(slice(start, start + side) for start, side in zip(corner, patch, strict=True))
        answer = _answer(padded[place], predict, two_dimensional=description.dimensions == 2, name=name)
        if total is None:
            total = np.zeros((len(answer), *padded.shape), np.float32)
        total[(slice(None), *place)] += answer * weight
        weights[place] += weight
    if total is None:  # cannot happen: no volume is empty
        raise UnknownModelError(f"{name}: got no patch. Give a scan.")
    total /= weights
    inside = tuple(slice(before, before + size) for (before, _), size in zip(pads, image.shape, strict=True))
    return total[(slice(None), *inside)]


def _answer(tile: NDArray[np.float32], predict: Predict, *, two_dimensional: bool, name: str) -> NDArray[np.float32]:
    shown = np.ascontiguousarray(tile[0] if two_dimensional else tile)[None, None]
    answer = np.asarray(predict(shown), np.float32)
    if answer.ndim != shown.ndim or answer.shape[0] != 1 or answer.shape[2:] != shown.shape[2:]:
        raise UnknownModelError(
            f"{name}: returns {answer.shape} for a patch of {shown.shape}; it must return one map for each label, in "
            "the patch's size. Correct patch and dimensions."
        )
    return answer[0][:, None] if two_dimensional else answer[0]


def starts(shape: Sequence[int], patch: Sequence[int], overlap: float) -> list[list[int]]:
    """Return the starts of patches along each axis: equal steps, but the last patch ends at the image's end."""
    found = []
    for size, side in zip(shape, patch, strict=True):
        step = max(1, int(side * (1 - overlap)))
        count = math.ceil(max(0, size - side) / step)
        found.append([min(number * step, size - side) for number in range(count + 1)])
    return found


def gaussian_weight(patch: Sequence[int]) -> NDArray[np.float32]:
    """Return the weight of each voxel of a patch: 1 in its middle, at least 1/1000."""
    weight = np.ones(tuple(patch), np.float64)
    for axis, side in enumerate(patch):
        offset = (np.arange(side) - (side - 1) / 2) / (SIGMA * side)
        weight *= np.exp(-0.5 * offset**2).reshape([-1 if one == axis else 1 for one in range(len(patch))])
    return np.maximum(weight / weight.max(), 1e-3).astype(np.float32)
