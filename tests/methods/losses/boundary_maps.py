"""The label maps of methods.md §6.6, and the shared boundary matrix a second time, pixel by pixel."""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

A = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 2, 0], [0, 0, 0, 0]])
B = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 2, 0], [0, 0, 0, 0]])
C = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
D = torch.tensor([[2, 2, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
ROW = torch.tensor([[[[0.7, 0.1]], [[0.2, 0.6]], [[0.1, 0.3]]]], dtype=torch.float64)


def one_hot(labels: Tensor, classes: int = 3) -> Tensor:
    return torch.eye(classes, dtype=torch.float64)[labels].movedim(-1, 0).unsqueeze(0)


def random_probabilities(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(1)


def tumour_in_pancreas(size: int) -> Tensor:
    """An ellipse of 120 × 40 pixels with a disc of radius 12 inside, on a 320² canvas, scaled to size."""
    axis = (torch.arange(size) + 0.5) * 320 / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    labels = (((y - 160) / 20) ** 2 + ((x - 150) / 60) ** 2 < 1).long()
    labels[(y - 160) ** 2 + (x - 150) ** 2 < 12**2] = 2
    return labels


def lengths_by_loops(q: Array, form: str, *, neighbourhood: int = 4, count_frame: bool = True) -> tuple[Array, Array]:
    """(ℓ_ij, ℓ_i) of (C, H, W) maps, by visiting every pixel and each of its neighbours."""
    classes, height, width = q.shape
    shared, perimeter = np.zeros((classes, classes)), np.zeros(classes)
    steps = [s for s in itertools.product((-1, 0, 1), repeat=2) if s != (0, 0)]
    if neighbourhood == 4:
        steps = [s for s in steps if 0 in s]
    for y, x, (dy, dx) in itertools.product(range(height), range(width), steps):
        here = q[:, y, x]
        if not (0 <= y + dy < height and 0 <= x + dx < width):
            if count_frame:
                perimeter += here
        elif (dy, dx) > (0, 0):  # each pair from one of its two ends
            there = q[:, y + dy, x + dx]
            share = _share(here, there, form)
            shared += share
            perimeter += share.sum(1) if form == "product" else np.abs(here - there)
    return shared, perimeter


def _share(here: Array, there: Array, form: str) -> Array:
    """What one pair of pixels adds to ℓ_ij."""
    share = np.zeros((len(here), len(here)))
    for i, j in itertools.permutations(range(len(here)), 2):
        if form == "product":
            share[i, j] = here[i] * there[j] + there[i] * here[j]
            continue
        u, v = np.maximum(here - there, 0), np.maximum(there - here, 0)
        share[i, j] = (u[i] * v[j] + v[i] * u[j]) / u.sum() if u.sum() > 0 else 0
    return share


def matrix_by_loops(q: Array, form: str, *, neighbourhood: int = 4, count_frame: bool = True) -> Array:
    shared, perimeter = lengths_by_loops(q, form, neighbourhood=neighbourhood, count_frame=count_frame)
    return shared / np.maximum(perimeter, 1)[:, None]
