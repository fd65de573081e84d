import json
import math
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
from fingerprint_cases import SHAPE, SPACING, STRAIGHT, data_set, oblique, phantom, write_case, write_pictures
from scipy import ndimage

from pancascade.data.describing import fingerprint as module
from pancascade.data.describing.case_fingerprint import Tissue, measure_case
from pancascade.data.describing.case_groups import spread
from pancascade.data.describing.fingerprint import NO_PART, WHOLE, fingerprint
from pancascade.data.describing.hu_histogram import HuCounter, HuPool
from pancascade.data.readers import Case, read_data_set, slice_folder
from pancascade.errors import DataError, OutputError
from pancascade.imaging.io import write_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume


@pytest.fixture
def three(tmp_path) -> list[Case]:
    for seed, name in enumerate("abc"):
        write_case(tmp_path, name, *phantom(seed, tumour=name != "c"))
    return data_set(tmp_path, "abc")


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """Names of the cases that were measured, and not taken from a record."""
    done: list[str] = []

    def counting(case):
        done.append(case.name)
        return measure_case(case)

    monkeypatch.setattr(module, "measure_case", counting)
    return done


def test_a_case_s_numbers_are_those_of_numpy_and_scipy(tmp_path):
    hu, labels = phantom()
    write_case(tmp_path, "a", hu, labels)
    found = measure_case(data_set(tmp_path, "a")[0]).fingerprint
    voxel_ml = math.prod(SPACING) / 1000
    assert found.size_vox == SHAPE
    assert (*found.pixel_mm, found.slice_distance_mm) == pytest.approx(SPACING)
    assert found.orientation == "LPS"
    assert found.pancreas_ml == pytest.approx(16 * 9 * 5 * voxel_ml)
    assert found.tumour_ml == pytest.approx(41 * voxel_ml)
    assert [lesion.volume_ml for lesion in found.lesions] == pytest.approx([40 * voxel_ml, voxel_ml])
    assert [lesion.diameter_mm for lesion in found.lesions] == pytest.approx(
        [math.hypot(5 * 0.8, 4 * 1.1), math.hypot(0.8, 1.1)]
    )
    assert (found.slices_with_pancreas, found.slices_with_tumour) == (5, 3)
    assert (found.box_vox, found.slice_box_vox) == ((16, 9, 5), (16, 9))
    assert found.in_mm(found.box_vox) == pytest.approx((12.8, 9.9, 12.5))
    centre = np.array(ndimage.center_of_mass(labels > 0)) + 0.5
    assert found.centre_in_image == pytest.approx(centre / SHAPE)
    assert found.contrast_hu == pytest.approx(hu[labels == 2].mean() - hu[labels == 1].mean())


def test_the_pancreas_has_its_place_in_the_body_wherever_that_lies_in_the_image(tmp_path):
    hu, labels = np.full((160, 130, 24), -1000, np.int16), np.zeros((160, 130, 24), np.uint8)
    hu[60:140, 50:110] = 40
    hu[60:64, 50:110] = -200
    labels[78:82, 69:71, 10:14] = 1
    write_case(tmp_path, "a", hu, labels, affine=np.diag((-1.0, -1, 1, 1)))
    found = measure_case(data_set(tmp_path, "a")[0]).fingerprint
    # The body is found on a grid of 4 mm.
    assert found.centre_in_body == pytest.approx((20 / 80, 20 / 60), abs=0.05)
    assert found.centre_in_image == pytest.approx((80 / 160, 70 / 130, 12 / 24))
    write_case(tmp_path, "a", hu[60:140, 50:110], labels[60:140, 50:110])
    assert measure_case(data_set(tmp_path, "a")[0]).fingerprint.centre_in_body is None


@pytest.mark.parametrize("tissue", list(Tissue))
def test_hounsfield_units_of_a_tissue_are_numpy_s(tmp_path, tissue):
    hu, labels = phantom()
    write_case(tmp_path, "a", hu, labels)
    mask = {
        Tissue.SCAN: labels >= 0,
        Tissue.PANCREAS: labels > 0,
        Tissue.PARENCHYMA: labels == 1,
        Tissue.TUMOUR: labels == 2,
    }[tissue]
    seen, expected = measure_case(data_set(tmp_path, "a")[0]).fingerprint.hu[tissue], hu[mask].astype(float)
    assert seen.voxels == expected.size
    assert (seen.mean_hu, seen.sd_hu) == pytest.approx((expected.mean(), expected.std()))
    assert (seen.minimum_hu, seen.maximum_hu) == (expected.min(), expected.max())
    percentiles = np.percentile(expected, [0.5, 5, 50, 95, 99.5], method="inverted_cdf")
    assert [seen.p0_5_hu, seen.p5_hu, seen.median_hu, seen.p95_hu, seen.p99_5_hu] == percentiles.tolist()


@pytest.mark.parametrize("codes", ["RAS", "LAI", "PIR", "SLA"])
@pytest.mark.parametrize("affine", [STRAIGHT, oblique()], ids=["straight", "oblique"])
def test_the_numbers_do_not_depend_on_how_the_file_is_oriented(tmp_path, codes, affine):
    hu, labels = phantom()
    write_case(tmp_path, "a", hu, labels)
    write_case(tmp_path, "b", hu, labels, affine=affine, codes=codes)
    expected, found = (measure_case(case).fingerprint for case in data_set(tmp_path, "ab"))
    assert found.orientation == codes
    for field in (
        "size_vox",
        "pixel_mm",
        "slice_distance_mm",
        "pancreas_ml",
        "tumour_ml",
        "slices_with_pancreas",
        "slices_with_tumour",
        "box_vox",
        "slice_box_vox",
        "centre_in_image",
        "centre_in_body",
    ):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=1e-5), field
    for tissue, statistics in expected.hu.items():
        assert found.hu[tissue].model_dump() == pytest.approx(statistics.model_dump())
    assert len(found.lesions) == 2
    for one, other in zip(found.lesions, expected.lesions, strict=True):
        assert one.model_dump() == pytest.approx(other.model_dump(), rel=1e-5)


def test_voxels_of_a_region_that_are_no_numbers_are_left_out_and_counted(tmp_path):
    hu, labels = phantom()
    broken = hu.astype(np.float32)
    broken[15, 13, 5], broken[0, 0, 0] = np.nan, np.inf
    write_case(tmp_path, "a", broken, labels)
    (case,) = data_set(tmp_path, "a")
    found = measure_case(replace(case, scan=replace(case.scan, region=True))).fingerprint
    assert found.not_finite == 2
    assert found.hu[Tissue.TUMOUR].mean_hu == pytest.approx(hu[(labels == 2) & np.isfinite(broken)].mean())
    assert found.hu[Tissue.TUMOUR].voxels == 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda hu: np.where(hu < -900, np.nan, hu).astype(np.float32), "are NaN or infinite"),
        (lambda hu: hu + 1024, "the rescale intercept is missing"),
    ],
    ids=["NaN", "no intercept"],
)
def test_a_scan_that_training_refuses_is_in_no_number(three, tmp_path, change, says):
    hu, labels = phantom()
    write_case(tmp_path, "b", change(hu), labels)
    found = fingerprint(three)
    assert [case.case for case in found.cases] == ["a_ct", "c_ct"]
    assert [failure.case for failure in found.failures] == ["b_ct"]
    assert says in found.failures[0].message


def test_a_record_that_cannot_be_written_is_no_fault_of_its_case(three, tmp_path):
    (tmp_path / "records").write_text("a file")
    with pytest.raises(OutputError, match=r"^records/a_ct\.json: cannot be written|^a_ct\.json: cannot be written"):
        fingerprint(three, records=tmp_path / "records")


def test_a_case_without_pancreas_has_a_grid_and_nothing_else(tmp_path):
    hu, labels = phantom()
    write_case(tmp_path, "a", hu, np.zeros_like(labels))
    found = fingerprint(data_set(tmp_path, "a"))
    (case,), (group,) = found.cases, found.groups
    assert (case.pancreas_ml, case.tumour_ml, case.lesions, case.box_vox) == (0, 0, (), None)
    assert set(case.hu) == {Tissue.SCAN}
    assert {"slices", "slice_distance_mm"} <= group.spreads.keys()
    assert not {"pancreas_ml", "box_width_mm", "contrast_hu"} & group.spreads.keys()
    assert group.crops == ()
    assert [suggestion.what for suggestion in group.suggestions] == ["spacing"]


def test_values_beyond_the_histogram_count_at_its_ends_but_fully_in_the_mean():
    counter = HuCounter()
    values = np.array([-3024, -1024, 0, 3071], np.int16)
    counter.add(values)
    found = counter.result().statistics
    assert (found.mean_hu, found.sd_hu) == pytest.approx((values.mean(), values.std()))
    assert (found.minimum_hu, found.maximum_hu, found.p0_5_hu, found.p99_5_hu) == (-3024, 3071, -1100, 2100)
    assert HuCounter().result() is None


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8, np.int32])
def test_counting_in_pieces_is_counting_at_once(dtype):
    values = np.random.default_rng(1).integers(0, 200, 1000).astype(dtype)
    once, pieces = HuCounter(), HuCounter()
    once.add(values)
    for part in np.array_split(values, 7):
        pieces.add(part)
    assert once.result().counts == pieces.result().counts
    assert once.result().statistics.sd_hu == pytest.approx(values.astype(float).std())
    assert once.result().first_hu == values.min()


def test_pooled_each_case_counts_the_same_however_many_voxels_it_has():
    small, large = np.array([10, 20, 30]), np.full(3000, 100)
    pool = HuPool()
    for values in (small, large):
        counter = HuCounter()
        counter.add(values)
        pool.add(counter.result())
    even = np.concatenate([np.repeat(small, 1000), large])
    found = pool.result()
    assert (found.statistics.mean_hu, found.statistics.sd_hu) == pytest.approx((even.mean(), even.std()))
    expected = np.percentile(even, [5, 50], method="inverted_cdf").tolist()
    assert [found.statistics.p5_hu, found.statistics.median_hu] == expected
    assert sum(found.counts) == pytest.approx(1)
    assert found.statistics.voxels == 3003


def test_a_spread_is_numpy_s():
    values = [3.0, 1.0, 8.0, 2.0]
    found = spread(values)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.minimum, found.median, found.maximum, found.cases) == (1, 2.5, 8, 4)
    assert spread([2.0]).sd is None


def test_a_data_set_is_summed_up(three):
    found = fingerprint(three)
    (group,) = found.groups
    assert (group.name, group.cases, group.patients) == (WHOLE, 3, 3)
    assert (group.with_pancreas, group.with_tumour) == (3, 2)
    assert (group.slices, group.slices_with_pancreas, group.slices_with_tumour) == (36, 15, 6)
    assert group.lesions == {"<1 cm": 4, "1-2 cm": 0, "2-4 cm": 0, ">=4 cm": 0}
    assert group.spreads["tumour_ml"].cases == 2
    assert group.spreads["pancreas_ml"].median == pytest.approx(720 * math.prod(SPACING) / 1000)
    assert [case.case for case in found.cases] == ["a_ct", "b_ct", "c_ct"]
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_the_suggested_window_and_spacing_are_percentiles_and_medians(three):
    suggestions = {suggestion.what: suggestion for suggestion in fingerprint(three).groups[0].suggestions}
    organs = [phantom(seed, tumour=seed < 2) for seed in range(3)]
    pooled = np.concatenate([hu[labels > 0] for hu, labels in organs])  # all of the same size
    window = suggestions["window"]
    assert list(window.numbers) == np.percentile(pooled, [0.5, 99.5], method="inverted_cdf").tolist()
    assert window.caution is None
    assert suggestions["mean and standard deviation"].numbers == pytest.approx((pooled.mean(), pooled.std()))
    assert suggestions["spacing"].numbers == pytest.approx(SPACING)
    assert suggestions["region of a 3-D stage 2"].numbers == (36, 29, 25)


def test_data_stored_with_a_window_are_told_of(tmp_path):
    hu, labels = phantom()
    write_case(tmp_path, "a", np.clip(hu, -200, 100), labels)
    (group,) = fingerprint(data_set(tmp_path, "a")).groups
    assert "1 of 1" in group.suggestions[0].caution


def test_crops_are_measured_on_the_recipe_s_canvas(three):
    (group,) = fingerprint(three).groups
    crops = {crop.recipe: crop for crop in group.crops}
    own = crops["qiu2024"]
    assert (own.canvas_spacing_mm, own.margin, own.crop_size) == (None, 20, (320, 320))
    # 9 × 16 pixels and 20 on every side: 49 × 56, up to the next multiple of 16.
    assert own.holds_95_percent == own.holds_all == (64, 64)
    assert own.share_held == 1
    coarse = crops["coarse_to_fine"]
    # 9.9 × 12.8 mm at 1.28 mm: 8 × 10 pixels and 15 on every side.
    assert (coarse.canvas_spacing_mm, coarse.holds_all) == (1.28, (48, 48))


def test_a_crop_that_is_too_small_is_told_of(tmp_path):
    hu, labels = (np.zeros((200, 20, 4), kind) for kind in (np.int16, np.uint8))
    labels[10:190, 5:15, 1:3] = 1
    hu[:, :4] = -1000
    hu[labels > 0] = 50
    write_case(tmp_path, "wide", hu, labels)
    crops = {crop.recipe: crop for crop in fingerprint(data_set(tmp_path, ["wide"])).groups[0].crops}
    assert (crops["qiu2024"].share_held, crops["qiu2024"].holds_all) == (1, (64, 224))
    assert crops["qiu2024_demo"].share_held == 0  # 180 × 0.8 / 1.3 + 40 = 151 columns, it has 128
    assert crops["qiu2024_demo"].holds_all == (64, 160)


def test_parts_of_a_split_stand_beside_the_whole(three):
    parts = {"train": frozenset("a"), "validation": frozenset("x"), "test": frozenset("b")}
    groups = {group.name: group for group in fingerprint(three, parts=parts).groups}
    assert list(groups) == [WHOLE, "train", "test", NO_PART]
    assert [groups[name].names for name in ("train", "test", NO_PART)] == [("a_ct",), ("b_ct",), ("c_ct",)]
    assert groups["train"].hu[Tissue.TUMOUR].statistics.voxels == 41
    assert Tissue.TUMOUR not in groups[NO_PART].hu
    with pytest.raises(DataError, match="another data set's"):
        fingerprint(three, parts={"train": frozenset("x")})


def test_single_pictures_give_what_they_can(tmp_path):
    mask = np.zeros((30, 40), bool)
    mask[3:9, 20:30] = True
    write_pictures(tmp_path, np.where(mask, 120, 10), mask)
    found = fingerprint(slice_folder(tmp_path, window=Window(lower_hu=-100, upper_hu=155)))
    (case,), (group,) = found.cases, found.groups
    assert (case.size_vox, case.slice_box_vox, case.slices_with_pancreas) == ((40, 30, 1), (10, 6), 1)
    assert (case.pixel_mm, case.pancreas_ml, case.lesions, case.slice_distance_mm) == (None, None, None, None)
    assert case.hu[Tissue.PANCREAS].mean_hu == 20
    assert case.centre_in_image == pytest.approx((25 / 40, 6 / 30, 0.5))
    assert "slice_distance_mm" not in group.spreads
    # 6 × 10 pixels at the 0.8 mm that the recipe assumes: 4 × 7 at 1.28 mm, and 15 on every side.
    assert {crop.recipe: crop.holds_all for crop in group.crops}["coarse_to_fine"] == (48, 48)


def test_slices_of_a_scan_have_pixels_but_no_distance(tmp_path):
    write_case(tmp_path, "a", *phantom())
    (tmp_path / "part.csv").write_text("image,label,patient,first_slice,last_slice\na_ct.nii.gz,a_label.nii.gz,p,3,6\n")
    found = fingerprint(read_data_set(tmp_path / "part.csv")).cases[0]
    assert found.size_vox == (40, 36, 4)
    assert found.pixel_mm == pytest.approx(SPACING[:2])
    assert (found.slice_distance_mm, found.pancreas_ml, found.slices_with_pancreas) == (None, None, 3)


def test_one_bad_case_is_named_and_the_others_keep_their_numbers(three, tmp_path):
    expected = fingerprint([three[0], three[2]]).groups[0]
    write_volume(Volume(phantom(1)[1], np.diag((-1.0, -1, 5, 1))), tmp_path / "b_label.nii.gz")
    found = fingerprint(three)
    assert [failure.case for failure in found.failures] == ["b_ct"]
    assert "b_label.nii.gz: not on the grid" in found.failures[0].message
    assert found.groups[0] == expected


def test_without_any_case_there_is_one_sentence(three, tmp_path):
    with pytest.raises(DataError, match="no cases"):
        fingerprint([])
    for name in "abc":
        (tmp_path / f"{name}_ct.nii.gz").write_text("no scan")
    with pytest.raises(DataError, match=r"No case could be measured\. The first reason: .*a_ct\.nii\.gz"):
        fingerprint(three)


def test_a_second_run_measures_only_what_has_changed(three, tmp_path, measured):
    records = tmp_path / "records"
    first = fingerprint(three, records=records)
    assert measured == ["a_ct", "b_ct", "c_ct"]
    measured.clear()
    assert fingerprint(three, records=records) == first
    assert measured == []
    write_case(tmp_path, "b", *phantom(9))
    (records / "c_ct.json").write_text("{ damaged")
    assert fingerprint(three, records=records) != first
    assert measured == ["b_ct", "c_ct"]
    assert json.loads((records / "c_ct.json").read_text())["record"]["fingerprint"]["case"] == "c_ct"


def test_records_are_not_taken_for_pictures_that_are_read_in_another_way(tmp_path, measured):
    write_pictures(tmp_path, np.full((16, 16), 255), np.ones((16, 16), bool))
    for upper in (100, 200, 200):
        cases = slice_folder(tmp_path, window=Window(lower_hu=0, upper_hu=upper))
        found = fingerprint(cases, records=tmp_path / "records")
        assert found.cases[0].hu[Tissue.PANCREAS].mean_hu == upper
    assert measured == ["a", "a"]


def test_many_processes_give_the_same_numbers_and_tell_their_progress(three):
    reported: list[tuple[int, int]] = []
    found = fingerprint(three, workers=2, progress=lambda done, total: reported.append((done, total)))
    assert reported == [(0, 3), (1, 3), (2, 3), (3, 3)]
    alone = fingerprint(three)
    assert found.cases == alone.cases
    assert found.groups[0].spreads == alone.groups[0].spreads
    assert not multiprocessing.active_children()
