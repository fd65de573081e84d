from pathlib import Path

import numpy as np
import pytest

from pancascade.errors import GeometryError, NotCTError
from pancascade.imaging.io import read_scan, read_volume, require_ct, require_hounsfield
from pancascade.imaging.volume import Volume, crop, reorient
from pancascade.imaging.volume.box import Box
from work_done import peak_bytes


def spaced(ct: Volume, *spacing_mm: float) -> Volume:
    return Volume(ct.voxels, np.diag([*spacing_mm, 1.0]), ct.source)


def test_an_ordinary_ct_passes_without_a_word(ct):
    assert require_ct(ct) == []
    assert require_ct(ct.with_voxels(ct.voxels.astype(np.float32))) == []


@pytest.mark.parametrize("codes", ["RAS", "SAR", "ILP"])
def test_the_verdict_does_not_depend_on_the_order_of_axes(ct, codes):
    assert require_ct(reorient(ct, codes)) == []


@pytest.mark.parametrize(
    ("change", "reason", "code"),
    [
        (lambda hu: np.full_like(hu, 40), "all voxels are 40", "no_picture"),
        (lambda hu: hu > 0, "type bool", "labels_not_hu"),
        (lambda hu: (hu > 0).astype(np.uint8), "grey values or labels", "labels_not_hu"),
        (lambda hu: np.clip((hu + 1000) / 8, 0, 255).astype(np.uint8), "grey values or labels", "labels_not_hu"),
        (lambda hu: (np.clip(hu, -160, 240) + 160) / 400, "grey values or labels", "labels_not_hu"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "looks normalised", "normalised"),
        (lambda hu: np.clip(hu, -200, 200) / 200, "looks normalised", "normalised"),
        (lambda hu: np.maximum(hu + 1024, 0), "subtract 1024", "rescale_missing"),
        (lambda hu: np.where(hu < -990, -2000, hu + 1024), "subtract 1024", "rescale_missing"),
        (lambda hu: np.where(hu < -500, 0, hu + 300), "MR or PET", "looks_like_mr"),
        (lambda hu: np.where(hu < -500, -2, hu + 300), "looks like MR", "looks_like_mr"),
        (lambda hu: hu - 2000, "none above 0", "rescale_missing"),
        (lambda hu: np.where(hu > 200, 100, hu - 1024), "no soft tissue", "rescale_missing"),
        (lambda hu: hu.astype(np.int32) * 100, "far outside", "values_impossible"),
    ],
)
def test_what_cannot_be_hounsfield_units_is_refused_with_the_likely_cause(ct, change, reason, code):
    with pytest.raises(NotCTError, match=rf"scan\.nii\.gz: .*{reason}") as refused:
        require_ct(ct.with_voxels(change(ct.voxels)))
    assert refused.value.code == code


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_voxel_that_is_no_number_is_found_and_counted(ct, bad):
    voxels = ct.voxels.astype(np.float32)
    voxels[31, 17, 5] = bad
    with pytest.raises(NotCTError, match="1 of 49152 voxels are NaN or infinite") as refused:
        require_ct(ct.with_voxels(voxels))
    assert refused.value.code == "not_finite"


@pytest.mark.parametrize(
    ("spacing_mm", "reason", "code"),
    [
        ((0.05, 5, 5), "spacing is 0.05 mm along axis 0", "spacing_impossible"),
        ((5, 5, 25), "spacing is 25 mm along axis 2", "spacing_impossible"),
        ((5000, 5000, 5000), "Check the header's units", "spacing_impossible"),
        ((0.5, 5, 5), "only 32 mm along in-plane axis 0", "too_small"),
    ],
)
def test_a_spacing_or_extent_no_ct_has_is_refused(ct, spacing_mm, reason, code):
    with pytest.raises(GeometryError, match=rf"scan\.nii\.gz: .*{reason}") as refused:
        require_ct(spaced(ct, *spacing_mm))
    assert refused.value.code == code


def test_too_few_and_too_many_voxels_are_refused(ct):
    with pytest.raises(GeometryError, match="only 15 voxels along in-plane axis 1"):
        require_ct(crop(ct, Box((0, 0, 0), (64, 15, 12))))
    with pytest.raises(GeometryError, match=r"too many for a CT scan\. Crop or resample"):
        require_ct(Volume(np.broadcast_to(np.int16(0), (3001, 64, 12)), np.eye(4)))
    with pytest.raises(GeometryError, match="too many"):
        require_ct(Volume(np.broadcast_to(np.int16(0), (2000, 2000, 600)), np.eye(4)))


@pytest.mark.parametrize(
    ("spacing_mm", "code", "warning", "values"),
    [
        ((5.5, 5.5, 8), "thick_slices", "slices are 8.0 mm apart", {"apart_mm": 8}),
        ((5.5, 4, 5), "pixels_not_square", "pixels are not square", {"first_mm": 5.5, "second_mm": 4}),
        (
            (3, 3, 5),
            "narrow_field",
            "only 192 mm from left to right",
            {"extent_mm": 192, "direction": "from left to right"},
        ),
        (
            (2, 2, 5),
            "narrow_field",
            "only 128 mm from front to back",
            {"extent_mm": 128, "direction": "from front to back"},
        ),
    ],
)
def test_an_unusual_grid_is_a_warning_with_its_numbers(ct, spacing_mm, code, warning, values):
    notice = next(each for each in require_ct(spaced(ct, *spacing_mm)) if warning in str(each))
    assert str(notice).startswith("scan.nii.gz: ")
    assert (notice.code, notice.severity, notice.about) == (code, "warning", "input")
    assert notice.values == values


def test_few_slices_are_a_warning_even_a_single_one(ct):
    (warning,) = require_ct(crop(ct, Box((0, 0, 5), (64, 64, 6))))
    assert "only 1 slice;" in str(warning)
    assert (warning.code, warning.values) == ("few_slices", {"slices": 1})


def test_a_turned_grid_is_a_warning(ct):
    cosine, sine = np.cos(0.5), np.sin(0.5)
    turned = ct.affine.copy()
    turned[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ ct.affine[:3, :3]
    (warning,) = require_ct(Volume(ct.voxels, turned))
    assert "rotated by 29 degrees" in str(warning)
    assert warning.code == "grid_turned"


@pytest.mark.parametrize(
    ("change", "code", "warning"),
    [
        (lambda hu: np.clip(hu, -160, 240), "no_air", "nothing below -160 HU"),
        (lambda hu: np.minimum(hu, 150), "no_bone", "nothing above 150 HU"),
        (lambda hu: np.where(hu > 420, 30000, hu), "extreme_values", "check for metal or padding"),
    ],
)
def test_unusual_values_are_a_warning(ct, change, code, warning):
    (found,) = require_ct(ct.with_voxels(change(ct.voxels)))
    assert warning in str(found)
    assert found.code == code


def test_padding_outside_the_field_of_view_is_ordinary(ct):
    assert require_ct(ct.with_voxels(np.where(ct.voxels < -990, -3024, ct.voxels))) == []


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["example_ct", "example_ct_sm", "msd_liver_0_upper_abdomen", "pancreatic_ct_cb_001_upper_abdomen"],
)
def test_real_scans_pass(shared_data: Path, name: str):
    scan = read_scan(shared_data / "scans" / f"{name}.nii.gz")
    assert require_ct(scan) == []
    assert scan.voxels.dtype.kind == "i"


@pytest.mark.shared
def test_a_real_label_map_is_refused(shared_data: Path):
    with pytest.raises(NotCTError, match=r"example_seg\.nii\.gz: .*labels"):
        read_scan(shared_data / "scans" / "example_seg.nii.gz")


@pytest.mark.shared
def test_a_full_size_scan_passes(shared_data: Path):
    scan = read_volume(shared_data / "nih_volumes" / "PANCREAS_0001_ct.nii.gz")
    assert require_ct(scan) == []
    assert scan.shape == (512, 512, 240)
    assert scan.voxels.dtype == np.int16


def test_a_large_scan_is_judged_without_a_copy_of_it(ct):
    scan = Volume(np.tile(ct.voxels, (4, 4, 12)), ct.affine, ct.source)
    assert scan.voxels.nbytes > 18_000_000
    assert peak_bytes(lambda: require_ct(scan)) < scan.voxels.nbytes / 4


@pytest.mark.parametrize("judge", [require_ct, require_hounsfield])
@pytest.mark.parametrize("spacing_mm", [1e6, 500.0, 0.01, 1e-6])
def test_an_absurd_spacing_is_told_with_its_file_by_whoever_reads_ct(ct, judge, spacing_mm):
    with pytest.raises(
        GeometryError, match=rf"voxel spacing is {spacing_mm:g} mm along axis 1".replace("+", r"\+")
    ) as error:
        judge(spaced(ct, 2.0, spacing_mm, 2.0))
    assert error.value.code == "spacing_impossible"
    assert str(error.value).startswith(ct.name)
