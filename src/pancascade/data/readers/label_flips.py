"""Orientation check of a label map: an organ has contrast to the surrounding fat only at its true position."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box
from pancascade.settings import Settings

Flips = tuple[bool, bool, bool]
"""Axes of an array that are flipped."""

ALL_FLIPS: tuple[Flips, ...] = tuple(itertools.product((False, True), repeat=3))  # type: ignore[arg-type]
AS_IT_IS: Flips = (False, False, False)

SHELL_VOXELS = 2
LOWEST_HU, HIGHEST_HU = -150, 250

LEAST_CLARITY = 0.3
LARGEST_SHARE = 0.55
MOST_SPREAD_HU = 60.0

_ACROSS = {
    **dict.fromkeys("RL", "left and right"),
    **dict.fromkeys("AP", "front and back"),
    **dict.fromkeys("SI", "head and feet"),
}


class Turned(Settings):
    """Contrast and spread of a mask for one choice of flipped axes.

    Attributes:
        directions: Such as ``left and right``; empty for the unflipped mask.
        contrast_hu: Mean inside minus mean of a shell of two voxels around.
        spread_hu: Standard deviation inside.
    """

    directions: tuple[str, ...]
    contrast_hu: float
    spread_hu: float

    @property
    def clarity(self) -> float:
        """Contrast in units of the spread: high only if a mask follows an organ."""
        return self.contrast_hu / max(self.spread_hu, 1.0)


def turned(array: NDArray[Any], flips: Flips) -> NDArray[Any]:
    """Return a view of the array with these axes flipped."""
    return array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def right_way_round(hu: NDArray[Any], mask: NDArray[np.bool_], *, orientation: str) -> Flips:
    """Return the axes to flip so that a mask shows its organ; none unless the unflipped mask clearly does not.

    Args:
        hu: (I, J, K).
        mask: (I, J, K).
        orientation: Orientation of the axes, such as LPS.
    """
    box = Box.around(mask)
    better = None if box is None else clearly_better(show_turned(hu, mask[box.slices], box, orientation=orientation))
    if better is None:
        return AS_IT_IS
    return next(flips for flips in ALL_FLIPS if directions(flips, orientation) == better.best.directions)


def show_turned(hu: NDArray[Any], mask: NDArray[np.bool_], box: Box, *, orientation: str) -> tuple[Turned, ...]:
    """Return contrast and spread of a mask for every choice of flipped axes.

    Values are clipped to −150…250 HU, so that neither air nor bone dominates.

    Args:
        hu: (I, J, K).
        mask: The mask within the box, not empty.
        box: Position of the mask in (I, J, K).
        orientation: Orientation of the axes, such as LPS. An axis of one voxel is not flipped.
    """
    wide = box.expand(SHELL_VOXELS + 1).clip(hu.shape)
    before = [start - low for start, low in zip(box.start, wide.start, strict=True)]
    after = [high - stop for stop, high in zip(box.stop, wide.stop, strict=True)]
    inside = np.pad(mask, list(zip(before, after, strict=True)))
    shell = ndimage.binary_dilation(inside, iterations=SHELL_VOXELS) & ~inside
    if not shell.any():
        return ()
    found = []
    for flips in ALL_FLIPS:
        if any(flip and size == 1 for flip, size in zip(flips, hu.shape, strict=True)):
            continue
        # Flipping the image under the mask is equivalent to flipping the mask, and costs nothing.
        seen = np.clip(turned(hu, flips)[wide.slices].astype(np.float32), LOWEST_HU, HIGHEST_HU)
        within = seen[inside]
        difference = float(within.mean() - seen[shell].mean())
        found.append(
            Turned(
                directions=directions(flips, orientation),
                contrast_hu=round(difference, 2),
                spread_hu=round(float(within.std()), 2),
            )
        )
    return tuple(found)


def directions(flips: Flips, orientation: str) -> tuple[str, ...]:
    """Return which ends a flip of axes exchanges, in words, independent of the order of the axes."""
    return tuple(sorted(_ACROSS[code] for code, flip in zip(orientation, flips, strict=True) if flip))


def how_turned(filed: NDArray[Any], used: NDArray[Any]) -> Flips:
    """Return the axes along which one array is the flipped other; none if they are equal or not related.

    Args:
        filed: (I, J, K).
        used: (I, J, K).
    """
    return next((flips for flips in ALL_FLIPS if np.array_equal(turned(filed, flips), used)), AS_IT_IS)


class Better(NamedTuple):
    """Result of the best flip of a mask, and of the unflipped mask."""

    best: Turned
    as_it_is: Turned


def clearly_better(ways: tuple[Turned, ...]) -> Better | None:
    """Return the flip at which a mask shows an organ, if the unflipped mask does not; else None.

    For 63 reference masks of pancreata with carcinoma on whole scans, the clarity was 0.30 to 2.8 with a spread of 20
    to 54 HU; for the same masks flipped it never exceeded 0.43 of the correct value. Masks at 400 random positions of
    an abdomen had contrasts of up to 35 HU, but those over 30 HU had a spread of more than 100 HU.

    Args:
        ways: Results of `show_turned`.
    """
    now = next((way for way in ways if not way.directions), None)
    best = max(ways, key=lambda way: way.clarity, default=None)
    if now is None or best is None or best.clarity < LEAST_CLARITY or best.spread_hu > MOST_SPREAD_HU:
        return None
    return Better(best, now) if now.clarity < LARGEST_SHARE * best.clarity else None


def together(several: Sequence[tuple[Turned, ...]]) -> tuple[Turned, ...]:
    """Return mean contrast and spread of several masks for the same flips; a single slice shows too little.

    Args:
        several: Results of `show_turned`; flips that not all masks have are left out.
    """
    by_way: dict[tuple[str, ...], list[Turned]] = {}
    for way in itertools.chain.from_iterable(several):
        by_way.setdefault(way.directions, []).append(way)
    return tuple(
        Turned(
            directions=way,
            contrast_hu=float(np.mean([one.contrast_hu for one in found])),
            spread_hu=float(np.mean([one.spread_hu for one in found])),
        )
        for way, found in by_way.items()
        if len(found) == len(several)
    )
