"""Combined prediction of a model's steps so far, in the LPS scan."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.postprocessing import component_boxes, main_organ, touching
from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.results.location import Location

FAINT = 0.02
"""Voxels in which no probability reaches this need not be kept."""

ProbabilitySource = Callable[[int, int], NDArray[np.float32]]
"""Probabilities (I, J, last − first) of slices first…last−1 of a part of the scan."""

STEP = 0.001
"""Step to which stored probabilities are rounded."""

GIVEN_BELOW = np.float32(0.999)
"""Highest probability of the organ outside a given mask; inside it is 1."""

LEAST_TUMOUR_ML = 0.05
"""Smaller tumour components are noise: a sphere of this volume is 4.6 mm wide."""


@dataclass(frozen=True, eq=False)
class RegionProbabilities:
    """Probabilities inside one box of the LPS scan; all outside is background.

    Attributes:
        box: The box; None if nothing was found.
        organ: Probability of the pancreas with its tumour, (*box.shape) float32.
        tumour: Probability of tumour, (*box.shape) float32, nowhere above ``organ``.
        location: Confidence of stage 1's location; None where nothing was located.
    """

    box: Box | None
    organ: NDArray[np.float32]
    tumour: NDArray[np.float32]
    location: Location | None = None

    @classmethod
    def of(cls, maps: NDArray[Any], at: Box, location: Location | None = None) -> Self:
        """Make a prediction from foreground maps (C, *at.shape), pancreas and perhaps tumour, in a box of the scan.

        Only the part that reaches `FAINT` is kept.
        """
        organ = maps.sum(axis=0, dtype=np.float32)
        box = Box.around(organ >= FAINT)
        if box is None:
            return cls.nothing(location)
        tumour = maps[1][box.slices].astype(np.float32) if len(maps) > 1 else np.zeros(box.shape, np.float32)
        return cls(box.shift(at.start), np.minimum(organ[box.slices], 1), tumour, location)

    @classmethod
    def nothing(cls, location: Location | None = None) -> Self:
        """Return an empty prediction."""
        empty = np.zeros((0, 0, 0), np.float32)
        return cls(None, empty, empty, location)

    @classmethod
    def mean(cls, predictions: Sequence[Self]) -> Self:
        """Return the mean of several passes over one scan; a pass that finds nothing counts as 0.

        The location is that of the first pass.
        """
        boxes = [found.box for found in predictions if found.box is not None]
        location = predictions[0].location
        if not boxes:
            return cls.nothing(location)
        box = reduce(Box.union, boxes)
        organ = np.stack([found.organ_in(box) for found in predictions]).mean(axis=0)
        tumour = np.stack([found.tumour_in(box) for found in predictions]).mean(axis=0)
        return cls(box, organ, tumour, location)

    def rounded(self) -> Self:
        """Round probabilities to `STEP`, as they are stored, so that stored ones give the same mask."""
        organ, tumour = (np.rint(values / STEP) * np.float32(STEP) for values in (self.organ, self.tumour))
        return replace(self, organ=organ, tumour=tumour)

    def labels(
        self,
        shape: tuple[int, int, int],
        *,
        spacing_mm: tuple[float, float, float],
        organ_threshold: float = 0.5,
        tumour_threshold: float = 0.5,
        component_rules: bool = True,
        organ_given: bool = False,
    ) -> NDArray[np.uint8]:
        """Return the labels (I, J, K) uint8 on a grid of that shape.

        The organ is where the probability of pancreas and tumour together reaches its threshold; the tumour where its
        own does. Only the largest 3-D component of the organ, and those close to it, are kept. A tumour must touch it.

        Args:
            shape: Shape of the LPS scan.
            spacing_mm: Voxel size of the grid.
            organ_threshold: Least probability of pancreas and tumour together.
            tumour_threshold: Least probability of tumour.
            component_rules: Whether components are dropped; without, all voxels that reach a threshold are marked.
            organ_given: Whether the organ is a given mask, which is kept whatever its threshold and components.
        """
        labels = np.zeros(shape, np.uint8)
        if self.box is None:
            return labels
        organ = self.organ > GIVEN_BELOW + STEP / 2 if organ_given else self.organ >= organ_threshold
        tumour = self.tumour >= tumour_threshold
        if component_rules:
            if not organ_given:
                organ = main_organ(self.organ, spacing_mm=spacing_mm, threshold=organ_threshold)
            least = max(1, round(LEAST_TUMOUR_ML * 1000 / math.prod(spacing_mm)))
            tumour = touching(tumour, organ, least_voxels=least)
        inside = labels[self.box.slices]
        inside[organ] = Label.PANCREAS
        inside[tumour] = Label.TUMOUR
        return labels

    def organ_in(self, field: Box) -> NDArray[np.float32]:
        """Probability of the pancreas with its tumour in a box of the scan, (*field.shape)."""
        return self._in(field, self.organ)

    def tumour_in(self, field: Box) -> NDArray[np.float32]:
        """Probability of tumour in a box of the scan, (*field.shape)."""
        return self._in(field, self.tumour)

    def probability_source(self, field: Box, *, tumour: bool = False) -> ProbabilitySource:
        """Return a function that gives the probability of organ or tumour in some slices of a box."""

        def slices(first: int, last: int) -> NDArray[np.float32]:
            part = Box((*field.start[:2], field.start[2] + first), (*field.stop[:2], field.start[2] + last))
            return self.tumour_in(part) if tumour else self.organ_in(part)

        return slices

    def _in(self, field: Box, values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.zeros(field.shape, np.float32)
        if self.box is not None:
            shared = self.box.shift([-start for start in field.start]).clip(field.shape)
            theirs = field.shift([-start for start in self.box.start]).clip(self.box.shape)
            found[shared.slices] = values[theirs.slices]
        return found

    def organ_box(self, *, spacing_mm: tuple[float, float, float]) -> Box | None:
        """Return the box of the pancreas with its tumour, where its probability is at least ½; None if nowhere."""
        boxes = self.organ_boxes(spacing_mm=spacing_mm)
        return reduce(Box.union, boxes) if boxes else None

    def organ_boxes(self, *, spacing_mm: tuple[float, float, float], threshold: float = 0.5) -> list[Box]:
        """Return a box for each component of the pancreas with its tumour, the largest first.

        Args:
            spacing_mm: Voxel size of the scan.
            threshold: Least probability.
        """
        if self.box is None:
            return []
        return [
            box.shift(self.box.start) for box in component_boxes(self.organ, spacing_mm=spacing_mm, threshold=threshold)
        ]


def combine(wide: RegionProbabilities, close: RegionProbabilities, *, field: Box, weight: float) -> RegionProbabilities:
    """Refine a first prediction by a second pass in a region.

    Inside the field the organ's probability is the weighted mean of both; the tumour's is that of the second pass.

    Args:
        wide: The prediction so far.
        close: Prediction of the second pass, inside the field.
        field: Box in which the second pass worked.
        weight: Weight of the second pass for the organ, in [0, 1].

    Returns:
        The new prediction; the first one if the second pass nowhere gives the organ a probability of ½ or more.
    """
    if wide.box is None:
        return close
    if close.box is None or close.organ.max() < 0.5:
        return wide
    box = wide.box.union(close.box)
    organ, tumour = np.zeros(box.shape, np.float32), np.zeros(box.shape, np.float32)
    back = tuple(-start for start in box.start)
    organ[wide.box.shift(back).slices] = wide.organ
    tumour[wide.box.shift(back).slices] = wide.tumour
    overlap = field.shift(back).clip(box.shape)
    organ[overlap.slices] *= 1 - weight
    tumour[overlap.slices] = 0
    organ[close.box.shift(back).slices] += weight * close.organ
    tumour[close.box.shift(back).slices] = close.tumour
    return RegionProbabilities(box, np.maximum(organ, tumour), tumour, wide.location)
