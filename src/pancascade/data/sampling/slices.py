"""Axial slices of many cases in memory, on one canvas."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pancascade.data.readers import Case
from pancascade.data.sampling.batch import Batch
from pancascade.imaging.preprocessing import Canvas, find_placement
from pancascade.imaging.preprocessing.neighbours import with_neighbours
from pancascade.imaging.preprocessing.network_grid import labels_to_network_grid, to_network_grid


@dataclass(frozen=True)
class SliceSet:
    """Slices in memory, on their canvas.

    Attributes:
        images: (N, C, H, W) uint8, 0…255 over the window.
        labels: (N, H, W) uint8.
        names: Name of each slice.
        patients: Patient of each slice.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return these slices as float images."""
        chosen = list(indices)
        images = self.images[chosen].float().div_(255)
        return Batch(images, self.labels[chosen], tuple(self.names[i] for i in chosen))

    def select(self, keep: Callable[[Tensor], bool]) -> "SliceSet":
        """Return the slices whose label map (H, W) the rule keeps."""
        kept = [i for i in range(len(self)) if keep(self.labels[i])]
        return SliceSet(
            self.images[kept],
            self.labels[kept],
            tuple(self.names[i] for i in kept),
            tuple(self.patients[i] for i in kept),
        )


def load_slices(cases: Iterable[Case], canvas: Canvas, *, keep: Callable[[Tensor], bool] | None = None) -> SliceSet:
    """Read all slices of the cases and resample them to the canvas.

    Args:
        cases: Cases in the order of the result.
        canvas: Canvas of the slices.
        keep: Rule for label maps (H, W) on the canvas; other slices are left out. None keeps all.
    """
    images, labels, names, patients = [], [], [], []
    for case in cases:
        slices = case.read_slices()
        for place, axial in enumerate(slices):
            placement = find_placement(axial.hu, spacing_mm=axial.spacing_mm, canvas=canvas, grow=False)
            label_map = torch.from_numpy(labels_to_network_grid(axial.labels[None], placement)[0])
            if keep is not None and not keep(label_map):
                continue
            stack = with_neighbours(
                lambda index, slices=slices: canvas.window.apply(slices[index].hu),  # type: ignore[misc]
                [place],
                count=len(slices),
                slice_mm=axial.slice_mm,
                canvas=canvas,
            )
            images.append(torch.from_numpy(to_network_grid(stack, placement)[0]).mul(255).round().to(torch.uint8))
            labels.append(label_map)
            names.append(axial.name)
            patients.append(axial.patient)
    if not names:
        nothing = torch.zeros((0, *canvas.size), dtype=torch.uint8)
        return SliceSet(nothing[:, None].expand(-1, canvas.channels, -1, -1), nothing, (), ())
    return SliceSet(torch.stack(images), torch.stack(labels), tuple(names), tuple(patients))
