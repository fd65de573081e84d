"""The bound with true boxes, and where stage 2 looked."""

import json
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import (
    LPS_AXES,
    TUMOUR_FROM_HU,
    HounsfieldCascade,
    OneLook,
    abdomen,
    centred,
    described,
    dice,
    on_cpu,
    turned,
)

from pancascade.errors import DataError, GeometryError
from pancascade.imaging.volume import Volume, reorient
from pancascade.inference.models.known_models import find_model
from pancascade.inference.pipeline.stage_tracing import trace, trace_slice
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.labels import Label
from pancascade.segmentation import segment


class ShyCascade(HounsfieldCascade):
    """Stage 1 sees only the tumour, so that its boxes cut most of the organ off; stage 2 is as good as ever."""

    def locate(self, images):
        return self.update_rois(None, self.above(images, TUMOUR_FROM_HU))


def as_volume(labels, scan):
    return Volume(labels.astype(np.uint8), scan.affine)


def test_a_good_stage_1_leaves_nothing_to_win(make_model):
    scan, truth = abdomen()
    found = trace(scan, as_volume(truth, scan), model=find_model(make_model()))
    assert dice(found.labels > 0, found.reference > 0) > 0.95
    assert dice(found.true_box_labels > 0, found.reference > 0) > 0.95
    assert found.covered[Label.PANCREAS][found.reference > 0].all()
    assert not found.covered[Label.PANCREAS].all()


def test_what_a_shy_stage_1_cuts_off_comes_back_in_the_true_boxes(make_model):
    scan, truth = abdomen()
    found = trace(scan, as_volume(truth, scan), model=find_model(make_model(ShyCascade(), fallback_search=False)))
    organ = found.reference > 0
    assert dice(found.labels > 0, organ) < 0.5
    assert dice(found.true_box_labels > 0, organ) > 0.95
    assert not (found.labels > 0)[~found.covered[Label.PANCREAS]].any()
    assert 0.5 < organ[~found.covered[Label.PANCREAS]].sum() / organ.sum() < 1


@pytest.mark.parametrize("codes", ["RAS", "SPL", "AIR"])
def test_the_trace_is_the_same_however_the_files_are_stored(make_model, codes):
    scan, truth = abdomen()
    reference = as_volume(truth, scan)
    model = find_model(make_model(ShyCascade(), fallback_search=False))
    plain = trace(scan, reference, model=model)
    other = trace(turned(scan, codes), turned(reference, "RAS"), model=model)
    assert np.array_equal(plain.labels, other.labels)
    assert np.array_equal(plain.true_box_labels, other.true_box_labels)
    assert all(np.array_equal(plain.covered[label], other.covered[label]) for label in plain.covered)


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that calibration and thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


class FaintCascade(HounsfieldCascade):
    """Stage 1 finds the organ, but nothing of it likelier than not; stage 2 is as good as ever."""

    def locate(self, images):
        return self.update_rois(None, 0.4 * self.above(images, self.organ_hu))


def with_calibration(path, **values):
    """The model's description with a calibration and thresholds that change its mask."""
    calibration = {"organ_temperature": 2.0, "organ_offset": -2.0, "tumour_temperature": 0.5, "tumour_offset": -1.5}
    description = json.loads(Path(path).read_text()) | {"calibration": calibration} | values
    Path(path).write_text(json.dumps(description))
    return path


WAYS = {
    "one step": (Graded(), None, {}),
    "two steps": (HounsfieldCascade(tumour_hu=None), Graded(), {}),
    "two steps, the second without a stage 1 of its own": (
        Graded(tumour_hu=None),
        Graded(),
        {"rois_from": "previous_step"},
    ),
    "a stage 1 that is searched for further": (ShyCascade(), None, {}),
    "a pancreas that stage 1 sees only faintly": (FaintCascade(), Graded(), {}),
}


@pytest.mark.parametrize(("wide", "close", "step"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("values", [{}, {"organ_threshold": 0.7, "tumour_threshold": 0.15}])
def test_the_labels_are_those_of_segment_by_calibration_thresholds_and_search(make_model, wide, close, step, values):
    scan, _ = abdomen(centred(LPS_AXES, spacing_mm=(2.6, 5.2, 6.0), shape=(104, 38, 18)), shape=(104, 38, 18))
    model = with_calibration(make_model(wide, close, close_step=step), **values)
    mask = segment(scan, model=model).mask
    assert mask.voxels.any()
    found = trace(scan, mask, model=find_model(model))
    assert np.array_equal(found.labels, reorient(mask, "LPS").voxels)
    assert np.array_equal(found.reference, found.labels)
    assert set(found.covered) == {Label.PANCREAS, Label.TUMOUR}


def test_a_calibration_changes_the_labels_so_that_forgetting_it_would_be_seen(make_model):
    scan, truth = abdomen()
    path = make_model(Graded())
    plain = trace(scan, as_volume(truth, scan), model=find_model(path))
    calibrated = trace(scan, as_volume(truth, scan), model=find_model(with_calibration(path)))
    assert not np.array_equal(plain.labels, calibrated.labels)
    assert not np.array_equal(plain.true_box_labels, calibrated.true_box_labels)


@pytest.mark.parametrize(("wide", "close"), [(HounsfieldCascade(), None), (HounsfieldCascade(), Graded())])
def test_the_labels_are_those_of_segment_also_where_something_is_withheld(make_model, wide, close):
    """All that is bright is a small vessel far from the pancreas's place."""
    scan, nothing = abdomen(pancreas=False, tumour=False)
    model = make_model(wide, close)
    result = segment(scan, model=model)
    assert "doubtful_withheld" in {notice.code for notice in result.notices}
    assert segment(scan, model=model, keep_doubtful=True).mask.voxels.any()
    found = trace(scan, as_volume(nothing, scan), model=find_model(model))
    assert np.array_equal(found.labels, reorient(result.mask, "LPS").voxels)
    assert not found.labels.any()
    assert found.covered[Label.PANCREAS].any()


@pytest.mark.parametrize("fallback_search", [True, False])
def test_the_wider_place_of_a_faint_pancreas_counts_as_covered_if_it_is_taken(make_model, fallback_search):
    scan, truth = abdomen()
    found = trace(
        scan, as_volume(truth, scan), model=find_model(make_model(FaintCascade(), fallback_search=fallback_search))
    )
    covered = found.covered[Label.PANCREAS]
    assert covered[found.reference > 0].all() == covered.any() == (found.labels > 0).any() == fallback_search
    assert not covered.all()
    assert not (found.labels > 0)[~covered].any()


def test_a_model_without_tumour_is_not_blamed_for_missing_it(make_model):
    scan, truth = abdomen()
    found = trace(scan, as_volume(truth, scan), model=find_model(make_model(HounsfieldCascade(tumour_hu=None))))
    assert set(found.covered) == {Label.PANCREAS}


def test_a_single_network_has_no_stage_to_blame(make_model):
    scan, truth = abdomen()
    with pytest.raises(DataError, match="no stage 1"):
        trace(scan, as_volume(truth, scan), model=find_model(make_model(OneLook())))


def test_a_reference_on_another_grid_is_refused(make_model):
    scan, truth = abdomen()
    moved = Volume(truth.astype(np.uint8), scan.affine + np.diag([0, 0, 1.0, 0]))
    with pytest.raises(GeometryError, match="not on the grid"):
        trace(scan, moved, model=find_model(make_model()))


@pytest.mark.parametrize(("cascade", "lost"), [(HounsfieldCascade(), False), (ShyCascade(), True)])
def test_a_slice_is_traced_like_a_scan(cascade, lost):
    scan, truth = abdomen()
    k = 11
    hu, labels = scan.voxels[:, :, k].T, truth[:, :, k].T.astype(np.uint8)
    runner = SliceRunner(on_cpu(cascade), described().canvas)
    found = trace_slice(runner, hu, labels, spacing_mm=(4.4, 5.0))
    assert found.reference.shape == (*scan.shape[:2], 1)
    organ = found.reference > 0
    assert dice(found.true_box_labels > 0, organ) > 0.95
    assert (dice(found.labels > 0, organ) < 0.6) == lost
    assert found.covered[Label.PANCREAS][organ].all() != lost
