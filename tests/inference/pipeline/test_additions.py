"""What `segment` adds to the papers' pass, switched off one by one, and all together."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from abdomen_phantom import LPS_AXES, HounsfieldCascade, abdomen, centred, turned, volume_cascade

from pancascade.imaging.volume import Box
from pancascade.inference.models.additions import ALL, NONE, Additions
from pancascade.inference.models.known_models import find_model
from pancascade.inference.prediction.scan_pass import run_scan
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.segmentation import segment


def found(scan, model, *without, **options):
    return segment(scan, model=model, additions=Additions.without(without), **options)


@pytest.mark.parametrize("codes", ["LPS", "SRA"])
@pytest.mark.parametrize("cascade", [HounsfieldCascade(), volume_cascade(factor=2, margin=2, coarse_margin=1)])
def test_with_everything_off_the_mask_is_that_of_the_papers_pass(make_model, cascade, codes):
    """Equal because the phantom fills its canvas alike in all slices, and no probability is within 0.001 of ½."""
    scan, truth = abdomen()
    scan = turned(scan, codes)
    model = make_model(cascade, wide_canvas={"spacing_mm": None})
    runner = load_runner(Path(model).parent / "wide.safetensors", torch.device("cpu"))
    bare = segment(scan, model=model, additions=NONE, keep_doubtful=True, backend="torch").mask.voxels
    papers = run_scan(runner, scan).mask.voxels
    assert np.array_equal(bare, papers)
    usual = segment(scan, model=model).mask.voxels
    assert not np.array_equal(usual, papers)
    assert np.count_nonzero(truth) <= np.count_nonzero(papers)


def test_by_default_everything_is_on(make_model):
    scan, _ = abdomen()
    assert Additions() == ALL
    assert segment(scan, model=make_model()).result().switched_off == ()


def test_without_smoothing_a_flash_in_one_slice_is_marked(make_model):
    shape = (58, 46, 30)
    scan, truth = abdomen(centred(LPS_AXES, spacing_mm=(5, 4.4, 0.5), shape=shape), shape=shape)
    voxels = scan.voxels.copy()
    voxels[40:44, 8:12, 15] = 150
    model = make_model(wide_canvas={"spacing_mm": None})
    flash = (slice(40, 44), slice(8, 12), 15)
    assert not truth[flash].any()
    smooth = found(scan.with_voxels(voxels), model, "component_rules").mask.voxels[flash]
    rough = found(scan.with_voxels(voxels), model, "component_rules", "smoothing").mask.voxels[flash]
    assert not smooth.any()
    assert rough.all()


def test_without_component_rules_a_vessel_far_away_is_marked(make_model):
    scan, truth = abdomen()
    vessel = (scan.voxels == 150) & (truth == 0)
    model = make_model(wide_canvas={"spacing_mm": None})
    assert not found(scan, model).mask.voxels[vessel].any()
    assert (found(scan, model, "component_rules").mask.voxels[vessel] > 0).mean() > 0.9


def test_without_a_fallback_search_a_faint_pancreas_stays_unfound(make_model):
    class Faint(HounsfieldCascade):
        def locate(self, images):
            return self.update_rois(None, 0.4 * self.above(images, self.organ_hu))

    scan, _ = abdomen()
    model = make_model(Faint())
    assert found(scan, model).mask.voxels.any()
    assert not found(scan, model, "fallback_search").mask.voxels.any()


@pytest.mark.parametrize(("name", "function"), [("body_box", "patient_box"), ("search_range", "search_range")])
def test_the_field_is_the_whole_scan_or_body_where_it_is_not_narrowed(make_model, monkeypatch, name, function):
    scan, _ = abdomen()
    inner = Box((2, 2, 3), (56, 44, 17))
    monkeypatch.setattr(f"pancascade.inference.pipeline.steps.{function}", lambda *_: inner)
    cascade = HounsfieldCascade()
    seen = []
    monkeypatch.setattr(
        "pancascade.inference.runners.slice_runner.SliceRunner.find",
        lambda self, volume, **more: seen.append(volume.shape) or _nothing(),
    )
    model = make_model(cascade)
    found(scan, model)
    found(scan, model, name)
    assert seen[0] == inner.shape
    assert seen[1][2] == scan.shape[2]


def _nothing():
    from pancascade.inference.localization.region_probabilities import RegionProbabilities

    return RegionProbabilities.nothing()


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that calibration and thresholds matter."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("calibration", {"calibration": {"organ_temperature": 2.0, "organ_offset": -2.0}}),
        ("tuned_thresholds", {"organ_threshold": 0.9}),
        ("tumour_score", {"least_tumour_score": 0.999}),
    ],
)
def test_what_the_model_brings_is_left_out_by_name(make_model, name, values):
    scan, _ = abdomen()
    path = make_model(Graded())
    plain = segment(scan, model=path).mask.voxels
    Path(path).write_text(json.dumps(json.loads(Path(path).read_text()) | values))
    assert find_model(path)
    assert not np.array_equal(found(scan, path).mask.voxels, plain)
    assert np.array_equal(found(scan, path, name).mask.voxels, plain)


def test_names_of_a_newer_version_are_passed_over():
    assert Additions.without(["smoothing", "not_yet_known"]).switched_off == ("smoothing",)
