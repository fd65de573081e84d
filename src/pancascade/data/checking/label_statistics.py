"""Measurements of a label map: values, volumes, lesions, position, orientation."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from pancascade.data.readers.label_flips import Turned, show_turned
from pancascade.data.readers.structure import LabelMapping, Structure
from pancascade.imaging.volume import Box, Volume
from pancascade.labels import Label
from pancascade.metrics.lesions import find_components
from pancascade.settings import Settings

MOST_LISTED = 20

_ENDS = {"L": ("right", "left"), "R": ("left", "right"), "P": ("front", "back"), "A": ("back", "front")}
_ENDS |= {"S": ("feet", "head"), "I": ("head", "feet")}


class LabelledLesion(Settings):
    """A connected component of the tumour; voxels that share a face, an edge or a corner are connected.

    Attributes:
        voxels: Number of voxels.
        volume_ml: Volume; None without a spacing.
        extent_mm: Longest side of its bounding box; None without a spacing.
        touches_pancreas: Whether it has a pancreas voxel as neighbour.
    """

    voxels: int
    volume_ml: float | None
    extent_mm: float | None
    touches_pancreas: bool


class LabelStatistics(Settings):
    """Measurements of a label map on its scan.

    Attributes:
        voxels: Number of voxels of each value other than 0, by the value in the file.
        unknown: Values among them without a meaning.
        structures: Number of voxels by `Structure`.
        pancreas_ml: Volume with the duct, without tumour; None without a spacing.
        tumour_ml: Volume of the tumour; None without a spacing.
        lesions: Lesions, largest first, at most `MOST_LISTED`.
        lesion_count: Number of all lesions.
        pieces: Voxels of each component of pancreas with tumour, largest first, at most `MOST_LISTED`.
        start: First voxel of their bounding box along each axis; None if empty.
        stop: One past the last voxel of the box.
        border_voxels: Voxels between the box and each end of the scan, such as ``head``.
        outside_body: Share of pancreas and tumour outside the body; None if the image does not show a whole body.
        turned: Contrast and spread of the mask for each flip of its axes.
    """

    voxels: dict[str, int]
    unknown: tuple[str, ...] = ()
    structures: dict[Structure, int] = Field(default_factory=dict)
    pancreas_ml: float | None = None
    tumour_ml: float | None = None
    lesions: tuple[LabelledLesion, ...] = ()
    lesion_count: int = 0
    pieces: tuple[int, ...] = ()
    start: tuple[int, ...] | None = None
    stop: tuple[int, ...] | None = None
    border_voxels: dict[str, int] = Field(default_factory=dict)
    outside_body: float | None = None
    turned: tuple[Turned, ...] = ()

    @property
    def organ_ml(self) -> float | None:
        """Volume of pancreas and tumour together."""
        return None if self.pancreas_ml is None or self.tumour_ml is None else self.pancreas_ml + self.tumour_ml


def measure_label(
    image: Volume, values: NDArray[Any], meaning: LabelMapping, *, spaced: bool = True, body: bool = True
) -> LabelStatistics:
    """Measure a label map.

    Args:
        image: The scan in HU.
        values: (I, J, K), the label map with its own values.
        meaning: Structure of each value; other values are only counted.
        spaced: Whether the scan's spacing is known.
        body: Whether the scan shows the whole body, so that a label can lie outside it.
    """
    marked = Box.around(values)
    if marked is None:
        return LabelStatistics(voxels={})
    inside = values[marked.slices]
    counts = {value: int(number) for value, number in zip(*_counted(inside), strict=True) if value != 0}
    structures: Counter[Structure] = Counter()
    for value in counts.keys() & meaning.keys():
        structures[meaning[int(value)]] += counts[value]
    labels = known_labels(inside, meaning)
    statistics = LabelStatistics(
        voxels={f"{value:g}": number for value, number in counts.items()},
        unknown=tuple(f"{value:g}" for value in counts if value not in meaning),
        structures=dict(structures),
    )
    tight = Box.around(labels)
    if tight is None:
        return statistics
    place = tight.shift(marked.start)
    organ = _measure_organ(image, labels[tight.slices], place, spaced=spaced)
    outside = _outside_body(image, labels[tight.slices] > 0, place) if body else None
    return statistics.model_copy(update={**organ, "outside_body": outside})


def known_labels(values: NDArray[Any], meaning: LabelMapping) -> NDArray[np.uint8]:
    """Convert a label map's values to ids of `pancascade.labels.Label`; unknown values become background.

    Args:
        values: Any shape.
        meaning: Structure of each value.
    """
    labels = np.zeros(values.shape, np.uint8)
    box = Box.around(values)
    if box is None:
        return labels
    for value, structure in meaning.items():
        if structure.label:
            labels[box.slices][values[box.slices] == value] = structure.label
    return labels


def _counted(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    """Return the values that occur and their counts; counting is faster than sorting."""
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() < 2**16:
        numbers = np.bincount(values.ravel())
        return [float(value) for value in np.flatnonzero(numbers)], numbers[numbers > 0].tolist()
    found, numbers = np.unique(values, return_counts=True)
    return [float(value) for value in found], numbers.tolist()


def _measure_organ(image: Volume, labels: NDArray[np.uint8], box: Box, *, spaced: bool) -> dict[str, Any]:
    """Measure pancreas and tumour within their box."""
    voxel_ml = image.voxel_volume_ml if spaced else None
    counts = np.bincount(labels.ravel(), minlength=3)
    lesions = _lesions(labels, image.spacing_mm if spaced else None, voxel_ml)
    organ = labels > 0
    pieces = sorted(find_components(organ).voxels.tolist(), reverse=True)
    ends = [
        (name, distance)
        for code, start, stop, size in zip(image.orientation, box.start, box.stop, image.shape, strict=True)
        for name, distance in zip(_ENDS[code], (start, size - stop), strict=True)
    ]
    return {
        "pancreas_ml": None if voxel_ml is None else float(counts[Label.PANCREAS] * voxel_ml),
        "tumour_ml": None if voxel_ml is None else float(counts[Label.TUMOUR] * voxel_ml),
        "lesions": tuple(lesions[:MOST_LISTED]),
        "lesion_count": len(lesions),
        "pieces": tuple(pieces[:MOST_LISTED]),
        "start": box.start,
        "stop": box.stop,
        "border_voxels": dict(ends),
        "turned": show_turned(image.voxels, organ, box, orientation=image.orientation),
    }


def _lesions(
    labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float] | None, voxel_ml: float | None
) -> list[LabelledLesion]:
    """Return the lesions, largest first."""
    found = find_components(labels == Label.TUMOUR)
    lesions = []
    for number, place in enumerate(ndimage.find_objects(found.labels) if found.count else [], start=1):
        box = Box(tuple(part.start for part in place), tuple(part.stop for part in place)).shift(found.box.start)
        wide = box.expand(1).clip(labels.shape)
        margins = [(a - b, d - c) for a, b, c, d in zip(box.start, wide.start, box.stop, wide.stop, strict=True)]
        piece = np.pad(found.labels[place] == number, margins)
        near = ndimage.binary_dilation(piece, np.ones((3, 3, 3), bool))
        voxels = int(found.voxels[number - 1])
        lesions.append(
            LabelledLesion(
                voxels=voxels,
                volume_ml=None if voxel_ml is None else voxels * voxel_ml,
                extent_mm=None if spacing_mm is None else max(np.multiply(box.shape, spacing_mm).tolist()),
                touches_pancreas=bool((near & (labels[wide.slices] == Label.PANCREAS)).any()),
            )
        )
    return sorted(lesions, key=lambda lesion: -lesion.voxels)


def _outside_body(image: Volume, organ: NDArray[np.bool_], box: Box) -> float:
    """Return the share of a mask outside the body, on a grid of about 4 mm."""
    body, steps = find_body(image)
    indices = np.nonzero(organ)
    coarse = tuple((index + start) // step for index, start, step in zip(indices, box.start, steps, strict=True))
    return round(1 - float(body[coarse].mean()), 4)


BODY_STEP_MM, SKIN_HU = 4.0, -300


def find_body(image: Volume) -> tuple[NDArray[np.bool_], list[int]]:
    """Return the body with enclosed air: the largest component denser than `SKIN_HU` on a coarse grid.

    Args:
        image: (I, J, K) HU.

    Returns:
        The body on every n-th voxel of the scan, dilated by one voxel, and n for each axis.
    """
    steps = [max(1, round(BODY_STEP_MM / spacing)) for spacing in image.spacing_mm]
    dense = image.voxels[:: steps[0], :: steps[1], :: steps[2]] > SKIN_HU
    # A table touches the patient in few voxels; the opening separates them. It must not erase scans of few slices.
    across = np.zeros((3, 3, 3), bool)
    along = int(np.argmax(np.abs(image.affine[2, :3] / image.spacing_mm)))
    across[tuple(slice(1, 2) if axis == along else slice(None) for axis in range(3))] = True
    pieces, count = ndimage.label(ndimage.binary_opening(dense, across))
    if count == 0:
        return np.zeros_like(dense), steps
    body = pieces == int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    for k in range(body.shape[along]):
        plane = tuple(k if axis == along else slice(None) for axis in range(3))
        body[plane] = ndimage.binary_fill_holes(body[plane])
    return ndimage.binary_dilation(body), steps
