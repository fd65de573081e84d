"""The fingerprint of one case: measurements of its grid, Hounsfield units, pancreas and lesions."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.data.describing.hu_histogram import HuCounter, HuStatistics, TissueHu
from pancascade.data.readers import Case, LabelledScan
from pancascade.errors import DataError
from pancascade.imaging.io import choose_series, find_series
from pancascade.imaging.preprocessing.patient_box import patient_box
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import Label
from pancascade.metrics.lesions import find_components
from pancascade.settings import Settings


class Tissue(StrEnum):
    """Tissues whose Hounsfield units are counted."""

    SCAN = "scan"
    PANCREAS = "pancreas with tumour"
    PARENCHYMA = "pancreas without tumour"
    TUMOUR = "tumour"


class FingerprintLesion(Settings):
    """A 26-connected component of the tumour.

    Attributes:
        volume_ml: Volume.
        diameter_mm: Longest diameter in an axial slice.
    """

    volume_ml: float
    diameter_mm: float


class CaseFingerprint(Settings):
    """Measurements of one case. Triples go from right to left, from front to back, and from feet to head.

    The pancreas is the whole organ with its tumour. None means that the source has no value: single pictures have no
    spacing, and slices of a scan no distance.

    Attributes:
        case: Name of the case.
        patient: Patient of the case.
        source: Name of the data set.
        size_vox: Voxels along each axis; the third number is the number of axial slices.
        pixel_mm: Spacing within a slice, right to left and front to back.
        slice_distance_mm: Distance from slice to slice.
        slice_thickness_mm: SliceThickness of DICOM.
        orientation: Orientation of the file's axes.
        hu: Statistics of the Hounsfield units of each tissue of the case.
        not_finite: Number of NaN and infinite voxels, which are left out.
        pancreas_ml: Volume of the pancreas; 0 without one.
        tumour_ml: Volume of the tumour; 0 without one.
        lesions: Components of the tumour, the largest first.
        slices_with_pancreas: Number of axial slices that show pancreas or tumour.
        slices_with_tumour: Number of axial slices that show tumour.
        box_vox: Size of the bounding box of the pancreas.
        slice_box_vox: Largest width and largest height of the pancreas's box over all axial slices.
        centre_in_image: Centre of mass of the pancreas, 0…1 of the image along each axis.
        centre_in_body: The same within the box of the body, first two axes; None if the body fills the image.
    """

    case: str
    patient: str
    source: str
    size_vox: tuple[int, int, int]
    pixel_mm: tuple[float, float] | None
    slice_distance_mm: float | None
    slice_thickness_mm: float | None
    orientation: str | None
    hu: dict[Tissue, HuStatistics]
    not_finite: int
    pancreas_ml: float | None
    tumour_ml: float | None
    lesions: tuple[FingerprintLesion, ...] | None
    slices_with_pancreas: int
    slices_with_tumour: int
    box_vox: tuple[int, int, int] | None
    slice_box_vox: tuple[int, int] | None
    centre_in_image: tuple[float, float, float] | None
    centre_in_body: tuple[float, float] | None

    @property
    def contrast_hu(self) -> float | None:
        """Mean HU of the tumour minus mean HU of the pancreas without it; None without one of them."""
        tumour, parenchyma = self.hu.get(Tissue.TUMOUR), self.hu.get(Tissue.PARENCHYMA)
        return None if tumour is None or parenchyma is None else tumour.mean_hu - parenchyma.mean_hu

    def in_mm(self, vox: tuple[int, int, int] | tuple[int, int] | None) -> tuple[float | None, ...]:
        """Return sizes along the axes in mm; None where the spacing is unknown."""
        spacing_mm = (*(self.pixel_mm or (None, None)), self.slice_distance_mm)
        return tuple(
            None if spacing is None else size * spacing for size, spacing in zip(vox or (), spacing_mm, strict=False)
        )


class MeasuredCase(Settings):
    """Fingerprint of a case, and its histograms, which are pooled over the data set.

    Attributes:
        fingerprint: The measurements.
        tissues: Histogram of the Hounsfield units of each tissue.
    """

    fingerprint: CaseFingerprint
    tissues: dict[Tissue, TissueHu]


@dataclass(frozen=True, eq=False)
class _Image:
    """Arrays (I, J, K) to measure, from right to left, front to back, feet to head."""

    hu: NDArray[Any]
    labels: NDArray[np.uint8]
    pixel_mm: tuple[float, float] | None = None
    slice_distance_mm: float | None = None
    voxel_ml: float | None = None
    orientation: str | None = None
    slice_thickness_mm: float | None = None


def measure_case(case: Case) -> MeasuredCase:
    """Read a case and measure it.

    Raises:
        ScanError: A file cannot be read, or the scan is no CT in Hounsfield units.
        DataError: Image and label do not fit, the case has no slices, or slices of several sizes.
    """
    image = _of_slices(case) if case.scan is None else _of_scan(case.scan)
    tissues, not_finite = count_tissues(image.hu, image.labels)
    organ, tumour = image.labels > 0, image.labels == Label.TUMOUR
    box = Box.around(organ)
    numbers = CaseFingerprint(
        case=case.name,
        patient=case.patient,
        source=case.source,
        size_vox=_triple(image.hu.shape),
        pixel_mm=image.pixel_mm,
        slice_distance_mm=image.slice_distance_mm,
        slice_thickness_mm=image.slice_thickness_mm,
        orientation=image.orientation,
        hu={tissue: found.statistics for tissue, found in tissues.items()},
        not_finite=not_finite,
        pancreas_ml=_volume_ml(organ, image.voxel_ml),
        tumour_ml=_volume_ml(tumour, image.voxel_ml),
        lesions=_lesions(tumour, image),
        slices_with_pancreas=int(np.count_nonzero(organ.any(axis=(0, 1)))),
        slices_with_tumour=int(np.count_nonzero(tumour.any(axis=(0, 1)))),
        box_vox=None if box is None else _triple(box.shape),
        slice_box_vox=None if box is None else _largest_slice_box(organ[box.slices]),
        **_places(image, organ, box),
    )
    return MeasuredCase(fingerprint=numbers, tissues=tissues)


def count_tissues(hu: NDArray[Any], labels: NDArray[np.uint8]) -> tuple[dict[Tissue, TissueHu], int]:
    """Count the Hounsfield units of the scan and of each labelled tissue, and the non-finite voxels.

    Args:
        hu: Hounsfield units (I, J, K).
        labels: (I, J, K), ids of `pancascade.labels.Label`.
    """
    counters = {tissue: HuCounter() for tissue in Tissue}
    for k in range(hu.shape[2]):  # a whole scan in float64 would take half a gigabyte
        seen, marked = hu[:, :, k], labels[:, :, k]
        counters[Tissue.SCAN].add(seen)
        if marked.any():
            counters[Tissue.PANCREAS].add(seen[marked > 0])
            counters[Tissue.PARENCHYMA].add(seen[marked == Label.PANCREAS])
            counters[Tissue.TUMOUR].add(seen[marked == Label.TUMOUR])
    found = {tissue: counter.result() for tissue, counter in counters.items()}
    return {tissue: hu for tissue, hu in found.items() if hu is not None}, counters[Tissue.SCAN].not_finite


def _of_scan(scan: LabelledScan) -> _Image:
    read, labels = scan.read_ct()
    shown, marked = reorient(read, "LPS"), reorient(labels, "LPS")
    thickness_mm = choose_series(find_series(scan.image)).thickness_mm if scan.image.is_dir() else None
    across_mm, down_mm, along_mm = shown.spacing_mm
    return _Image(
        shown.voxels,
        marked.voxels,
        pixel_mm=(across_mm, down_mm),
        slice_distance_mm=along_mm,
        voxel_ml=read.voxel_volume_ml,
        orientation=read.orientation,
        slice_thickness_mm=thickness_mm,
    )


def _of_slices(case: Case) -> _Image:
    slices = case.read_slices()
    sizes = {axial.hu.shape for axial in slices}
    if len(sizes) != 1:
        found = "no slices" if not sizes else f"slices of {len(sizes)} sizes"
        raise DataError(f"{case.name}: has {found}; it needs some of one size. Correct the data set's index.")
    spacing_mm = slices[0].spacing_mm
    return _Image(
        np.stack([axial.hu.T for axial in slices], axis=2),
        np.stack([axial.labels.T for axial in slices], axis=2),
        pixel_mm=None if spacing_mm is None else (spacing_mm[1], spacing_mm[0]),
    )


def _volume_ml(mask: NDArray[np.bool_], voxel_ml: float | None) -> float | None:
    return None if voxel_ml is None else int(np.count_nonzero(mask)) * voxel_ml


def _lesions(tumour: NDArray[np.bool_], image: _Image) -> tuple[FingerprintLesion, ...] | None:
    if image.pixel_mm is None or image.slice_distance_mm is None or image.voxel_ml is None:
        return None
    pieces = find_components(tumour)
    diameters_mm = pieces.diameters_mm((*image.pixel_mm, image.slice_distance_mm))
    found = [
        FingerprintLesion(volume_ml=int(voxels) * image.voxel_ml, diameter_mm=float(diameter_mm))
        for voxels, diameter_mm in zip(pieces.voxels, diameters_mm, strict=True)
    ]
    return tuple(sorted(found, key=lambda lesion: (lesion.volume_ml, lesion.diameter_mm), reverse=True))


def _largest_slice_box(organ: NDArray[np.bool_]) -> tuple[int, int]:
    boxes = [box.shape for k in range(organ.shape[2]) if (box := Box.around(organ[:, :, k])) is not None]
    return max(width for width, _ in boxes), max(height for _, height in boxes)


def _places(image: _Image, organ: NDArray[np.bool_], box: Box | None) -> dict[str, Any]:
    """Return the position of the pancreas's centre in the image and in the body."""
    if box is None:
        return {"centre_in_image": None, "centre_in_body": None}
    inside = np.nonzero(organ[box.slices])
    centre = np.array([along.mean() for along in inside]) + box.start + 0.5
    places: dict[str, Any] = {"centre_in_image": tuple((centre / image.hu.shape).tolist()), "centre_in_body": None}
    if image.pixel_mm is not None and image.slice_distance_mm is not None:
        affine = np.diag((-image.pixel_mm[0], -image.pixel_mm[1], image.slice_distance_mm, 1.0))
        body = patient_box(Volume(image.hu, affine), margin_mm=0)
        if body.shape[:2] != image.hu.shape[:2]:
            places["centre_in_body"] = tuple(((centre - body.start) / body.shape)[:2].tolist())
    return places


def _triple(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    first, second, third = numbers
    return first, second, third
