"""A volume as stacks of slices in three planes, and windows of neighbouring slices there and back."""

from typing import Literal

import torch
from torch import Tensor

View = Literal["axial", "coronal", "sagittal"]

_AXES: dict[View, tuple[int, int, int]] = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""Axes of a volume (left, posterior, superior) that a view takes as slices, rows and columns."""


def as_stack(volume: Tensor, view: View) -> Tensor:
    """The slices (N, H, W) that a view cuts a volume (I, J, K) into."""
    return volume.permute(_AXES[view])


def as_volume(stack: Tensor, view: View) -> Tensor:
    """The volume (I, J, K) that a view's slices (N, H, W) come from."""
    axes = _AXES[view]
    return stack.permute([axes.index(axis) for axis in range(3)])


def slice_windows(stack: Tensor, count: int, *, at: Tensor | None = None) -> Tensor:
    """Slices with their neighbours; beyond a stack's ends its last one is repeated.

    Args:
        stack: (N, H, W).
        count: Slices of a window, odd.
        at: Middle slices (n,); None for all.

    Returns:
        (n, count, H, W).
    """
    half = count // 2
    middle = torch.arange(len(stack)) if at is None else at
    places = middle.to(stack.device)[:, None] + torch.arange(-half, half + 1, device=stack.device)
    return stack[places.clamp(0, len(stack) - 1)]


def in_parts(places: Tensor, size: int) -> list[Tensor]:
    """Places (n,) a few at a time."""
    return [places[start : start + size] for start in range(0, len(places), size)]


def window_mean(windows: Tensor) -> Tensor:
    """Each slice's mean (N, H, W) over the windows (N, count, H, W) that show it; repeated end slices do not count."""
    number, count = windows.shape[:2]
    half = count // 2
    total = torch.zeros_like(windows[:, 0])
    shown = torch.zeros(number, device=windows.device)
    for place in range(count):
        # At this place of its window, window n shows slice n + place − half.
        first, last = max(0, half - place), min(number, number + half - place)
        if first < last:
            moved = slice(first + place - half, last + place - half)
            total[moved] += windows[first:last, place]
            shown[moved] += 1
    return total / shown[:, None, None]
