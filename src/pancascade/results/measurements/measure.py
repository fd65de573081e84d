"""Measure the pancreas and the lesions of one segmented scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.errors import GeometryError, ScanError
from pancascade.imaging.volume import Box, Volume, crop
from pancascade.labels import Label
from pancascade.results.measurements.centre_line import centre_line, part_of
from pancascade.results.measurements.confidence import lesion_confidence
from pancascade.results.measurements.diameters import axial_diameters, body_axis, diameter_3d_mm
from pancascade.results.measurements.polyline import Line, length_mm
from pancascade.results.measurements.table import Lesion, Measurements, Organ, Point
from pancascade.results.measurements.vessels import vessel_contact

_ALL_26 = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """Data that the lesions of a scan share; arrays cover the organ's box.

    Attributes:
        first_slice: First slice of the organ's box in the scan, along the body.
        line: Centre line of the organ.
        hu: Hounsfield units (I, J, K).
        parenchyma_hu: Mean of the pancreas outside all lesions.
        probability: Tumour probability (I, J, K).
        vessels: Masks by name.
    """

    first_slice: int
    line: Line | None
    hu: NDArray[Any] | None
    parenchyma_hu: float | None
    probability: NDArray[np.floating] | None
    vessels: Mapping[str, Volume]


def measure_scan(
    mask: Volume,
    *,
    scan: Volume | None = None,
    tumour_probability: NDArray[np.floating] | None = None,
    vessels: Mapping[str, Volume] | None = None,
) -> Measurements:
    """Measure the pancreas and each of its lesions.

    A lesion is a 26-connected component of the tumour. Only the box of pancreas and tumour is measured.

    Args:
        mask: Labels (I, J, K), ids of `Label`; other values are background.
        scan: Hounsfield units on the same grid; voxels that are not finite are left out of means.
        tumour_probability: (I, J, K) in [0, 1], on the same grid.
        vessels: Masks by name, on the same grid, each with at least one voxel.

    Returns:
        The measurements; without organ and lesions where the mask holds neither.

    Raises:
        GeometryError: Scan, probabilities or a vessel are not on the mask's grid.
        ScanError: A vessel's mask is empty.
    """
    vessels = vessels or {}
    _require_one_grid(mask, scan, tumour_probability, vessels)
    box = Box.around(mask.voxels)
    if box is None:
        return Measurements()
    labels = crop(mask, box)
    hu = None if scan is None else crop(scan, box).voxels
    probability = None if tumour_probability is None else tumour_probability[box.slices]
    tumour, parenchyma = labels.voxels == Label.TUMOUR, labels.voxels == Label.PANCREAS
    organ = labels.with_voxels(tumour | parenchyma)
    if not organ.voxels.any():
        return Measurements()
    line = centre_line(organ)
    parenchyma_hu = _mean_hu(hu, parenchyma)
    near = {name: _cropped(vessel, name) for name, vessel in vessels.items()}
    around = _Surroundings(box.start[body_axis(mask.affine)], line, hu, parenchyma_hu, probability, near)
    found = enumerate(_lesions(labels.with_voxels(tumour)), start=1)
    lesions = tuple(_measure_lesion(number, lesion, place, around) for number, (lesion, place) in found)
    return Measurements(organ=_measure_organ(organ, parenchyma, line, parenchyma_hu), lesions=lesions)


def _require_one_grid(
    mask: Volume, scan: Volume | None, probability: NDArray[Any] | None, vessels: Mapping[str, Volume]
) -> None:
    others = ([("scan", scan)] if scan is not None else []) + [(f"mask of {name}", v) for name, v in vessels.items()]
    for what, other in others:
        if not other.on_same_grid_as(mask):
            raise GeometryError(
                f"{other.name}: the {what} is not on the grid of the segmented scan {mask.name}: shape {other.shape}, "
                f"orientation {other.orientation} against {mask.shape}, {mask.orientation}, or another place. "
                "Resample it onto that grid."
            )
    if probability is not None and probability.shape != mask.shape:
        raise GeometryError(
            f"{mask.name}: the tumour's probabilities have shape {probability.shape}, the mask {mask.shape}. "
            "Give those of the same scan."
        )


def _lesions(tumour: Volume) -> list[tuple[Volume, Box]]:
    """Return the components of a mask in their boxes, the largest first; equal ones by position in the patient."""
    components, count = ndimage.label(tumour.voxels, structure=_ALL_26)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    found = []
    for number, place in enumerate(ndimage.find_objects(components), start=1):
        box = Box(tuple(part.start for part in place), tuple(part.stop for part in place))
        lesion = crop(tumour, box).with_voxels(components[place] == number)
        found.append((int(sizes[number - 1]), lesion, box))
    found.sort(key=lambda one: (-one[0], *np.round(_centroid_mm(one[1]), 3)))
    return [(lesion, box) for _, lesion, box in found]


def _measure_lesion(number: int, lesion: Volume, box: Box, around: _Surroundings) -> Lesion:
    diameters = axial_diameters(lesion)
    in_scan = diameters.slice_index + box.start[body_axis(lesion.affine)] + around.first_slice
    centroid = _centroid_mm(lesion)
    probability = None if around.probability is None else around.probability[box.slices]
    return Lesion(
        number=number,
        volume_ml=_volume_ml(lesion),
        diameters=diameters.model_copy(update={"slice_index": in_scan}),
        diameter_3d_mm=diameter_3d_mm(lesion),
        centroid_mm=centroid,
        part=None if around.line is None else part_of(centroid, around.line),
        mean_hu=None if around.hu is None else _mean_hu(around.hu[box.slices], lesion.voxels),
        parenchyma_hu=around.parenchyma_hu,
        confidence=None if probability is None else lesion_confidence(lesion, probability),
        vessels=tuple(vessel_contact(lesion, vessel, name) for name, vessel in around.vessels.items()),
    )


def _measure_organ(
    organ: Volume, parenchyma: NDArray[np.bool_], line: Line | None, parenchyma_hu: float | None
) -> Organ:
    return Organ(
        volume_ml=_volume_ml(organ),
        parenchyma_ml=_volume_ml(organ.with_voxels(parenchyma)),
        length_mm=None if line is None else length_mm(line),
        mean_hu=parenchyma_hu,
        centre_line_mm=() if line is None else tuple((x, y, z) for x, y, z in line.tolist()),
    )


def _cropped(vessel: Volume, name: str) -> Volume:
    box = Box.around(vessel.voxels)
    if box is None:
        raise ScanError(f"{vessel.name}: the mask of {name} holds no voxel. Leave this vessel out.")
    return crop(vessel, box)


def _volume_ml(mask: Volume) -> float:
    return int(np.count_nonzero(mask.voxels)) * mask.voxel_volume_ml


def _centroid_mm(mask: Volume) -> Point:
    x, y, z = (mask.affine[:3, :3] @ np.argwhere(mask.voxels).mean(axis=0) + mask.affine[:3, 3]).tolist()
    return x, y, z


def _mean_hu(hu: NDArray[Any] | None, inside: NDArray[np.bool_]) -> float | None:
    """Return the mean of the finite values inside a mask; None if there are none."""
    if hu is None:
        return None
    values = hu[inside].astype(np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
