import numpy as np
import pytest
import torch
from abdomen_phantom import LPS_AXES, WINDOW, HounsfieldCascade, OneLook, abdomen, centred, on_cpu
from scipy import ndimage

from pancascade.imaging.preprocessing import Canvas
from pancascade.imaging.volume import crop
from pancascade.imaging.volume.box import Box
from pancascade.inference.runners.slice_batches import BATCH_SLICES
from pancascade.inference.runners.slice_runner import SliceRunner


def slice_runner(cascade, *, size=(64, 64), spacing_mm=None, smooth_along_z=True) -> SliceRunner:
    return SliceRunner(on_cpu(cascade), Canvas(size=size, spacing_mm=spacing_mm, window=WINDOW), smooth_along_z)


def scan_of(count: int):
    scan, _ = abdomen()
    middle = (scan.shape[2] - count) // 2
    return crop(scan, Box((0, 0, middle), (*scan.shape[:2], middle + count)))


@pytest.mark.parametrize("count", [1, 2, BATCH_SLICES - 1, BATCH_SLICES, BATCH_SLICES + 1, 2 * BATCH_SLICES + 3])
def test_every_slice_is_seen_once_however_the_batches_fall(count):
    scan, cascade = scan_of(count), OneLook()
    found = slice_runner(cascade, smooth_along_z=False).run(scan).on_scan(0, count)
    assert found.shape == (2, *scan.shape)
    assert found.dtype == np.float16
    for k in range(count):
        shown = torch.from_numpy(WINDOW.apply(scan.voxels[:, :, k]))[None, None]
        alone = cascade(shown)[0, 1:].half().numpy()
        assert np.array_equal(found[..., k], alone)


def test_one_slice_alone_is_what_the_volume_of_it_gives():
    scan = scan_of(1)
    runner = slice_runner(OneLook(), spacing_mm=3.0, size=(32, 32))
    column_mm, row_mm, _ = scan.spacing_mm
    alone = runner.run_slice(scan.voxels[:, :, 0].T, (row_mm, column_mm))
    assert alone.shape == (3, scan.shape[1], scan.shape[0])
    np.testing.assert_allclose(alone.sum(axis=0), 1, atol=1e-5)
    volume = runner.run(scan).on_scan(0, 1)[..., 0]
    np.testing.assert_allclose(alone[1:].transpose(0, 2, 1), volume, atol=2e-3)


def test_a_slice_without_spacing_takes_the_canvas_s_assumption():
    scan = scan_of(1)
    canvas = Canvas(size=(32, 32), spacing_mm=3.0, window=WINDOW, assumed_spacing_mm=4.0)
    runner = SliceRunner(on_cpu(OneLook()), canvas)
    hu = scan.voxels[:, :, 0].T
    assert np.array_equal(runner.run_slice(hu, None), runner.run_slice(hu, (4.0, 4.0)))
    assert runner.run_slice(hu, None).shape == (3, *hu.shape)


def test_a_scan_larger_than_the_canvas_grows_it_and_loses_no_corner():
    shape = (70, 50, 3)
    scan, _ = abdomen(centred(LPS_AXES, shape=shape), shape=shape)
    voxels = scan.voxels.copy()
    voxels[:3, :3], voxels[-3:, -3:] = 150, 150
    cascade = OneLook()
    found = slice_runner(cascade, size=(32, 32)).run(scan.with_voxels(voxels))
    assert found.placement.canvas == (64, 96)
    organ = found.on_scan(0, 3).sum(axis=0)
    assert organ.shape == shape
    assert (organ[:3, :3] > 0.99).all()
    assert (organ[-3:, -3:] > 0.99).all()


def test_a_canvas_that_is_large_enough_does_not_grow():
    cascade = HounsfieldCascade()
    slice_runner(cascade, size=(64, 96)).run(scan_of(3))
    assert cascade.sizes == [(64, 96)]


def test_only_slices_with_a_box_reach_stage_2():
    class Counting(HounsfieldCascade):
        seen = 0

        def segment(self, images, located):
            assert any(located.boxes)
            self.seen += 1
            return super().segment(images, located)

    scan, _ = abdomen(pancreas=False, tumour=False)
    cascade = Counting(organ_hu=200)
    found = slice_runner(cascade).run(scan)
    assert cascade.seen == 0
    assert found.span() is None
    assert not found.on_scan(0, scan.shape[2]).any()


def test_a_flash_in_one_slice_is_not_handed_over():
    """What stage 1 believes is smoothed along the body: thin slices must agree with their neighbours."""
    shape = (58, 46, 30)
    scan, truth = abdomen(centred(LPS_AXES, spacing_mm=(5, 4.4, 0.5), shape=shape), shape=shape)
    voxels = scan.voxels.copy()
    voxels[40:44, 8:12, 15] = 150
    assert not truth[40:44, 8:12, 15].any()
    organ = slice_runner(HounsfieldCascade()).run(scan.with_voxels(voxels)).on_scan(0, 30).sum(axis=0)
    assert not (organ[40:44, 8:12, 15] > 0.5).all()
    alone = slice_runner(OneLook(), smooth_along_z=False).run(scan.with_voxels(voxels)).on_scan(0, 30).sum(axis=0)
    assert (alone[40:44, 8:12, 15] > 0.5).all()


def test_a_slice_that_stage_1_missed_is_handed_over_with_its_neighbours_probability_map():
    class Watched(HounsfieldCascade):
        def __init__(self) -> None:
            super().__init__()
            self.handed_over: list = []

        def segment(self, images, located):
            self.handed_over += located.boxes
            return super().segment(images, located)

    shape = (58, 46, 24)
    scan, truth = abdomen(centred(LPS_AXES, spacing_mm=(5, 4.4, 0.5), shape=shape), shape=shape)
    voxels = scan.voxels.copy()
    voxels[:, :, 13][truth[:, :, 13] > 0] = 40
    cascade = Watched()
    slice_runner(cascade).run(scan.with_voxels(voxels))
    (box,) = cascade.handed_over[13]
    on_canvas = ((64 - shape[1]) // 2, (64 - shape[0]) // 2)
    organ = Box.around(truth[:, :, 13].T).shift(on_canvas)
    assert box.contains(organ)
    assert organ.expand(cascade.margin + 2).contains(box)


def test_a_lighter_body_elsewhere_is_not_handed_over():
    scan, truth = abdomen()
    vessel = (scan.voxels == 150) & (truth == 0)
    assert vessel.any()
    organ = slice_runner(HounsfieldCascade()).run(scan).on_scan(0, 20).sum(axis=0)
    assert (organ[vessel] < 0.5).all()
    assert (organ[truth > 0] > 0.5).all()
    canvas = Canvas(size=(64, 64), spacing_mm=None, window=WINDOW)
    alone = SliceRunner(on_cpu(HounsfieldCascade()), canvas, smooth_along_z=False).run(scan).on_scan(0, 20).sum(axis=0)
    assert (alone[vessel] > 0.5).all()


def test_where_consistency_is_not_asked_for_each_slice_stands_alone():
    shape = (58, 46, 12)
    scan, _ = abdomen(centred(LPS_AXES, spacing_mm=(5, 4.4, 0.5), shape=shape), shape=shape)
    voxels = scan.voxels.copy()
    voxels[40:44, 8:12, 6] = 150
    cascade = HounsfieldCascade()
    runner = SliceRunner(on_cpu(cascade), Canvas(size=(64, 64), spacing_mm=None, window=WINDOW), smooth_along_z=False)
    found = runner.run(scan.with_voxels(voxels)).on_scan(0, 12)
    for k in (5, 6, 7):
        alone = runner.run_slice(voxels[:, :, k].T, None)[1:].astype(np.float16).transpose(0, 2, 1)
        assert np.array_equal(found[..., k], alone)


def test_progress_counts_slices_of_both_stages():
    reported = []
    slice_runner(HounsfieldCascade()).run(scan_of(11), progress=lambda *what: reported.append(what))
    assert reported == [("locate", 8, 11), ("locate", 11, 11), ("segment", 8, 11), ("segment", 11, 11)]


def test_any_part_of_the_slices_can_be_taken_off():
    scan = scan_of(5)
    found = slice_runner(OneLook(), spacing_mm=3.0).run(scan)
    assert np.array_equal(found.on_scan(1, 4), found.on_scan(0, 5)[..., 1:4])


def test_probabilities_are_smoothed_along_the_body():
    scan = scan_of(12)
    rough = slice_runner(OneLook(), smooth_along_z=False).run(scan).on_scan(0, 12).astype(np.float32)
    smooth = slice_runner(OneLook()).run(scan).on_scan(0, 12)
    expected = ndimage.gaussian_filter1d(rough[0], 2.0 / scan.spacing_mm[2], axis=2, mode="nearest")
    np.testing.assert_allclose(smooth[0], expected, atol=2e-3)
