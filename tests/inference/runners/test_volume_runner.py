"""3-D cascades on scans, and stage 1 replaced by the steps before."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from abdomen_phantom import (
    GRID,
    LPS_AXES,
    SHAPE,
    TUMOUR_FROM_HU,
    WINDOW,
    HounsfieldCascade,
    abdomen,
    centred,
    dice,
    on_cpu,
    rotation,
    turned,
    volume_cascade,
)

from pancascade.errors import CheckpointError, UnknownModelError
from pancascade.imaging.preprocessing import Canvas
from pancascade.imaging.volume import Box, Volume, crop, reorient
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.localization.search_region import SearchRegion
from pancascade.inference.models.known_models import find_model
from pancascade.inference.pipeline.stage_tracing import trace
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.volume_runner import VolumeRunner
from pancascade.labels import Label
from pancascade.methods.cascades import Zhao2019, Zhao2019Settings
from pancascade.methods.networks import NetworkSettings
from pancascade.segmentation import segment

pytestmark = pytest.mark.usefixtures("one_thread")


def runner(cascade=None) -> VolumeRunner:
    return VolumeRunner(on_cpu(cascade or volume_cascade()), GRID)


def slices_of(probability_map: np.ndarray):
    return lambda first, last: probability_map[:, :, first:last]


def on_scan(found: RegionProbabilities, shape, what="organ") -> np.ndarray:
    dense = np.zeros(shape, np.float32)
    if found.box is not None:
        dense[found.box.slices] = getattr(found, what)
    return dense


def require_own_grid(found, scan):
    assert found.mask.shape == scan.shape
    assert np.array_equal(found.mask.affine, scan.affine)
    assert found.mask.voxels.dtype == np.uint8
    background, pancreas, tumour = found.probabilities.astype(np.float32)
    assert np.abs(background + pancreas + tumour - 1).max() < 2e-3
    assert not tumour.any()
    assert (pancreas[found.mask.voxels == Label.PANCREAS] >= 0.499).all()
    assert dice(pancreas >= 0.5, found.mask.voxels > 0) > 0.95


def everything(widths=(2, 2, 2, 2, 2)) -> Zhao2019:
    """Both stages are 3-D U-Nets of so many levels that believe in every voxel."""
    network = NetworkSettings(name="unet3d", options={"widths": widths})
    cascade = Zhao2019(Zhao2019Settings(first=network, second=network)).eval()
    for stage in (cascade.first, cascade.second):
        torch.nn.init.zeros_(stage.head.weight)
        torch.nn.init.constant_(stage.head.bias, 9.0)
    return cascade


# ── the scan's grid ──


def test_the_organ_is_found_voxel_for_voxel_without_resampling(make_model):
    scan, truth = abdomen()
    found = segment(scan, model=make_model(volume_cascade()))
    require_own_grid(found, scan)
    assert np.array_equal(found.mask.voxels, truth > 0)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "RAI", "SPL", "AIR", "PSR"])
def test_a_flipped_or_permuted_scan_has_the_mask_and_probabilities_turned_with_it(make_model, codes):
    scan, _ = abdomen()
    model = make_model(volume_cascade())
    scan_lps, other = segment(scan, model=model), turned(scan, codes)
    found = segment(other, model=model)
    require_own_grid(found, other)
    assert np.array_equal(turned(found.mask, "LPS").voxels, scan_lps.mask.voxels)
    probability_source = other.with_voxels(found.probabilities[Label.PANCREAS].astype(np.float32))
    assert np.array_equal(turned(probability_source, "LPS").voxels, scan_lps.probabilities[Label.PANCREAS])


@pytest.mark.parametrize("codes", ["LPS", "RIA"])
@pytest.mark.parametrize("turn", [rotation(2, 14), rotation(0, -17) @ rotation(1, 9)], ids=["turned", "tilted"])
def test_an_oblique_scan_has_the_mask_where_its_organ_is(make_model, turn, codes):
    scan, truth = abdomen(centred(turn @ LPS_AXES))
    other = turned(scan, codes)
    found = segment(other, model=make_model(volume_cascade()))
    require_own_grid(found, other)
    organ = turned(scan.with_voxels((truth > 0).astype(np.uint8)), codes).voxels > 0
    assert dice(found.mask.voxels > 0, organ) > 0.95


def test_a_part_of_a_scan_is_found_at_its_place_in_the_scan():
    scan, truth = abdomen()
    at = Box((12, 9, 3), (50, 41, 18))
    inside = np.zeros(SHAPE, bool)
    inside[at.slices] = truth[at.slices] > 0
    found = runner().find(crop(scan, at), at=at)
    assert dice(on_scan(found, SHAPE) >= 0.5, inside) > 0.95
    assert at.contains(found.box)
    assert found.organ.dtype == np.float32
    assert not found.tumour.any()


def test_stage_1_is_judged_along_the_body_first_and_its_wider_region_turned_back(monkeypatch):
    judged, handed_over = [], []

    def select(stage1_result, *, fallback_search):
        judged.append(stage1_result)
        mask = np.zeros(stage1_result.probability_map.shape, bool)
        mask[1:2, 2:4, 3:6] = True
        return SearchRegion(stage1_result.probability_map, mask)

    monkeypatch.setattr("pancascade.inference.runners.volume_runner.select_search_region", select)
    scan = Volume(np.full((32, 24, 16), 0, np.int16), np.diag([-0.5, -0.75, 2.0, 1.0]))

    def note(part, placement, located):
        handed_over.append(located)
        return located

    runner(volume_cascade(finds=False, coarse_margin=0, margin=0, enlarging="repeat")).find(
        scan, at=Box.whole(scan.shape), hand_over=note
    )
    assert judged[0].probability_map.shape == (4, 6, 8)
    assert judged[0].spacing_mm == pytest.approx((8, 3, 2))
    assert handed_over[0].boxes == ((Box((12, 8, 4), (24, 16, 8)),) * 2,)


def test_a_stage_1_that_answers_no_numbers_is_refused_before_stage_2():
    class Damaged(torch.nn.Module):
        def forward(self, volumes):
            return torch.full_like(volumes, torch.nan)

    cascade = volume_cascade()
    cascade.first = Damaged()
    scan = Volume(np.zeros((16, 16, 16), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(CheckpointError, match="Stage 1 of the model returns NaN"):
        runner(cascade).find(scan, at=Box.whole(scan.shape))


def test_the_tumour_can_be_the_target(make_model):
    scan, truth = abdomen()
    cascade = volume_cascade(first_hu=TUMOUR_FROM_HU, target="tumour", factor=2)
    cascade.second.from_hu = TUMOUR_FROM_HU
    found = segment(scan, model=make_model(cascade), keep_doubtful=True)  # a tumour alone is small for a pancreas
    assert np.array_equal(found.mask.voxels == Label.TUMOUR, truth == Label.TUMOUR)


# ── nothing, and little ──


def test_nothing_found_is_an_empty_prediction_and_stage_two_is_not_asked():
    scan, _ = abdomen()
    cascade, asked = volume_cascade(finds=False), []
    cascade.second.register_forward_pre_hook(lambda *given: asked.append(given))
    found = runner(cascade).find(scan, at=Box.whole(scan.shape))
    assert found.box is None
    assert found.organ_box(spacing_mm=(1.0, 1.0, 1.0)) is None
    assert asked == []


def test_a_scan_in_which_nothing_is_found_has_an_empty_mask_and_says_so(make_model):
    scan, _ = abdomen()
    found = segment(scan, model=make_model(volume_cascade(finds=False)))
    assert not found.mask.voxels.any()
    assert found.region is None
    assert (found.probabilities[0] == 1).all()
    assert any("No pancreas was found" in warning for warning in found.warnings)


def test_a_stage_two_that_finds_nothing_outvotes_stage_one(make_model):
    scan, _ = abdomen()
    cascade = volume_cascade()
    cascade.second = volume_cascade(finds=False).first
    assert not segment(scan, model=make_model(cascade)).mask.voxels.any()


@pytest.mark.parametrize("slices", [1, 2, 7, 15])
def test_a_scan_of_few_slices_has_its_organ_found(make_model, slices):
    shape = (*SHAPE[:2], slices)
    scan, truth = abdomen(centred(LPS_AXES, shape=shape), shape=shape)
    found = segment(scan, model=make_model(volume_cascade()))
    require_own_grid(found, scan)
    assert np.array_equal(found.mask.voxels, truth > 0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 33, 18), (40, 7, 3), (16, 16, 1), (9, 9, 31)])
def test_five_levels_of_network_take_volumes_smaller_than_sixteen_voxels(shape):
    voxels = np.full(shape, 100, np.int16)
    found = runner(everything()).find(Volume(voxels, np.diag([-1.0, -1.0, 1.0, 1.0])), at=Box.whole(shape))
    assert found.box == Box.whole(shape)
    assert (found.organ > 0.99).all()


def test_a_one_slice_scan_goes_through_five_levels_of_network(make_model):
    shape = (*SHAPE[:2], 1)
    scan, _ = abdomen(centred(LPS_AXES, shape=shape), shape=shape)
    found = segment(turned(scan, "SAR"), model=make_model(everything()))
    assert found.mask.shape == (1, SHAPE[1], SHAPE[0])
    assert (found.mask.voxels == Label.PANCREAS).all()


# ── between the stages ──


def test_progress_is_told_after_each_stage_that_worked():
    scan, _ = abdomen()
    for cascade, expected in (
        (volume_cascade(), [("locate", 1, 1), ("segment", 1, 1)]),
        (volume_cascade(finds=False), [("locate", 1, 1)]),
    ):
        reported = []
        runner(cascade).find(scan, at=Box.whole(SHAPE), progress=lambda *what, reported=reported: reported.append(what))
        assert reported == expected


def test_a_hand_over_is_shown_all_slices_without_a_canvas_and_may_be_changed():
    scan, truth = abdomen()
    seen, half = [], Box((0, 0, 0), (29, 46, 20))

    def hand_over(part, placement, located):
        seen.append((part, placement, located.details.shape))
        return replace(located, boxes=((half, half),))

    found = runner().find(scan, at=Box.whole(SHAPE), hand_over=hand_over)
    assert seen == [(slice(0, 20), None, SHAPE)]
    expected = truth > 0
    expected[29:] = False
    assert np.array_equal(on_scan(found, SHAPE)[:29] >= 0.5, expected[:29] | (scan.voxels[:29] == 150))
    assert found.box.stop[0] <= 29


def test_a_probability_map_stands_in_for_stage_one_of_a_volume():
    scan, truth = abdomen()
    cascade = volume_cascade()

    def asked(*_):
        raise AssertionError("stage 1 was asked")

    cascade.first.register_forward_pre_hook(asked)
    found = runner(cascade).find(scan, at=Box.whole(SHAPE), probability_map=slices_of((truth > 0).astype(np.float32)))
    organ = on_scan(found, SHAPE) >= 0.5
    assert np.array_equal(organ[truth > 0], np.ones(np.count_nonzero(truth), bool))
    nothing = runner(cascade).find(scan, at=Box.whole(SHAPE), probability_map=slices_of(np.zeros(SHAPE, np.float32)))
    assert nothing.box is None


# ── what is known of the organ in a field ──

KNOWN = Box((3, 2, 2), (9, 7, 6))
FIELDS = {
    "the same": KNOWN,
    "inside": Box((4, 3, 3), (8, 5, 5)),
    "around": Box((0, 0, 0), (12, 10, 8)),
    "overlapping low corner": Box((1, 1, 1), (5, 4, 3)),
    "overlapping high corner": Box((7, 5, 4), (12, 9, 8)),
    "across": Box((4, 0, 3), (6, 10, 5)),
    "touching": Box((9, 2, 2), (12, 7, 6)),
    "before along the first axis": Box((0, 2, 2), (2, 7, 6)),
    "before along all axes": Box((0, 0, 0), (2, 2, 2)),
    "behind along the first axis": Box((10, 2, 2), (12, 7, 6)),
    "behind along the last axis": Box((3, 2, 7), (9, 7, 8)),
    "behind along all axes": Box((10, 8, 7), (12, 10, 8)),
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())
def test_the_organ_in_a_field_is_that_of_the_scan_there(field):
    organ = np.random.default_rng(0).uniform(0.1, 1, KNOWN.shape).astype(np.float32)
    found = RegionProbabilities(KNOWN, organ, np.zeros_like(organ))
    inside = found.organ_in(field)
    assert inside.dtype == np.float32
    assert np.array_equal(inside, on_scan(found, (12, 10, 8))[field.slices])


def test_the_organ_in_a_field_is_a_copy():
    organ = np.full(KNOWN.shape, 0.7, np.float32)
    found = RegionProbabilities(KNOWN, organ, np.zeros_like(organ))
    found.organ_in(KNOWN)[:] = 0
    assert (found.organ == np.float32(0.7)).all()


def test_where_nothing_is_known_no_field_shows_any_organ():
    assert np.array_equal(RegionProbabilities.nothing().organ_in(KNOWN), np.zeros(KNOWN.shape, np.float32))


# ── two steps ──


COARSE = {"spacing_mm": 16.0, "size": (32, 32)}
BEFORE = {"rois_from": "previous_step", "organ_weight": 1.0}


@pytest.mark.parametrize("field", ["scan", "roi"])
def test_a_blind_stage_one_is_replaced_by_the_step_before(make_model, field):
    scan, truth = abdomen()
    rough = segment(scan, model=make_model(wide_canvas=COARSE)).mask.voxels
    assert 0.6 < dice(rough > 0, truth > 0) < 0.93
    model = make_model(
        HounsfieldCascade(), volume_cascade(finds=False), wide_canvas=COARSE, close_step=BEFORE | {"input": field}
    )
    found = segment(scan, model=model)
    assert dice(found.mask.voxels > 0, truth > 0) > 0.98
    assert found.mask.voxels.shape == scan.shape


def test_a_stage_two_for_tumour_looks_where_the_step_before_saw_tumour(make_model):
    scan, truth = abdomen()
    cascade = volume_cascade(finds=False, target="tumour", factor=2)
    cascade.second = volume_cascade(first_hu=TUMOUR_FROM_HU).first
    boxes = []
    cascade.second.register_forward_pre_hook(lambda _, given: boxes.append(tuple(given[0].shape[2:])))
    step = BEFORE | {"input": "roi", "organ_weight": 0.0}
    found = segment(scan, model=make_model(HounsfieldCascade(), cascade, close_step=step)).mask.voxels
    assert dice(found == Label.TUMOUR, truth == Label.TUMOUR) > 0.9
    assert dice(found > 0, truth > 0) > 0.9
    organ, tumour = (Box.around(truth >= label).shape for label in Label if label)
    assert boxes
    assert all(side < whole + 2 * cascade.settings.margin for side, whole in zip(boxes[0], organ, strict=True)), tumour


def test_with_its_own_blind_stage_one_the_second_step_finds_nothing(make_model):
    scan, _ = abdomen()
    steps = [{"rois_from": "self", "input": field, "organ_weight": 1.0} for field in ("scan", "roi")]
    on_the_scan, in_the_region = (
        segment(scan, model=make_model(HounsfieldCascade(), volume_cascade(finds=False), close_step=step))
        for step in steps
    )
    assert not on_the_scan.mask.voxels.any()
    # A closer look that sees nothing leaves what was known.
    assert np.array_equal(in_the_region.mask.voxels > 0, segment(scan, model=make_model()).mask.voxels > 0)


def test_where_the_step_before_found_nothing_its_stand_in_finds_nothing(make_model):
    scan, _ = abdomen(pancreas=False, tumour=False)
    wide = HounsfieldCascade(organ_hu=200)
    close = volume_cascade(factor=2)
    found = segment(scan, model=make_model(wide, close, close_step=BEFORE | {"input": "scan"}))
    assert not found.mask.voxels.any()
    # Its own stage 1 would have found the vessel.
    assert segment(scan, model=make_model(close), keep_doubtful=True).mask.voxels.any()


@pytest.mark.parametrize("codes", ["RAS", "SPL"])
def test_two_steps_of_which_one_is_3d_land_on_the_scan_s_own_grid(make_model, codes):
    scan, _ = abdomen(centred(rotation(2, 9) @ LPS_AXES))
    model = make_model(HounsfieldCascade(), volume_cascade(finds=False), wide_canvas=COARSE, close_step=BEFORE)
    other = turned(scan, codes)
    scan_lps, found = segment(scan, model=model), segment(other, model=model)
    assert np.array_equal(found.mask.affine, other.affine)
    assert np.array_equal(turned(found.mask, "LPS").voxels, scan_lps.mask.voxels)
    assert scan_lps.mask.voxels.any()


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"rois_from": "previous_step"}, "the first step's rois_from must be self"),
        ({"rois_from": "after"}, "'self' or 'previous_step'"),
    ],
)
def test_a_first_step_has_nothing_before_it(tmp_path, step, sentence):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "summary": "x", "steps": [{"weights": "a.safetensors", **step}]}))
    with pytest.raises(UnknownModelError, match=rf"mine\.json: not a model description .*{sentence}") as caught:
        find_model(str(path))
    assert "\n" not in str(caught.value)


# ── slices ──


class Unasked(HounsfieldCascade):
    """Its stage 1 must not be asked."""

    def locate(self, images):
        raise AssertionError("stage 1 was asked")


@pytest.mark.parametrize("canvas", [{"size": (64, 64), "spacing_mm": None}, {"size": (96, 96), "spacing_mm": 3.0}])
def test_a_probability_map_stands_in_for_stage_one_of_slices(canvas):
    scan, truth = abdomen()
    runner = SliceRunner(on_cpu(Unasked()), Canvas(window=WINDOW, **canvas))
    found = runner.find(scan, at=Box.whole(SHAPE), probability_map=slices_of((truth > 0).astype(np.float32)))
    assert dice(on_scan(found, SHAPE) >= 0.5, truth > 0) > 0.9
    assert dice(on_scan(found, SHAPE, "tumour") >= 0.5, truth == Label.TUMOUR) > 0.8


def test_stage_two_of_slices_looks_where_the_probability_map_is():
    scan, truth = abdomen()
    probability_map = (truth > 0).astype(np.float32)
    probability_map[:, :, 10:] = 0
    probability_map[30:] = 0
    runner = SliceRunner(on_cpu(Unasked(margin=0)), Canvas(size=(64, 64), spacing_mm=None, window=WINDOW), False)
    organ = on_scan(runner.find(scan, at=Box.whole(SHAPE), probability_map=slices_of(probability_map)), SHAPE) >= 0.5
    assert not organ[30:].any()
    assert not organ[:, :, 10:].any()
    assert np.array_equal(organ[:30, :, :10], truth[:30, :, :10] > 0)


def test_slices_without_probability_map_have_no_organ():
    runner = SliceRunner(on_cpu(Unasked()), Canvas(size=(64, 64), spacing_mm=None, window=WINDOW))
    scan, _ = abdomen()
    assert runner.find(scan, at=Box.whole(SHAPE), probability_map=slices_of(np.zeros(SHAPE, np.float32))).box is None


def test_a_2d_step_can_take_the_probability_map_of_the_steps_before(make_model):
    scan, truth = abdomen()
    model = make_model(volume_cascade(), Unasked(), close_canvas={"spacing_mm": None}, close_step=BEFORE)
    found = segment(scan, model=model)
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert dice(found.mask.voxels == Label.TUMOUR, truth == Label.TUMOUR) > 0.8


# ── tracing ──


def traced(scan, truth, model):
    return trace(scan, Volume(truth.astype(np.uint8), scan.affine), model=find_model(model))


def test_a_good_stage_one_of_a_volume_leaves_nothing_to_win(make_model):
    scan, truth = abdomen()
    model = make_model(volume_cascade(margin=2, coarse_margin=1))
    found = traced(scan, truth, model)
    assert np.array_equal(found.labels, reorient(segment(scan, model=model).mask, "LPS").voxels)
    assert np.array_equal(found.labels > 0, truth > 0)
    assert dice(found.true_box_labels > 0, truth > 0) > 0.98
    assert set(found.covered) == {Label.PANCREAS}
    assert found.covered[Label.PANCREAS][truth > 0].all()
    assert not found.covered[Label.PANCREAS].all()


def test_what_a_blind_stage_one_loses_comes_back_in_the_true_boxes(make_model):
    scan, truth = abdomen()
    found = traced(scan, truth, make_model(volume_cascade(finds=False)))
    assert not found.labels.any()
    assert not found.covered[Label.PANCREAS].any()
    assert dice(found.true_box_labels > 0, truth > 0) > 0.98


def test_what_a_shy_stage_one_leaves_out_lies_outside_of_its_boxes(make_model):
    scan, truth = abdomen()
    shy = volume_cascade(first_hu=TUMOUR_FROM_HU, factor=2, margin=1, coarse_margin=0)
    found = traced(scan, truth, make_model(shy))
    outside = ~found.covered[Label.PANCREAS]
    assert found.labels.any()
    assert dice(found.labels > 0, truth > 0) < 0.6
    assert not (found.labels > 0)[outside].any()
    assert (truth > 0)[outside].any()
    assert dice(found.true_box_labels > 0, truth > 0) > 0.85


@pytest.mark.parametrize("codes", ["RAS", "SPL"])
def test_the_trace_of_a_volume_is_the_same_however_the_files_are_stored(make_model, codes):
    scan, truth = abdomen()
    model = find_model(make_model(volume_cascade(first_hu=TUMOUR_FROM_HU, factor=2, margin=1, coarse_margin=0)))
    reference = Volume(truth.astype(np.uint8), scan.affine)
    plain, other = (
        trace(scan, reference, model=model),
        trace(turned(scan, codes), turned(reference, "RAS"), model=model),
    )
    assert np.array_equal(plain.labels, other.labels)
    assert np.array_equal(plain.true_box_labels, other.true_box_labels)
    assert np.array_equal(plain.covered[Label.PANCREAS], other.covered[Label.PANCREAS])


def test_a_model_whose_second_step_takes_the_first_one_s_probability_map_can_be_traced(make_model):
    scan, truth = abdomen()
    first = HounsfieldCascade(organ_hu=TUMOUR_FROM_HU, tumour_hu=None)
    second = volume_cascade(finds=False, margin=0, coarse_margin=0)
    found = traced(scan, truth, make_model(first, second, close_step=BEFORE | {"input": "scan"}, fallback_search=False))
    assert dice(found.labels > 0, truth > 0) < 0.6
    assert dice(found.true_box_labels > 0, truth > 0) > 0.85
