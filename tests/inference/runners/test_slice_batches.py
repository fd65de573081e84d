"""What stage 1 hands over between batches of slices, and how maps of slices come back to the scan."""

import numpy as np
import pytest
from abdomen_phantom import LPS_AXES, WINDOW, HounsfieldCascade, abdomen, centred, on_cpu

from pancascade.imaging.preprocessing import Canvas, Placement
from pancascade.imaging.preprocessing.network_grid import to_scan_grid
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.inference.runners.slice_batches import BATCH_SLICES, interpolated, stage1_result_on_grid
from pancascade.inference.runners.slice_probabilities import SliceProbabilities
from pancascade.inference.runners.slice_runner import SliceRunner

PLACEMENT = Placement(native=(40, 60), resized=(20, 30), offset=(6, 1), canvas=(32, 32))


def test_a_part_of_a_scan_has_the_values_of_the_whole_there():
    own = Placement(native=(20, 30), resized=(20, 30), offset=(6, 1), canvas=(32, 32))
    maps = np.random.default_rng(0).random((1, 2, 32, 32), dtype=np.float32)
    part = (slice(3, 11), slice(7, 29))
    for placement in (own, PLACEMENT):
        whole, some = to_scan_grid(maps, placement), to_scan_grid(maps, placement, part=part)
        assert some.shape == (1, 2, 8, 22)
        assert np.array_equal(some, whole[..., 3:11, 7:29])


def test_slices_that_stage_1_has_not_seen_take_the_line_between_their_neighbours():
    seen_slices, count = [0, 3, 6, 7], 8
    values = np.array([0.0, 0.75, 0.0, 0.5], np.float16)
    located = [Handover(values[part].reshape(-1, 1, 1, 1), ((),) * 2) for part in (slice(0, 2), slice(2, 4))]
    found = interpolated(located, seen_slices, count)
    assert [len(each.boxes) for each in found] == [BATCH_SLICES]
    assert found[0].probabilities.ravel().tolist() == [0, 0.25, 0.5, 0.75, 0.5, 0.25, 0, 0.5]


def test_only_pixels_where_stage_1_sees_something_are_interpolated_and_the_others_stay_0():
    seen_slices, count = [0, 2, 4], 5
    maps = np.zeros((3, 2, 6, 7), np.float16)
    maps[1, 0, 2:4, 3:6] = np.random.default_rng(0).random((2, 3))
    (found,) = interpolated([Handover(maps, ((),) * 3)], seen_slices, count)
    between = (maps[:-1].astype(np.float32) + maps[1:]) / 2
    assert np.array_equal(found.probabilities[::2], maps)
    assert np.allclose(found.probabilities[1::2], between, atol=1e-3)
    assert np.array_equal(found.probabilities[1::2] > 0, between > 0)


def test_stage_1_that_sees_nothing_gives_empty_maps_in_every_slice():
    (found,) = interpolated([Handover(np.zeros((2, 1, 4, 4), np.float16), ((),) * 2)], [0, 3], 4)
    assert found.probabilities.shape == (4, 1, 4, 4)
    assert not found.probabilities.any()


def test_stage_1_is_judged_by_the_millimetres_and_the_body_s_place_on_its_own_grid():
    found = stage1_result_on_grid(
        np.zeros((3, 16, 16), np.float32), PLACEMENT, (0.7, 0.9, 2.5), whole_body=True, is_mask=True
    )
    # Twice as coarse by the canvas, and twice again by stage 1: rows are J, columns I.
    assert found.spacing_mm == pytest.approx((2.5, 0.9 * 4, 0.7 * 4))
    assert found.body == ((3, 13), (0.5, 15.5))


def test_a_thin_scan_s_first_and_last_slices_are_seen_by_stage_1():
    seen = []

    class Noting(HounsfieldCascade):
        def locate(self, images):
            seen.extend(images[:, 0].amax(dim=(1, 2)).tolist())
            return super().locate(images)

    scan, _ = abdomen(centred(LPS_AXES, shape=(16, 16, 12)), shape=(16, 16, 12))
    affine = scan.affine.copy()
    affine[:3, 2] *= 1.0 / scan.spacing_mm[2]
    voxels = np.broadcast_to(np.arange(12, dtype=np.int16) * 10, scan.shape).copy()
    thin = type(scan)(voxels, affine)
    SliceRunner(on_cpu(Noting()), Canvas(size=(16, 16), spacing_mm=None, window=WINDOW)).run(thin)
    shown = WINDOW.apply(voxels[0, 0])
    assert len(seen) < 12, "not every slice of 1 mm"
    assert (seen[0], seen[-1]) == (pytest.approx(shown[0]), pytest.approx(shown[11]))


def test_smoothing_reaches_as_far_on_both_sides_and_ends_with_the_scan():
    for count, first, span in ((30, 14, (10, 19)), (17, 14, (10, 17)), (30, 1, (0, 6))):
        maps = SliceProbabilities(PLACEMENT, count, 1)
        maps.put(first, np.ones((1, 1, 32, 32), np.float16))
        assert maps.smoothed(1.0).span() == span
