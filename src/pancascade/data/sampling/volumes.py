"""Whole volumes of many cases in memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pancascade.data.readers import Case
from pancascade.data.sampling.batch import Batch
from pancascade.imaging.preprocessing import VolumeGrid


@dataclass(frozen=True)
class VolumeSet:
    """Volumes in memory, of any sizes, with axes to left, posterior, superior.

    Attributes:
        images: (1, I, J, K) uint8 each, 0…255 over the window.
        labels: (I, J, K) uint8 each.
        names: Name of each volume.
        patients: Patient of each volume.
    """

    images: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    names: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return these volumes as float images; several must have the same size."""
        images = torch.stack([self.images[i] for i in indices]).float().div_(255)
        return Batch(images, torch.stack([self.labels[i] for i in indices]), tuple(self.names[i] for i in indices))

    def select(self, keep: Callable[[Tensor], bool]) -> "VolumeSet":
        """Return the volumes whose label map (I, J, K) the rule keeps."""
        kept = [i for i in range(len(self)) if keep(self.labels[i])]
        return VolumeSet(
            tuple(self.images[i] for i in kept),
            tuple(self.labels[i] for i in kept),
            tuple(self.names[i] for i in kept),
            tuple(self.patients[i] for i in kept),
        )


def load_volumes(cases: Iterable[Case], grid: VolumeGrid) -> VolumeSet:
    """Read all cases, each as one volume of its slices."""
    images, labels, names, patients = [], [], [], []
    for case in cases:
        slices = case.read_slices()
        hu = np.stack([axial.hu.T for axial in slices], axis=-1)
        shown = np.rint(grid.window.apply(hu) * 255).astype(np.uint8)
        images.append(torch.from_numpy(shown)[None])
        labels.append(torch.from_numpy(np.stack([axial.labels.T for axial in slices], axis=-1)))
        names.append(case.name)
        patients.append(case.patient)
    return VolumeSet(tuple(images), tuple(labels), tuple(names), tuple(patients))
