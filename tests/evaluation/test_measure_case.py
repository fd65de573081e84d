import re
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_cases import AFFINE, FAST, SHAPE, label_map, volume
from scipy import ndimage
from scipy.spatial.distance import cdist

from pancascade.errors import DataError, GeometryError
from pancascade.evaluation import Protocol, measure_case
from pancascade.evaluation.protocol import PROTOCOLS
from pancascade.imaging.volume import Volume, reorient
from pancascade.metrics import surface_distances

TARGETS = {"pancreas": (1, 2), "tumour": (2,)}


def measure(reference, prediction, protocol=FAST, **options):
    return measure_case(reference, prediction, case="a", protocol=protocol, **options)


def numbers(record):
    """What must not depend on how a file is stored."""
    return record.model_dump(exclude={"reference", "prediction", "notes"})


def oblique(degrees: tuple[float, float, float]) -> np.ndarray:
    rotation = nib.eulerangles.euler2mat(*np.radians(degrees))
    return nib.affines.from_matvec(rotation * (0.8, 1.1, 2.5), (12.5, -80, 33))


def stored_otherwise(original: Volume, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same voxels in the same places, written in another order as a file keeps them."""
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, old in enumerate(axes):
        turn[old, new] = -1 if flips[new] else 1
        turn[old, 3] = original.shape[old] - 1 if flips[new] else 0
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    affine = (original.affine @ turn).astype(np.float32)
    return Volume(original.voxels.transpose(axes)[steps].copy(), affine, original.source)


def in_the_middle(seed: int) -> np.ndarray:
    """A small label map with background all around."""
    return np.pad(label_map(seed, (5, 4, 2)), ((6, 3), (3, 5), (1, 4)))


@pytest.mark.parametrize("spacing_mm", [1e-6, 1e6])
def test_masks_of_a_spacing_that_no_ct_has_give_no_numbers(spacing_mm):
    wrong = Volume(label_map(1), np.diag((spacing_mm, spacing_mm, spacing_mm, 1.0)))
    with pytest.raises(GeometryError, match=r"CT has 0\.1 to 20 mm"):
        measure(wrong, wrong)


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        (label_map(1), label_map(11)),
        (label_map(2), label_map(12)),
        (in_the_middle(3), in_the_middle(13)),
        (in_the_middle(3), label_map(13)),
        (in_the_middle(3), np.roll(in_the_middle(13), (4, -3, 3), (0, 1, 2))),
    ],
)
def test_counts_and_distances_are_those_of_the_whole_volumes(truth, found):
    reference, prediction = volume(truth), volume(found)
    record = measure(reference, prediction)
    true, found = (reorient(each, "RAS").voxels for each in (reference, prediction))
    assert record.shape == SHAPE
    assert record.spacing_mm == pytest.approx((0.8, 1.1, 2.5))
    assert record.voxel_ml == pytest.approx(0.0022)
    assert record.diagonal_mm == pytest.approx(np.linalg.norm(np.array(SHAPE) * (0.8, 1.1, 2.5)))
    for target, values in TARGETS.items():
        one, other = np.isin(found, values), np.isin(true, values)
        parts = (one & other, one & ~other, ~one & other, ~one & ~other)
        by_slice = np.stack([part.sum(axis=(0, 1)) for part in parts], axis=1)
        assert np.array_equal(record.targets[target].slices, by_slice)
        distances = surface_distances(one, other, record.spacing_mm)
        got = record.targets[target]
        assert got.distances_mm == pytest.approx(
            {
                "hd95_mm": distances.hausdorff_mm(95),
                "hd_mm": distances.hausdorff_mm(100),
                "assd_mm": distances.average_mm,
            }
        )
        assert got.nsd == pytest.approx([distances.normalised_dice(mm) for mm in (1.0, 2.0)])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_voxel_hd95_is_that_of_all_pairs_of_border_voxels(seed):
    reference, prediction = volume(label_map(seed)), volume(label_map(seed + 10))
    record = measure(reference, prediction, FAST.model_copy(update={"surface": "voxel"}))
    borders = []
    for each in (reference, prediction):
        mask = each.voxels > 0
        borders.append(np.argwhere(mask & ~ndimage.binary_erosion(mask)) * (0.8, 1.1, 2.5))
    between = cdist(*borders)
    expected = max(np.percentile(between.min(axis=axis), 95) for axis in (0, 1))
    assert record.targets["pancreas"].distances_mm["hd95_mm"] == pytest.approx(expected)
    assert record.targets["pancreas"].distances_mm["hd_mm"] == pytest.approx(
        max(between.min(axis=axis).max() for axis in (0, 1))
    )


@pytest.mark.parametrize("degrees", [(0, 0, 0), (7, -4, 12), (0, 0, 44), (0, 0, 45), (30, 20, -40)])
def test_the_order_in_which_a_prediction_is_stored_changes_nothing(degrees):
    affine = oblique(degrees)
    reference = volume(label_map(1), affine=affine)
    prediction = volume(label_map(2), "prediction.nii.gz", affine)
    expected = measure(reference, prediction)
    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        record = measure(reference, stored_otherwise(prediction, axes, flips))
        assert record == expected


@pytest.mark.parametrize(("axes", "flips"), [((2, 0, 1), (True, False, True)), ((1, 0, 2), (False, True, False))])
def test_the_order_in_which_both_are_stored_changes_nothing(axes, flips):
    pair = volume(label_map(1)), volume(label_map(2))
    plain, turned = (
        measure(*(stored_otherwise(each, *order) for each in pair))
        for order in (((0, 1, 2), (False,) * 3), (axes, flips))
    )
    assert turned == plain


def test_slices_are_counted_from_the_feet_up():
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 3:6, 1] = 1
    head_first = stored_otherwise(volume(labels), (0, 1, 2), (False, False, True))
    for reference in (volume(labels), head_first):
        sizes = [counts.reference_size for counts in measure(reference, reference).targets["pancreas"].slices]
        assert sizes == [0, 9, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int16, np.uint16, np.int64, np.uint64, np.float32])
@pytest.mark.parametrize("which", ["reference", "prediction"])
def test_whole_numbers_of_any_type_are_labels(dtype, which):
    labels, other = label_map(1) > 0, label_map(2)
    protocol = Protocol(labels={"pancreas": (1,)}, reference_labels={"pancreas": (1,)}, other_labels="background")
    pair = [volume(labels.astype(dtype)), volume(other)]
    plain = [volume(labels.astype(np.uint8)), volume(other)]
    if which == "prediction":
        pair, plain = pair[::-1], plain[::-1]
    assert measure(*pair, protocol) == measure(*plain, protocol)


@pytest.mark.parametrize("which", ["reference", "prediction"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.nan, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
        (-np.inf, "NaN or infinite"),
        (0.37, r"0\.37.*probabilities"),
        (1.01, r"1\.01.*no label map"),
        (-1, "label -1"),
        (7, "label 7"),
        (1e30, "label 1"),
    ],
)
def test_what_is_no_label_is_refused_by_the_name_of_its_file(which, value, says):
    bad = label_map(1).astype(np.float32)
    bad[0, 0, 0] = value
    files = {"reference": volume(label_map(1), "true.nii.gz"), "prediction": volume(label_map(1), "found.nii.gz")}
    name = files[which].name
    files[which] = volume(bad, name)
    with pytest.raises(DataError, match=says) as refused:
        measure(**files)
    assert str(refused.value).startswith(f"{name}: ")
    if says.startswith("label"):
        assert ("--labels" if which == "prediction" else "--reference-labels") in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_damaged_values_are_refused_even_where_other_labels_are_background(value):
    bad = label_map(1).astype(np.float32)
    bad[3, 3, 3] = value
    with pytest.raises(DataError, match=r"mask\.nii\.gz"):
        measure(volume(label_map(1)), volume(bad), Protocol(other_labels="background"))


def test_unknown_labels_may_be_background():
    odd = label_map(1)
    odd[odd == 0] = 9
    protocol = Protocol(other_labels="background")
    assert (
        measure(volume(odd), volume(odd), protocol).targets
        == measure(volume(label_map(1)), volume(label_map(1))).targets
    )


def test_references_may_number_the_targets_in_their_own_way():
    """As PANORAMA does: lesion 1, veins 2, arteries 3, pancreas 4, duct 5, bile duct 6."""
    truth, found = label_map(1), label_map(2)
    truth[0, 0, :3] = 0
    panorama = np.choose(truth, [0, 4, 1]).astype(np.uint8)
    panorama[truth == 1] = np.where(np.arange((truth == 1).sum()) % 2, 4, 5)
    panorama[0, 0, :3] = (2, 3, 6)
    record = measure(volume(panorama), volume(found), PROTOCOLS["panorama"])
    assert record.targets == measure(volume(truth), volume(found)).targets


def test_labels_may_overlap_and_have_any_number():
    labels = np.choose(label_map(1), [0, 3, 250]).astype(np.uint8)
    protocol = Protocol(labels={"all": (3, 250), "head": (250,), "none": (77,)})
    record = measure(volume(labels), volume(labels), protocol)
    assert record.targets["all"].total.true_positives == np.count_nonzero(labels)
    assert record.targets["head"].total.true_positives == np.count_nonzero(labels == 250)
    assert record.targets["none"].total.reference_size == 0


def test_an_empty_mask_has_counts_and_no_distances():
    empty, full = volume(np.zeros(SHAPE, np.uint8)), volume(in_the_middle(1))
    size = int((in_the_middle(1) > 0).sum())
    for pair, counts, boxes in (
        ((full, empty), (0, 0, size), (0.0, 0.0)),
        ((empty, full), (0, size, 0), (None, 0.0)),
        ((empty, empty), (0, 0, 0), (None, None)),
        ((full, None), (0, 0, size), (0.0, 0.0)),
    ):
        found = measure(*pair).targets["pancreas"]
        assert found.total[:3] == counts
        assert sum(found.total) == np.prod(SHAPE)
        assert (found.distances_mm, found.nsd) == ({}, None)
        assert (found.box_recall, found.box_iou) == boxes


def test_a_missing_prediction_is_noted_and_counts_as_an_empty_one():
    full = volume(label_map(1))
    missing, empty = measure(full, None), measure(full, volume(np.zeros(SHAPE)))
    assert missing.prediction is None
    assert "no prediction" in missing.notes[0]
    assert numbers(missing) == numbers(empty)


def test_masks_that_fill_the_volume():
    full = volume(np.ones(SHAPE, np.uint8))
    found = measure(full, full).targets["pancreas"]
    assert found.total == (np.prod(SHAPE), 0, 0, 0)
    assert (found.distances_mm, found.nsd) == ({"hd95_mm": 0, "hd_mm": 0, "assd_mm": 0}, (1, 1))
    corner = np.zeros(SHAPE, np.uint8)
    corner[-1, -1, -1] = 1
    found = measure(full, volume(corner)).targets["pancreas"]
    assert found.total[:3] == (1, 0, np.prod(SHAPE) - 1)
    assert found.distances_mm["hd_mm"] == pytest.approx(np.linalg.norm((np.array(SHAPE) - 1) * (0.8, 1.1, 2.5)))
    assert found.box_recall == pytest.approx(1 / np.prod(SHAPE))


def test_one_slice_and_one_voxel_are_volumes():
    for shape in ((8, 8, 1), (1, 1, 1)):
        found = measure(volume(np.ones(shape, np.uint8)), volume(np.ones(shape, np.uint8))).targets["pancreas"]
        assert found.total.dice == 1
        assert found.distances_mm["hd95_mm"] == 0


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(0, 6)] * 2))
def test_the_cut_that_is_measured_never_changes_a_number(seed, margin):
    """More background around both masks changes true negatives only."""
    pair = [label_map(seed, (7, 6, 5)), label_map(seed + 1, (7, 6, 5))]
    before, after = margin
    one = measure(*map(volume, pair))
    padded = measure(*(volume(np.pad(labels, (before, after))) for labels in pair))
    for target in TARGETS:
        kept = [counts[:3] for counts in padded.targets[target].slices]
        expected = [counts[:3] for counts in one.targets[target].slices]
        assert kept == [(0, 0, 0)] * before + expected + [(0, 0, 0)] * after
        assert padded.targets[target].model_dump(exclude={"slices"}) == one.targets[target].model_dump(
            exclude={"slices"}
        )
    assert padded.detections == one.detections


def other_grids() -> dict[str, Volume]:
    labels = label_map(1)
    shifted, turned = AFFINE.copy(), AFFINE.copy()
    shifted[0, 3] += 0.2
    turned[:3, :3] = nib.eulerangles.euler2mat(0, 0, 0.05) @ turned[:3, :3]
    coarse = AFFINE @ np.diag([1, 1, 1.01, 1])
    return {
        "shape": volume(labels[:, :, :5], "found.nii.gz"),
        "shifted": volume(labels, "found.nii.gz", shifted),
        "turned": volume(labels, "found.nii.gz", turned),
        "spacing": volume(labels, "found.nii.gz", coarse),
        "mirrored": volume(labels, "found.nii.gz", AFFINE @ np.diag([-1, 1, 1, 1])),
    }


@pytest.mark.parametrize("prediction", other_grids().values(), ids=other_grids().keys())
def test_another_grid_is_refused_and_what_differs_is_told(prediction):
    with pytest.raises(GeometryError, match=r"found\.nii\.gz: not on the grid of true\.nii\.gz.*--resample") as refused:
        measure(volume(label_map(1), "true.nii.gz"), prediction)
    message = str(refused.value)
    assert len(message) <= 200
    if prediction.shape != SHAPE:
        assert "(14 × 12 × 5 against 14 × 12 × 7 voxels)" in message
    else:
        assert re.search(r"up to [0-9.]+ mm apart\)", message)
        assert ("voxels of 0.8 × 1.1 × 2.525 against 0.8 × 1.1 × 2.5 mm, " in message) == (
            prediction.spacing_mm[2] > 2.51
        )


@pytest.mark.parametrize("prediction", other_grids().values(), ids=other_grids().keys())
def test_another_grid_can_be_resampled_and_that_is_noted(prediction):
    protocol = Protocol(resample=True)
    record = measure(volume(label_map(1), "true.nii.gz"), prediction, protocol)
    assert record.shape == SHAPE
    assert "found.nii.gz resampled from" in record.notes[0]
    assert "nearest voxel" in record.notes[0]


def test_resampling_takes_the_nearest_voxel():
    labels = label_map(1)
    fine = np.repeat(np.repeat(np.repeat(labels, 3, 0), 3, 1), 3, 2)
    affine = AFFINE @ np.diag([1 / 3, 1 / 3, 1 / 3, 1])
    affine[:3, 3] = AFFINE[:3, 3] - AFFINE[:3, :3] @ np.full(3, 1 / 3)
    record = measure(volume(labels), volume(fine, affine=affine), Protocol(resample=True))
    assert record.targets["pancreas"].total.dice == record.targets["tumour"].total.dice == 1


def test_resampled_values_are_named_by_their_own_file():
    odd = label_map(1)
    odd[4, 4, 4] = 9
    with pytest.raises(DataError, match=r"^found\.nii\.gz: holds label 9"):
        measure(
            volume(label_map(1), "true.nii.gz"),
            volume(np.pad(odd, ((0, 0), (0, 0), (0, 1))), "found.nii.gz"),
            Protocol(resample=True),
        )


def test_an_affine_that_differs_by_float32_rounding_is_the_same_grid():
    nudged = AFFINE + np.random.default_rng(0).normal(0, 1e-5, (4, 4))
    nudged[3] = AFFINE[3]
    record = measure(volume(label_map(1)), volume(label_map(2), affine=nudged))
    assert record.targets == measure(volume(label_map(1)), volume(label_map(2))).targets
    assert record.notes == ()


def two_lesions() -> tuple[np.ndarray, np.ndarray]:
    truth, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[1:4, 1:4, 1:3] = truth[9:12, 8:11, 4:6] = 2
    found[1:4, 1:4, 1:3] = found[6, 6, 0] = 2
    return truth, found


def test_lesions_found_missed_and_invented():
    truth, found = two_lesions()
    detections = measure(volume(truth), volume(found), patient="p").detections
    assert detections.patient == "p"
    assert sorted(lesion.iou for lesion in detections.lesions) == [0, 1]
    assert [lesion.volume_ml for lesion in detections.lesions] == pytest.approx([18 * 0.0022] * 2)
    assert detections.false_positives == (1,)
    assert detections.score == 1


def test_confidence_and_score_reach_the_lesions():
    truth, found = two_lesions()
    confidence = np.zeros(SHAPE, np.float32)
    confidence[1:4, 1:4, 1:3], confidence[6, 6, 0] = 0.75, 0.25
    turned = stored_otherwise(volume(confidence, "likelihood.nii.gz"), (2, 1, 0), (True, False, True))
    detections = measure(volume(truth), volume(found), confidence=turned).detections
    assert {lesion.confidence for lesion in detections.lesions} == {0.75, None}
    assert detections.false_positives == (0.25,)
    assert detections.score == 0.75
    assert measure(volume(truth), volume(found), confidence=turned, score=0.1).detections.score == 0.1


@pytest.mark.parametrize("empty", [False, True])
def test_candidates_may_come_from_the_map_alone(empty):
    truth, found = two_lesions()
    confidence = np.zeros(SHAPE, np.float32)
    confidence[9:12, 8:11, 4:6] = 0.5
    confidence[13, 11, 6] = 0.125
    if empty:
        truth, found = np.zeros(SHAPE), np.zeros(SHAPE)
    protocol = Protocol(lesions={"candidates": "map"})
    detections = measure(volume(truth), volume(found), protocol, confidence=volume(confidence)).detections
    found_by = {lesion.confidence for lesion in detections.lesions}
    assert (found_by, sorted(detections.false_positives)) == (
        (set(), [0.125, 0.5]) if empty else ({None, 0.5}, [0.125])
    )


def test_a_confidence_map_is_asked_for_and_checked():
    truth, found = two_lesions()
    protocol = Protocol(lesions={"candidates": "map"})
    with pytest.raises(DataError, match=r"true\.nii\.gz: .*confidence map, and there is none"):
        measure(volume(truth, "true.nii.gz"), volume(found), protocol)
    bad = np.full(SHAPE, -0.5, np.float32)
    with pytest.raises(DataError, match=r"likelihood\.nii\.gz: .*negative"):
        measure(volume(truth), volume(found), confidence=volume(bad, "likelihood.nii.gz"))
    with pytest.raises(GeometryError, match=r"likelihood\.nii\.gz: not on the grid"):
        measure(volume(truth), volume(found), confidence=volume(bad[:5], "likelihood.nii.gz"))


def test_a_record_comes_back_from_json_as_it_was():
    truth, found = two_lesions()
    record = measure(volume(truth), volume(found))
    assert type(record).model_validate_json(record.model_dump_json()) == record
