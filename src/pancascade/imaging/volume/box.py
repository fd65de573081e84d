"""A box of voxels in two or three dimensions, for example the hand-over of stage 1 to stage 2."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Box:
    """Half-open ranges of voxel indices, one per axis: start is inside, stop is not.

    Attributes:
        start: First index along each axis; may be negative until the box is clipped.
        stop: One past the last index along each axis.

    Raises:
        ValueError: start and stop differ in length, or stop lies before start.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        # NumPy integers would cause no error here and break JSON reports later.
        object.__setattr__(self, "start", tuple(int(index) for index in self.start))
        object.__setattr__(self, "stop", tuple(int(index) for index in self.stop))
        if len(self.start) != len(self.stop) or not self.start:
            raise ValueError(f"start {self.start} and stop {self.stop} must have one index an axis each")
        if min(self.shape) < 0:
            raise ValueError(f"stop {self.stop} must not lie before start {self.start}")

    @classmethod
    def around(cls, mask: npt.NDArray[Any]) -> "Box | None":
        """Return the smallest box that holds every non-zero voxel of the mask; None for an empty mask.

        Args:
            mask: n-D, boolean or integer.
        """
        start, stop = [0] * mask.ndim, [0] * mask.ndim
        inside = mask.view(np.uint8) if mask.dtype.itemsize == 1 else mask
        # The axis of the largest stride first: the memory is then read in order.
        for axis in sorted(range(mask.ndim), key=lambda axis: -abs(mask.strides[axis])):
            others = tuple(other for other in range(mask.ndim) if other != axis)
            # The maximum of bytes is much faster than `any`, which converts them.
            most = inside.max(axis=others, initial=0) if inside.dtype == np.uint8 else inside.any(axis=others)
            occupied = np.flatnonzero(most)
            if occupied.size == 0:
                return None
            start[axis], stop[axis] = int(occupied[0]), int(occupied[-1]) + 1
            # Cropping axis by axis leaves few voxels to read after the first axis.
            inside = inside[(slice(None),) * axis + (slice(start[axis], stop[axis]),)]
        return cls(tuple(start), tuple(stop))

    @classmethod
    def whole(cls, shape: Sequence[int]) -> "Box":
        """Return the box of a whole array of that shape."""
        return cls((0,) * len(shape), tuple(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""
        return tuple(stop - start for start, stop in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the box in an array: `array[box.slices]`.

        Raises:
            ValueError: a start is negative, which NumPy would count from the far end.
        """
        if min(self.start) < 0:
            raise ValueError(f"box starts at {self.start}, before the array; clip it to the array's shape first")
        return tuple(slice(start, stop) for start, stop in zip(self.start, self.stop, strict=True))

    def expand(self, voxels: int | Sequence[int] | Sequence[tuple[int, int]]) -> "Box":
        """Return the box with its faces moved outwards (inwards for negative numbers).

        Args:
            voxels: One number for all faces, one per axis, or (before, after) per axis.

        Raises:
            ValueError: not one entry per axis, or stop would lie before start.
        """
        entries = voxels if isinstance(voxels, Sequence) else [voxels] * len(self.start)
        self._check_length(entries)
        margins = [entry if isinstance(entry, tuple) else (entry, entry) for entry in entries]
        return Box(
            tuple(start - before for start, (before, _) in zip(self.start, margins, strict=True)),
            tuple(stop + after for stop, (_, after) in zip(self.stop, margins, strict=True)),
        )

    def expand_mm(self, margin_mm: float | Sequence[float], *, spacing_mm: Sequence[float]) -> "Box":
        """Return the box with its faces moved outwards by at least a margin, in whole voxels.

        Args:
            margin_mm: One margin in mm, or one per axis.
            spacing_mm: Voxel spacing along each axis, in mm.

        Raises:
            ValueError: not one spacing per axis.
        """
        self._check_length(spacing_mm)
        margin_vox = np.broadcast_to(margin_mm, len(self.start)) / np.asarray(spacing_mm, dtype=np.float64)
        # 3 mm at a float32 spacing of 0.3 mm must be 10 voxels, not 11.
        return self.expand([int(margin) for margin in np.ceil(margin_vox - 1e-6)])

    def clip(self, shape: Sequence[int]) -> "Box":
        """Return the part inside an array of that shape; its extent is 0 on an axis where nothing is left."""
        self._check_length(shape)
        return Box(
            tuple(min(max(start, 0), size) for start, size in zip(self.start, shape, strict=True)),
            tuple(min(max(stop, 0), size) for stop, size in zip(self.stop, shape, strict=True)),
        )

    def union(self, other: "Box") -> "Box":
        """Return the smallest box that holds both."""
        self._check_length(other.start)
        return Box(
            tuple(map(min, self.start, other.start)),
            tuple(map(max, self.stop, other.stop)),
        )

    def contains(self, other: "Box") -> bool:
        """Return whether the other box lies inside this one; shared faces are allowed."""
        self._check_length(other.start)
        starts_inside = all(mine <= theirs for mine, theirs in zip(self.start, other.start, strict=True))
        return starts_inside and all(mine >= theirs for mine, theirs in zip(self.stop, other.stop, strict=True))

    def overlaps(self, other: "Box") -> bool:
        """Return whether any index lies in both boxes."""
        self._check_length(other.start)
        return all(
            max(mine, theirs) < min(my_stop, their_stop)
            for mine, theirs, my_stop, their_stop in zip(self.start, other.start, self.stop, other.stop, strict=True)
        )

    def shift(self, offset: Sequence[int]) -> "Box":
        """Return the box moved by an offset: a crop's start converts indices of the crop to indices of the scan."""
        self._check_length(offset)
        return Box(
            tuple(start + step for start, step in zip(self.start, offset, strict=True)),
            tuple(stop + step for stop, step in zip(self.stop, offset, strict=True)),
        )

    def corners_mm(
        self, affine: npt.NDArray[np.float64]
    ) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return the smallest and largest RAS+ coordinates in mm over the corners of the box's outer voxel edges.

        Args:
            affine: (4, 4), voxel index to RAS+ mm at the voxel's centre.

        Raises:
            ValueError: the box is not 3-D.
        """
        if len(self.start) != 3:
            raise ValueError(f"corners in mm need a 3-D box, got {len(self.start)}-D")
        edges = [(start - 0.5, stop - 0.5) for start, stop in zip(self.start, self.stop, strict=True)]
        corners = np.array(list(itertools.product(*edges))) @ affine[:3, :3].T + affine[:3, 3]
        low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def _check_length(self, values: Sequence[object]) -> None:
        if len(values) != len(self.start):
            raise ValueError(f"got {len(values)} values for a box with {len(self.start)} axes")
