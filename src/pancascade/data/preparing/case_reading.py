"""Reading of a case for a store: resampling and selection of slices."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.data.readers import AxialSlice, Case, LabelledScan
from pancascade.data.readers.case import each_axial_slice
from pancascade.data.store.grids import grid_of
from pancascade.data.store.options import PrepareOptions, keeps
from pancascade.data.store.prepared_case import SliceCounts, StoreGrid
from pancascade.errors import DataError
from pancascade.imaging.volume import Volume, reorient, resample_to_spacing
from pancascade.labels import Label

_NUMBER = re.compile(r"_z(\d+)$")


@dataclass(frozen=True)
class PlacedSlice:
    """One slice and its position in the patient.

    Attributes:
        axial: The slice.
        number: Index from the feet, from 0; None if the source has none.
        z_mm: Position of its centre towards the head; None if the source has none.
        pancreas_pixels: Pixels of pancreas, including tumour.
        tumour_pixels: Pixels of tumour.
    """

    axial: AxialSlice
    number: int | None
    z_mm: float | None
    pancreas_pixels: int
    tumour_pixels: int


@dataclass(frozen=True)
class CaseReading:
    """Data of a case for a store.

    Attributes:
        slices: The kept slices; can be iterated once.
        count: Number of kept slices.
        shape: Rows and columns of the slices; None without slices.
        found: Counts of the source, before resampling and selection.
        grid: Grid of the volume of the slices; None for single slices.
        scan_grid: Grid of the scan before resampling.
        pancreas_ml: Volume in the scan, including tumour.
        tumour_ml: Volume of the tumour.
    """

    slices: Iterator[PlacedSlice]
    count: int
    shape: tuple[int, int] | None
    found: SliceCounts
    grid: StoreGrid | None = None
    scan_grid: StoreGrid | None = None
    pancreas_ml: float | None = None
    tumour_ml: float | None = None


def read_case(case: Case, options: PrepareOptions) -> CaseReading:
    """Read a case.

    Raises:
        ScanError: A file cannot be read, or the scan is no CT in Hounsfield units.
        DataError: The label map does not fit, or single slices do not allow the options.
    """
    return _of_slices(case, options) if case.scan is None else _of_scan(case, case.scan, options)


def _of_scan(case: Case, scan: LabelledScan, options: PrepareOptions) -> CaseReading:
    image, labels = scan.read_ct()
    scan_grid, voxel_ml = grid_of(image), image.voxel_volume_ml
    image, labels = reorient(image, "LPS"), reorient(labels, "LPS")
    pancreas, tumour = _pixels(labels)
    found = _counts(pancreas, tumour)
    organ_ml, lesion_ml = float(pancreas.sum()) * voxel_ml, float(tumour.sum()) * voxel_ml
    if options.spacing_mm is not None:
        image, labels = (
            _resampled(image, options.spacing_mm),
            resample_to_spacing(_in_order(labels), options.spacing_mm, order=0),
        )
        pancreas, tumour = _pixels(labels)
    kept = [
        k
        for k in range(image.shape[2])
        if keeps(options.keep, pancreas_pixels=int(pancreas[k]), tumour_pixels=int(tumour[k]))
    ]
    grid = grid_of(image)
    heights_mm = _heights_mm(image)

    def placed() -> Iterator[PlacedSlice]:
        wanted = set(kept)
        for k, axial in enumerate(each_axial_slice(image, labels, name=case.name, patient=case.patient)):
            if k in wanted:
                yield PlacedSlice(axial, k, float(heights_mm[k]), int(pancreas[k]), int(tumour[k]))

    return CaseReading(
        placed(), len(kept), (image.shape[1], image.shape[0]), found, grid, scan_grid, organ_ml, lesion_ml
    )


def _of_slices(case: Case, options: PrepareOptions) -> CaseReading:
    place = case.files[0] if case.files else case.name
    if options.kind == "volumes":
        raise DataError(f"{place}: a single slice, no volume. Prepare slices or pictures of this data set.")
    if options.spacing_mm is not None:
        raise DataError(f"{place}: a single slice, which cannot be resampled. Keep the native spacing.")
    slices = [_placed(axial) for axial in case.read_slices()]
    if not slices:
        raise DataError(f"{place}: has no slices. Remove the case.")
    shapes = {one.axial.hu.shape for one in slices}
    if len(shapes) > 1:
        raise DataError(f"{place}: its slices differ in size ({sorted(shapes)}). Make each a case of its own.")
    found = _counts(*(np.array([getattr(one, key) for one in slices]) for key in ("pancreas_pixels", "tumour_pixels")))
    kept = [
        one
        for one in slices
        if keeps(options.keep, pancreas_pixels=one.pancreas_pixels, tumour_pixels=one.tumour_pixels)
    ]
    height, width = slices[0].axial.hu.shape
    return CaseReading(iter(kept), len(kept), (height, width), found)


def _placed(axial: AxialSlice) -> PlacedSlice:
    number = _NUMBER.search(axial.name)
    return PlacedSlice(
        axial,
        None if number is None else int(number[1]),
        None,
        int(np.count_nonzero(axial.labels)),
        int(np.count_nonzero(axial.labels == Label.TUMOUR)),
    )


def _pixels(labels: Volume) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the pixels of pancreas with tumour, and of tumour, for each slice along the third axis."""
    planes: Sequence[npt.NDArray[Any]] = [labels.voxels[:, :, k] for k in range(labels.shape[2])]
    organ = np.array([np.count_nonzero(plane) for plane in planes])
    return organ, np.array([np.count_nonzero(plane == Label.TUMOUR) for plane in planes])


def _counts(pancreas: npt.NDArray[Any], tumour: npt.NDArray[Any]) -> SliceCounts:
    return SliceCounts(
        slices=len(pancreas),
        with_pancreas=int(np.count_nonzero(pancreas)),
        with_tumour=int(np.count_nonzero(tumour)),
    )


def _in_order(volume: Volume) -> Volume:
    # Flipped axes run backwards in memory, which takes SciPy several times as long.
    return volume.with_voxels(np.asfortranarray(volume.voxels))


def _resampled(image: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    resampled = resample_to_spacing(_in_order(image), spacing_mm, order=1)
    limits = np.iinfo(np.int16)
    # Slices are truncated to integers, which would lower interpolated values by 0.5 HU on average.
    rounded = np.rint(resampled.voxels, out=resampled.voxels)
    return resampled.with_voxels(np.clip(rounded, limits.min, limits.max, out=rounded).astype(np.int16))


def _heights_mm(image: Volume) -> npt.NDArray[np.float64]:
    """Return the height of each slice's centre; in an oblique grid heights vary within a slice."""
    i, j, slices = image.shape
    middle = image.affine[2, 0] * (i - 1) / 2 + image.affine[2, 1] * (j - 1) / 2 + image.affine[2, 3]
    heights: npt.NDArray[np.float64] = middle + image.affine[2, 2] * np.arange(slices)
    return heights
