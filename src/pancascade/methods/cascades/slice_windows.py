"""Stacks of slices of a volume in three planes, windows of neighbouring slices, and their inverses."""

from typing import Literal

import torch
from torch import Tensor

View = Literal["axial", "coronal", "sagittal"]

_AXES: dict[View, tuple[int, int, int]] = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""Axes of a volume (left, posterior, superior) that are slices, rows and columns of a view."""


def as_stack(volume: Tensor, view: View) -> Tensor:
    """Return the slices (N, H, W) of a volume (I, J, K) in a view."""
    return volume.permute(_AXES[view])


def as_volume(stack: Tensor, view: View) -> Tensor:
    """Return the volume (I, J, K) of a view's slices (N, H, W)."""
    axes = _AXES[view]
    return stack.permute([axes.index(axis) for axis in range(3)])


def slice_windows(stack: Tensor, count: int, *, at: Tensor | None = None) -> Tensor:
    """Return slices with their neighbours; beyond either end of the stack its last slice is repeated.

    Args:
        stack: (N, H, W).
        count: Number of slices of a window, odd.
        at: Indices of the middle slices (n,); None for all.

    Returns:
        (n, count, H, W).
    """
    half = count // 2
    middle = torch.arange(len(stack)) if at is None else at
    places = middle.to(stack.device)[:, None] + torch.arange(-half, half + 1, device=stack.device)
    return stack[places.clamp(0, len(stack) - 1)]


def in_parts(places: Tensor, size: int) -> list[Tensor]:
    """Split indices (n,) into parts of at most ``size``."""
    return [places[start : start + size] for start in range(0, len(places), size)]


def window_mean(windows: Tensor) -> Tensor:
    """Return each slice's mean (N, H, W) over the windows (N, count, H, W) that contain it, without repeated ends."""
    number, count = windows.shape[:2]
    half = count // 2
    total = torch.zeros_like(windows[:, 0])
    shown = torch.zeros(number, device=windows.device)
    for place in range(count):
        # At this position, window n contains slice n + place − half.
        first, last = max(0, half - place), min(number, number + half - place)
        if first < last:
            moved = slice(first + place - half, last + place - half)
            total[moved] += windows[first:last, place]
            shown[moved] += 1
    return total / shown[:, None, None]
