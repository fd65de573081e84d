"""The search where the pancreas is in doubt, what is withheld, and predictions that are averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from abdomen_phantom import HounsfieldCascade, abdomen, dice

from pancascade.imaging.volume import Box, reorient
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.localization.search_region import CONFIDENT
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Step
from pancascade.inference.pipeline.steps import regions
from pancascade.inference.pipeline.withholding import LEAST_PLAUSIBILITY
from pancascade.methods.cascades import (
    CoarseToFineSettings,
    DsmsUNetSettings,
    LSNetSettings,
    Qiu2024Settings,
    SingleStageSettings,
    Zhao2019Settings,
    build_cascade,
)
from pancascade.methods.networks import NetworkSettings
from pancascade.results.location import Location
from pancascade.segmentation import segment


class Weak(HounsfieldCascade):
    """Stage 1 is right but shy: it nowhere reaches one half."""

    def locate(self, images):
        found = super().locate(images)
        return self.update_rois(None, 0.3 * found.probabilities)


class Disproved(HounsfieldCascade):
    """Stage 1 is sure, and stage 2 sees next to nothing of what it has located."""

    def segment(self, images, located):
        few = replace(located, boxes=tuple(tuple(corner(box) for box in boxes) for boxes in located.boxes))
        return super().segment(images, few)


def corner(box: Box) -> Box:
    middle = [(start + stop) // 2 for start, stop in zip(box.start, box.stop, strict=True)]
    return Box(tuple(middle), tuple(one + 2 for one in middle))


class Nowhere(HounsfieldCascade):
    """Stage 1 sees nothing at all."""

    def locate(self, images):
        return self.update_rois(None, torch.zeros_like(images))


def codes(found) -> list[str]:
    return [notice.code for notice in found.notices if notice.about != "input"]


def test_a_shy_stage_1_does_not_lose_the_organ(make_model):
    scan, truth = abdomen()
    found = segment(scan, model=make_model(Weak()))
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert "location_doubtful" in codes(found)
    assert "searched_wider" in codes(found)
    assert found.location.level == "wider"
    assert not segment(scan, model=make_model(Weak(), fallback_search=False)).mask.voxels.any()


def test_a_sure_location_is_doubted_where_stage_2_finds_no_plausible_pancreas_in_it(make_model):
    scan, _ = abdomen()
    sure = segment(scan, model=make_model(Disproved(), fallback_search=False))
    found = segment(scan, model=make_model(Disproved()), keep_doubtful=True)
    assert sure.location.confidence >= CONFIDENT
    assert sure.mask.voxels.any()
    assert found.location.confidence < CONFIDENT
    assert "organ_small" in found.location.reasons
    assert "location_doubtful" in codes(found)
    assert "located" not in codes(found)


def test_what_is_no_plausible_pancreas_is_withheld_unless_it_is_asked_for(make_model):
    scan, _ = abdomen()
    kept = segment(scan, model=make_model(Disproved()), keep_doubtful=True)
    found = segment(scan, model=make_model(Disproved()))
    assert kept.mask.voxels.any()
    assert kept.location.plausibility < LEAST_PLAUSIBILITY
    assert not found.mask.voxels.any()
    assert found.region is None
    assert codes(found)[:2] == ["doubtful_withheld", "location_doubtful"]
    assert found.warnings[0].startswith("Nothing is marked")
    assert "doubtful_withheld" not in codes(kept)


def test_a_scan_in_which_nothing_is_found_says_so_and_has_been_searched_to_the_end(make_model):
    scan, _ = abdomen()
    found = segment(scan, model=make_model(Nowhere()))
    assert not found.mask.voxels.any()
    assert {"location_doubtful", "pancreas_not_found"} <= set(codes(found))
    assert found.location.confidence == 0
    assert found.tumour_score == 0


def test_a_sure_location_is_not_searched_further(make_model):
    scan, _ = abdomen()
    found = segment(scan, model=make_model())
    assert found.location.level == "usual"
    assert not {"searched_wider", "doubtful_withheld"} & set(codes(found))


def step(margin_mm=10.0) -> Step:
    return Step(weights="a", input="roi", margin_mm=margin_mm)


def two_bodies() -> RegionProbabilities:
    organ = np.zeros((40, 30, 20), np.float32)
    organ[2:8, 2:8, 2:8] = 0.9
    organ[9:15, 9:15, 9:15] = 0.9
    return RegionProbabilities(Box((10, 10, 0), (50, 40, 20)), organ, np.zeros_like(organ))


def test_every_body_of_the_organ_has_a_region_of_its_own_unless_they_overlap():
    scan_lps = reorient(abdomen(shape=(58, 46, 20))[0], "LPS")
    apart = regions(step(0.0), scan_lps, two_bodies())
    assert {box.start for box in apart} == {(12, 12, 2), (19, 19, 9)}
    (joined,) = regions(step(80.0), scan_lps, two_bodies())
    assert all(joined.contains(box) for box in apart)


def test_a_doubtful_location_doubles_the_margin():
    scan_lps = reorient(abdomen(shape=(58, 46, 20))[0], "LPS")
    sure, low_confidence = (
        RegionProbabilities(found.box, found.organ, found.tumour, Location(confidence=confidence))
        for found, confidence in ((two_bodies(), 0.9), (two_bodies(), 0.1))
    )
    assert regions(step(10), scan_lps, low_confidence) == regions(step(20), scan_lps, sure)


def test_an_organ_that_is_nowhere_likelier_than_not_is_still_looked_at():
    scan_lps = reorient(abdomen(shape=(58, 46, 20))[0], "LPS")
    shy = two_bodies()
    faint = RegionProbabilities(shy.box, 0.3 * shy.organ, shy.tumour)
    assert regions(step(), scan_lps, faint) == regions(step(), scan_lps, shy)
    assert regions(step(), scan_lps, RegionProbabilities.nothing()) == []


def test_three_pixel_sizes_give_nearly_the_mask_of_one(make_model):
    scan, truth = abdomen()
    model = make_model()
    one, three = segment(scan, model=model), segment(scan, model=model, tta=True)
    assert dice(three.mask.voxels > 0, truth > 0) > 0.85
    assert dice(three.mask.voxels > 0, one.mask.voxels > 0) > 0.9
    assert not np.array_equal(three.region_probabilities, one.region_probabilities)


def test_several_models_are_averaged(make_model, tmp_path):
    scan, _ = abdomen()
    model = make_model()
    one, twice = segment(scan, model=model), segment(scan, model=[model, model])
    assert np.array_equal(one.mask.voxels, twice.mask.voxels)
    assert twice.model == "phantom + phantom"
    assert find_model(model).organ_threshold == twice.thresholds.organ


def test_the_mean_of_a_prediction_and_of_nothing_is_half_of_it():
    whole = two_bodies()
    half = RegionProbabilities.mean([whole, RegionProbabilities.nothing()])
    assert half.box == whole.box
    assert np.array_equal(half.organ, whole.organ / 2)
    assert RegionProbabilities.mean([RegionProbabilities.nothing(), RegionProbabilities.nothing()]).box is None


def test_predictions_in_different_boxes_are_averaged_in_their_union():
    one = two_bodies()
    other = RegionProbabilities(one.box.shift((5, 0, 0)), one.organ, one.tumour)
    both = RegionProbabilities.mean([one, other])
    assert both.box == one.box.union(other.box)
    assert both.organ_in(one.box)[2:8, 2:8, 2:8].max() == pytest.approx(0.9)
    assert both.organ.sum() == pytest.approx(one.organ.sum(), rel=1e-5)


def tiny(name: str) -> NetworkSettings:
    return NetworkSettings(name=name, preset="tiny")


KINDS = {
    "qiu2024": Qiu2024Settings(first=tiny("multiscale_unet"), second=tiny("focusing_net"), crop_size=(32, 48)),
    "lsnet": LSNetSettings(first=tiny("localization_net"), second=tiny("resnet_unet")),
    "dsms_unet": DsmsUNetSettings(network=tiny("dsms_unet")),
    "coarse_to_fine": CoarseToFineSettings(first=tiny("unet"), second=tiny("unet"), crop_size=(32, 32)),
    "single_stage": SingleStageSettings(network=tiny("unet")),
    "zhao2019": Zhao2019Settings(first=tiny("unet3d"), second=tiny("unet3d")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_of_cascade_goes_through_the_search_with_whatever_it_believes(make_model, kind, seed):
    torch.manual_seed(seed)
    scan, _ = abdomen()
    cascade = build_cascade(KINDS[kind]).eval()
    found = segment(scan, model=make_model(cascade), backend="torch")
    assert found.mask.on_same_grid_as(scan)
    assert np.isfinite(found.region_probabilities).all()
    organ = found.region_probabilities.sum(axis=0)
    assert organ.min(initial=0) >= 0
    assert organ.max(initial=0) <= 1.0011
    assert found.notices
    if cascade.locates:
        assert found.location is not None
