import csv
from pathlib import Path

import numpy as np
import pytest
from solids import all_ways_round, ellipsoid, grid, tube, turned

from pancascade.errors import GeometryError, ScanError
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Box, Volume, crop
from pancascade.results.measurements import Measurements, lesion_confidence, measure_scan

MAPS = Path(__file__).resolve().parents[4] / "shared" / "data" / "panorama_labels"
CENTRES = {"head": (38.0, 0.0, 0.0), "tail": (-38.0, 0.0, 0.0)}


def pancreas(spacing=(1.0, 1.0, 2.5), rotation=None) -> Volume:
    """A straight organ from right to left, a large lesion in its head and a small one in its tail."""
    affine, points = grid(spacing, rotation, half_mm=60)
    labels = tube(affine, points, np.linspace((50, 0, 0), (-50, 0, 0), 300), 9).voxels.astype(np.uint8)
    for place, radius_mm in (("tail", 5), ("head", 8)):
        lesion = ellipsoid(affine, points, centre_mm=CENTRES[place], half_axes_mm=[radius_mm] * 3)
        labels[lesion.voxels] = 2
    return Volume(labels, affine)


def hu_of(mask: Volume) -> Volume:
    return mask.with_voxels(np.array([-100, 90, 40], np.int16)[mask.voxels])


def numbers(found: Measurements) -> list[float]:
    parts = [(lesion.part or "", lesion.number) for lesion in found.lesions]
    values = [found.organ.volume_ml, found.organ.parenchyma_ml, found.organ.length_mm, found.organ.mean_hu]
    for lesion in found.lesions:
        values += [lesion.volume_ml, lesion.diameters.long_mm, lesion.diameters.short_mm, lesion.diameter_3d_mm]
        values += [*lesion.centroid_mm, lesion.mean_hu, lesion.parenchyma_hu]
    return [*values, *(len(part) * number for part, number in parts)]


@pytest.mark.parametrize("rotation", [None, turned(about_x=12, about_z=30)])
def test_lesions_have_their_sizes_places_and_densities(rotation):
    mask = pancreas(rotation=rotation)
    found = measure_scan(mask, scan=hu_of(mask))
    assert [(lesion.number, lesion.part) for lesion in found.lesions] == [(1, "head"), (2, "tail")]
    for lesion, place, radius_mm in zip(found.lesions, ("head", "tail"), (8, 5), strict=True):
        assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * radius_mm**3 / 1000, rel=0.06)
        assert lesion.centroid_mm == pytest.approx(CENTRES[place], abs=0.5)
        assert lesion.diameters.long_mm == pytest.approx(2 * radius_mm, abs=1.5)
        assert lesion.diameters.short_mm == pytest.approx(2 * radius_mm, abs=1.5)
        assert (lesion.mean_hu, lesion.parenchyma_hu) == (40, 90)
    assert found.organ.mean_hu == 90
    assert found.organ.volume_ml == pytest.approx(np.count_nonzero(mask.voxels) * 0.0025)
    assert found.organ.parenchyma_ml == pytest.approx(np.count_nonzero(mask.voxels == 1) * 0.0025)
    assert found.organ.length_mm == pytest.approx(118, abs=5)
    assert found.organ.centre_line_mm[0][0] > 50 > found.organ.centre_line_mm[-1][0]


def test_no_order_of_the_axes_changes_a_number():
    mask = pancreas(spacing=(2.0, 2.0, 3.0))
    expected = numbers(measure_scan(mask, scan=hu_of(mask)))
    for other in list(all_ways_round(mask))[::3]:
        assert numbers(measure_scan(other, scan=hu_of(other))) == pytest.approx(expected, abs=1e-3)


def test_the_slice_is_counted_in_the_whole_scan():
    mask = pancreas()
    lesion = measure_scan(mask).lesions[0]
    ends = np.array(lesion.diameters.long_ends_mm)
    assert ends[:, 2] == pytest.approx(np.full(2, mask.affine[2, 3] + 2.5 * lesion.diameters.slice_index))
    place = np.rint(np.linalg.solve(mask.affine, [*ends.mean(axis=0), 1]))[:3].astype(int)
    assert mask.voxels[tuple(place)] == 2


def test_lesions_that_touch_at_a_corner_are_one():
    voxels = np.zeros((6, 6, 6), np.uint8)
    voxels[1, 1, 1] = voxels[2, 2, 2] = voxels[5, 5, 5] = 2
    found = measure_scan(Volume(voxels, np.eye(4)))
    assert [round(lesion.volume_ml * 1000) for lesion in found.lesions] == [2, 1]


def test_a_single_voxel_is_measured_like_any_lesion():
    voxels = np.zeros((5, 5, 5), np.uint8)
    voxels[2, 2, 2] = 2
    mask = Volume(voxels, np.eye(4))
    probability = np.where(voxels == 2, 0.7, 0.1)
    vessel = mask.with_voxels(np.pad(np.ones((1, 5, 5)), ((0, 4), (0, 0), (0, 0))))
    found = measure_scan(mask, scan=hu_of(mask), tumour_probability=probability, vessels={"vein": vessel})
    (lesion,) = found.lesions
    assert (lesion.volume_ml, lesion.part, lesion.mean_hu, lesion.parenchyma_hu) == (0.001, None, 40, None)
    assert lesion.confidence == pytest.approx(0.7)
    assert lesion.vessels[0].distance_mm == pytest.approx(1)
    assert (found.organ.length_mm, found.organ.mean_hu, found.organ.parenchyma_ml) == (None, None, 0)


def test_voxels_without_a_number_are_left_out_of_means():
    mask = pancreas()
    hu = hu_of(mask).voxels.astype(np.float32)
    hu[tuple(np.argwhere(mask.voxels == 2)[::2].T)] = np.nan
    hu[tuple(np.argwhere(mask.voxels == 1)[::3].T)] = np.inf
    assert measure_scan(mask, scan=mask.with_voxels(hu)).organ.mean_hu == 90
    assert measure_scan(mask, scan=mask.with_voxels(hu)).lesions[0].mean_hu == 40
    nothing = measure_scan(mask, scan=mask.with_voxels(np.full_like(hu, np.nan)))
    assert nothing.organ.mean_hu is None and nothing.lesions[0].mean_hu is None


def test_an_empty_mask_has_no_organ():
    empty = Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    assert measure_scan(empty) == Measurements()
    assert measure_scan(empty.with_voxels(empty.voxels + 7)) == Measurements()


def test_the_result_survives_json():
    mask = pancreas()
    found = measure_scan(mask, scan=hu_of(mask), tumour_probability=(mask.voxels == 2) * 0.5)
    assert Measurements.model_validate_json(found.model_dump_json()) == found


def test_vessels_are_measured_for_each_lesion():
    mask = pancreas()
    points = np.argwhere(np.ones(mask.shape)) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    beside = (np.hypot(points[:, 0] - 38, points[:, 1] - 13) <= 5).reshape(mask.shape) & (mask.voxels == 0)
    found = measure_scan(mask, vessels={"vein": mask.with_voxels(beside)})
    head, tail = (lesion.vessels[0] for lesion in found.lesions)
    assert head.vessel == tail.vessel == "vein"
    assert head.distance_mm < 1.5 and tail.distance_mm == pytest.approx(66, abs=2)
    assert head.contact_degrees > 20 and tail.contact_degrees == 0


@pytest.mark.parametrize("what", ["scan", "vessel"])
def test_what_lies_on_another_grid_is_refused_by_its_file(what):
    mask = pancreas()
    other = Volume(mask.voxels, np.diag([1.0, 1.0, 2.0, 1.0]), Path("other.nii.gz"))
    given = {"scan": other} if what == "scan" else {"vessels": {"aorta": other}}
    with pytest.raises(GeometryError, match=r"other\.nii\.gz: the (scan|mask of aorta) is not on the grid"):
        measure_scan(mask, **given)


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(GeometryError, match="probabilities have shape"):
        measure_scan(pancreas(), tumour_probability=np.zeros((2, 2, 2)))


def test_an_empty_vessel_is_refused_by_its_file():
    mask = pancreas()
    empty = Volume(np.zeros(mask.shape, bool), mask.affine, Path("vein.nii.gz"))
    with pytest.raises(ScanError, match=r"vein\.nii\.gz: the mask of vein holds no voxel"):
        measure_scan(mask, vessels={"vein": empty})


def test_confidence_is_the_mean_of_the_surest_millilitre():
    affine, points = grid((1.0, 1.0, 1.0), half_mm=25)
    lesion = ellipsoid(affine, points, centre_mm=(0, 0, 0), half_axes_mm=(16, 16, 16))
    sure = np.linalg.norm(points - (6, 0, 0), axis=-1) <= 7
    assert lesion_confidence(lesion, np.where(sure, 0.9, 0.4)) == pytest.approx(0.9, abs=1e-4)
    speck = np.linalg.norm(points - (6, 0, 0), axis=-1) <= 2
    assert 0.4 < lesion_confidence(lesion, np.where(speck, 0.9, 0.4)) < 0.45


def test_a_thin_tip_counts_for_less_than_the_bulk():
    voxels = np.zeros((60, 21, 21), bool)
    voxels[:20, 2:19, 2:19] = True
    voxels[20:, 10, 10] = True
    probability = np.where(np.arange(60)[:, None, None] < 20, 0.6, 0.99) * np.ones(voxels.shape)
    assert lesion_confidence(Volume(voxels, np.eye(4)), probability) == pytest.approx(0.6, abs=0.02)


def test_a_lesion_smaller_than_the_ball_has_its_mean():
    voxels = np.zeros((9, 9, 9), bool)
    voxels[3:6, 3:6, 3:6] = True
    probability = np.random.default_rng(0).random(voxels.shape)
    assert lesion_confidence(Volume(voxels, np.eye(4)), probability) == pytest.approx(probability[voxels].mean())


def panorama_studies() -> list[str]:
    index = MAPS / "index.csv"
    return [row["study"] for row in csv.DictReader(index.read_text().splitlines())] if index.is_file() else ["absent"]


def every_other_row_and_column(labels: Volume) -> Volume:
    """A quarter of the voxels; whole maps take seconds each."""
    return Volume(labels.voxels[::2, ::2], labels.affine @ np.diag([2.0, 2.0, 1.0, 1.0]))


@pytest.mark.shared
@pytest.mark.parametrize("study", panorama_studies())
def test_real_maps_measure_plausibly(study):
    if not MAPS.is_dir():
        pytest.skip(f"the real data is not at {MAPS}")
    labels = read_volume(MAPS / f"{study}.nii.gz")
    labels = every_other_row_and_column(crop(labels, Box.around(labels.voxels)))
    voxels = labels.voxels.astype(np.uint8)
    mask = labels.with_voxels(np.array([0, 2, 0, 0, 1, 1, 0], np.uint8)[voxels])
    vessels = {name: labels.with_voxels(voxels == label) for name, label in (("veins", 2), ("arteries", 3))}
    found = measure_scan(mask, scan=labels, vessels=vessels)
    counts = np.bincount(mask.voxels.ravel(), minlength=3)
    assert found.organ.volume_ml == pytest.approx((counts[1] + counts[2]) * mask.voxel_volume_ml)
    assert found.organ.parenchyma_ml == pytest.approx(counts[1] * mask.voxel_volume_ml)
    assert sum(lesion.volume_ml for lesion in found.lesions) == pytest.approx(counts[2] * mask.voxel_volume_ml)
    assert 80 < found.organ.length_mm < 280
    head, tail = found.organ.centre_line_mm[0], found.organ.centre_line_mm[-1]
    assert head[0] > tail[0]
    low, high = Box.around(mask.voxels).corners_mm(mask.affine)
    for lesion in found.lesions:
        assert (np.array(low) < lesion.centroid_mm).all() and (lesion.centroid_mm < np.array(high)).all()
        assert lesion.mean_hu == pytest.approx(1)
        assert lesion.diameters.short_mm <= lesion.diameters.long_mm <= lesion.diameter_3d_mm + 1e-9
        for contact in lesion.vessels:
            assert contact.distance_mm < 60 and contact.contact_degrees <= 360
            assert contact.contact_degrees == 0 or contact.distance_mm < 5


def test_crops_give_the_numbers_of_the_whole_scan():
    mask = pancreas()
    part = crop(mask, Box.around(mask.voxels))
    expected, found = measure_scan(mask).lesions[0], measure_scan(part).lesions[0]
    assert found.diameters.long_ends_mm == pytest.approx(np.array(expected.diameters.long_ends_mm))
    assert found.centroid_mm == pytest.approx(expected.centroid_mm)
