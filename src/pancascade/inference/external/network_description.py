"""The JSON file beside an ONNX or TorchScript file: preparation of the scan, and meaning of the output."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from pancascade.errors import UnknownModelError
from pancascade.files.documents import first_fault, read_json, reason, shortened
from pancascade.settings import Settings

MOST_VOXELS = 512**3
"""Most voxels of a patch: more than scans have, and more than today's networks can process."""

Channel = Annotated[int, Field(ge=0, le=4096)]
Millimetres = Annotated[float, Field(ge=0.05, le=50)]
Hu = Annotated[float, Field(ge=-100_000, le=100_000)]
Side = Annotated[int, Field(ge=1, le=4096)]


class Channels(Settings):
    """Output channels of each label, counted from 0.

    Attributes:
        pancreas: Channels of the pancreas, one or several.
        tumour: Channels of tumour; empty for a network without tumour.
    """

    pancreas: tuple[Channel, ...] = Field(min_length=1)
    tumour: tuple[Channel, ...] = ()


class NetworkDescription(Settings):
    """Preparation of a scan for a network, and meaning of the network's output.

    The scan is reoriented to `axes`, resampled linearly to `spacing_mm`, clipped, normalised, and cut into overlapping
    patches (1, 1, *patch). Outputs (1, C, *patch) are averaged with a Gaussian weight, and resampled linearly to the
    scan's grid.

    Attributes:
        axes: Directions of the array's axes, such as LPS or RAS; SPL has slices first, then rows, then columns.
        spacing_mm: Voxel size along these axes; None keeps the scan's.
        clip_hu: Lowest and highest Hounsfield unit.
        mean_hu: Mean that is subtracted after clipping. Without it the clipped range is mapped to [0, 1].
        std_hu: Standard deviation that is divided by.
        patch: Size along the axes; the first one is 1 for a 2-D network.
        dimensions: Dimensions of the network.
        overlap: Overlap of neighbouring patches, as a share of the patch.
        labels: Output channels of the labels.
        activation: Function that turns the output into probabilities.
        nested: Whether the pancreas channel includes the tumour.
    """

    axes: str = "LPS"
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None
    clip_hu: tuple[Hu, Hu]
    mean_hu: Hu | None = None
    std_hu: float | None = Field(default=None, ge=1e-3, le=100_000)
    patch: tuple[Side, Side, Side]
    dimensions: Literal[2, 3] = 3
    overlap: float = Field(default=0.5, ge=0, le=0.9)
    labels: Channels
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    nested: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sorted("RAS"["RLAPSI".find(axis) // 2] for axis in self.axes if axis in "RLAPSI") != ["A", "R", "S"] or (
            len(self.axes) != 3
        ):
            raise ValueError(f"axes: one of R/L, A/P and S/I each, such as RAS or SPL, not {self.axes[:20]!r}")
        if self.clip_hu[0] >= self.clip_hu[1]:
            raise ValueError("clip_hu: the first must be below the second")
        if (self.mean_hu is None) != (self.std_hu is None):
            raise ValueError("mean_hu and std_hu: give both or none")
        if self.dimensions == 2 and self.patch[0] != 1:
            raise ValueError("patch: a 2-D network processes one slice, so the first side is 1")
        if math.prod(self.patch) > MOST_VOXELS:
            raise ValueError(f"patch: {' x '.join(map(str, self.patch))} voxels are larger than memory can hold")
        return self

    def normalise(self, hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the network's input for Hounsfield units."""
        low, high = self.clip_hu
        shown = np.clip(hu.astype(np.float32), low, high)
        mean, std = (low, high - low) if self.mean_hu is None or self.std_hu is None else (self.mean_hu, self.std_hu)
        shown -= np.float32(mean)
        shown /= np.float32(std)
        return shown

    def activate(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities for an output (C, *S)."""
        if self.activation == "softmax":
            raised = np.exp(answer - answer.max(axis=0, keepdims=True))
            return np.asarray(raised / raised.sum(axis=0, keepdims=True), np.float32)
        if self.activation == "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * answer)), np.float32)
        return answer


def read_description(network: Path) -> NetworkDescription:
    """Read the description beside a network: a JSON file of the same name.

    Raises:
        UnknownModelError: The file is missing or damaged.
    """
    path = network.with_suffix(".json")
    name = shortened(path.name, 60)
    try:
        return NetworkDescription.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise UnknownModelError(
            f"{shortened(network.name, 60)}: needs {name} beside it, with spacing, clip, patch and labels "
            "(docs/other-networks.md)."
        ) from error
    except ValidationError as error:
        raise UnknownModelError(
            f"{name}: not a description of a network ({shortened(first_fault(error), 90)}). See docs/other-networks.md."
        ) from error
    except (OSError, ValueError) as error:
        raise UnknownModelError(f"{name}: not readable JSON ({shortened(reason(error), 80)}). Correct it.") from error
