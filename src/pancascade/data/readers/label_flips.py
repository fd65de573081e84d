"""Is a label map the right way round? An organ stands out from the fat about it, but only where it really lies."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box
from pancascade.settings import Settings

Flips = tuple[bool, bool, bool]
"""Which axes of an array are turned round."""

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
    """What a mask shows when it is turned round in one way.

    Attributes:
        directions: Such as ``left and right``; none for the mask as it is.
        contrast_hu: Mean inside minus mean of the two voxels around.
        spread_hu: Standard deviation inside.
    """

    directions: tuple[str, ...]
    contrast_hu: float
    spread_hu: float

    @property
    def clarity(self) -> float:
        """Contrast in units of the spread: high only where a mask follows an organ."""
        return self.contrast_hu / max(self.spread_hu, 1.0)


def turned(array: NDArray[Any], flips: Flips) -> NDArray[Any]:
    """A view of the array with these axes turned round."""
    return array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def right_way_round(hu: NDArray[Any], mask: NDArray[np.bool_], *, orientation: str) -> Flips:
    """The axes to turn a mask round along so that it shows its organ; none unless it clearly does not as it is.

    Args:
        hu: (I, J, K).
        mask: (I, J, K).
        orientation: Where the axes point, such as LPS.
    """
    box = Box.around(mask)
    better = None if box is None else clearly_better(show_turned(hu, mask[box.slices], box, orientation=orientation))
    if better is None:
        return AS_IT_IS
    return next(flips for flips in ALL_FLIPS if directions(flips, orientation) == better.best.directions)


def show_turned(hu: NDArray[Any], mask: NDArray[np.bool_], box: Box, *, orientation: str) -> tuple[Turned, ...]:
    """Contrast and spread of a mask, as it is and turned round along every choice of axes.

    Values are cut to −150…250 HU: neither air nor bone shall decide.

    Args:
        hu: (I, J, K).
        mask: The mask within the box, not empty.
        box: Where it lies in (I, J, K).
        orientation: Where the axes point, such as LPS. An axis of one voxel is not turned.
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
        # Turning the picture under the mask is the same as turning the mask, and costs nothing.
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
    """Which ends are exchanged by turning axes round, in words; they do not depend on the order of the axes."""
    return tuple(sorted(_ACROSS[code] for code, flip in zip(orientation, flips, strict=True) if flip))


def how_turned(filed: NDArray[Any], used: NDArray[Any]) -> Flips:
    """The axes along which one array is another one turned round; none if they are equal or it is not.

    Args:
        filed: (I, J, K).
        used: (I, J, K).
    """
    return next((flips for flips in ALL_FLIPS if np.array_equal(turned(filed, flips), used)), AS_IT_IS)


class Better(NamedTuple):
    """The way round in which a mask shows an organ, and how the mask does as it is."""

    best: Turned
    as_it_is: Turned


def clearly_better(ways: tuple[Turned, ...]) -> Better | None:
    """The way round in which the mask shows an organ, if it does not as it is.

    Of 63 outlined pancreata with carcinoma and a whole scan the clarity was 0.30 to 2.8 with a spread of 20 to 54 HU,
    and for the same masks turned round never above 0.43 of the right one's. Masks laid at 400 random places of an
    abdomen had contrasts of up to 35 HU, but those over 30 HU had a spread of more than 100 HU.

    Args:
        ways: Of `show_turned`.
    """
    now = next((way for way in ways if not way.directions), None)
    best = max(ways, key=lambda way: way.clarity, default=None)
    if now is None or best is None or best.clarity < LEAST_CLARITY or best.spread_hu > MOST_SPREAD_HU:
        return None
    return Better(best, now) if now.clarity < LARGEST_SHARE * best.clarity else None


def together(several: Sequence[tuple[Turned, ...]]) -> tuple[Turned, ...]:
    """Mean contrast and spread of several masks turned round in the same ways: single slices tell too little.

    Args:
        several: Of `show_turned`; ways that not all have are left out.
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
