"""Quantities of a case in one number each: columns of the fingerprint's table, rows of its summary."""

from collections.abc import Callable
from typing import NamedTuple

from pancascade.data.describing.case_fingerprint import CaseFingerprint, Tissue

Number = float | None


class Quantity(NamedTuple):
    """One number of a case.

    Attributes:
        key: Name in files; ends with the unit.
        title: Title for display.
        unit: Unit for display; may be empty.
        of: Returns the number of a case; None if the case has none.
    """

    key: str
    title: str
    unit: str
    of: Callable[[CaseFingerprint], Number]

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


def _size_mm(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: case.in_mm(case.size_vox)[axis]


def _box_mm(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.box_vox is None else case.in_mm(case.box_vox)[axis]


def _slice_box_mm(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.slice_box_vox is None else case.in_mm(case.slice_box_vox)[axis]


def _slice_box_vox(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.slice_box_vox is None else case.slice_box_vox[axis]


def _in_body_percent(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.centre_in_body is None else 100 * case.centre_in_body[axis]


def _in_image_percent(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.centre_in_image is None else 100 * case.centre_in_image[axis]


def _mean_hu(tissue: Tissue) -> Callable[[CaseFingerprint], Number]:
    return lambda case: case.hu[tissue].mean_hu if tissue in case.hu else None


def _pixel_mm(axis: int) -> Callable[[CaseFingerprint], Number]:
    return lambda case: None if case.pixel_mm is None else case.pixel_mm[axis]


def _tumour_percent(case: CaseFingerprint) -> Number:
    return 100 * case.tumour_ml / case.pancreas_ml if case.tumour_ml and case.pancreas_ml else None


def _height_percent(case: CaseFingerprint) -> Number:
    # A single picture has no height.
    return None if case.slice_distance_mm is None else _in_image_percent(2)(case)


QUANTITIES: dict[str, tuple[Quantity, ...]] = {
    "Grid": (
        Quantity("columns", "columns (right to left)", "", lambda case: case.size_vox[0]),
        Quantity("rows", "rows (front to back)", "", lambda case: case.size_vox[1]),
        Quantity("slices", "axial slices", "", lambda case: case.size_vox[2]),
        Quantity("width_mm", "width of the image", "mm", _size_mm(0)),
        Quantity("depth_mm", "depth of the image", "mm", _size_mm(1)),
        Quantity("length_mm", "length of the scan", "mm", lambda case: case.in_mm(case.size_vox)[2]),
        Quantity("column_spacing_mm", "pixel spacing, right to left", "mm", _pixel_mm(0)),
        Quantity("row_spacing_mm", "pixel spacing, front to back", "mm", _pixel_mm(1)),
        Quantity("slice_distance_mm", "slice distance", "mm", lambda case: case.slice_distance_mm),
        Quantity("slice_thickness_mm", "slice thickness (DICOM)", "mm", lambda case: case.slice_thickness_mm),
    ),
    "Pancreas (with tumour)": (
        Quantity("pancreas_ml", "volume of the pancreas", "mL", lambda case: case.pancreas_ml or None),
        Quantity("slices_with_pancreas", "slices with pancreas", "", lambda case: case.slices_with_pancreas or None),
        Quantity(
            "share_with_pancreas_percent",
            "share of slices with pancreas",
            "%",
            lambda case: 100 * case.slices_with_pancreas / case.size_vox[2] or None,
        ),
        Quantity("box_width_mm", "box, right to left", "mm", _box_mm(0)),
        Quantity("box_depth_mm", "box, front to back", "mm", _box_mm(1)),
        Quantity("box_length_mm", "box, feet to head", "mm", _box_mm(2)),
        Quantity("slice_box_width_mm", "largest box in one slice, right to left", "mm", _slice_box_mm(0)),
        Quantity("slice_box_depth_mm", "largest box in one slice, front to back", "mm", _slice_box_mm(1)),
        Quantity("slice_box_columns", "largest box in one slice, right to left", "pixels", _slice_box_vox(0)),
        Quantity("slice_box_rows", "largest box in one slice, front to back", "pixels", _slice_box_vox(1)),
        Quantity("body_x_percent", "centre, from the right, of the body's width", "%", _in_body_percent(0)),
        Quantity("body_y_percent", "centre, from the front, of the body's depth", "%", _in_body_percent(1)),
        Quantity("image_x_percent", "centre, from the right, of the image's width", "%", _in_image_percent(0)),
        Quantity("image_y_percent", "centre, from the front, of the image's depth", "%", _in_image_percent(1)),
        Quantity("scan_z_percent", "centre, from the feet, of the scan's length", "%", _height_percent),
    ),
    "Tumour": (
        Quantity("tumour_ml", "volume of the tumour", "mL", lambda case: case.tumour_ml or None),
        Quantity("tumour_share_percent", "share of the pancreas that is tumour", "%", _tumour_percent),
        Quantity("lesions", "lesions in a scan with tumour", "", lambda case: len(case.lesions or ()) or None),
        Quantity(
            "largest_diameter_mm",
            "longest diameter of a scan's lesions",
            "mm",
            lambda case: max((lesion.diameter_mm for lesion in case.lesions or ()), default=None),
        ),
        Quantity("slices_with_tumour", "slices with tumour", "", lambda case: case.slices_with_tumour or None),
        Quantity(
            "share_with_tumour_percent",
            "share of slices with tumour",
            "%",
            lambda case: 100 * case.slices_with_tumour / case.size_vox[2] or None,
        ),
    ),
    "Hounsfield units": (
        Quantity("pancreas_mean_hu", "mean of the pancreas with tumour", "HU", _mean_hu(Tissue.PANCREAS)),
        Quantity("parenchyma_mean_hu", "mean of the pancreas without tumour", "HU", _mean_hu(Tissue.PARENCHYMA)),
        Quantity("tumour_mean_hu", "mean of the tumour", "HU", _mean_hu(Tissue.TUMOUR)),
        Quantity("contrast_hu", "contrast, tumour − pancreas without it", "HU", lambda case: case.contrast_hu),
    ),
}
"""Quantities by heading. Zero becomes None for organ and tumour, so that summaries cover only cases that have them."""

BY_KEY = {quantity.key: quantity for quantities in QUANTITIES.values() for quantity in quantities}
