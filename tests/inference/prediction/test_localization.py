"""Stage 1's boxes and masks as the papers' tables count them."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from abdomen_phantom import HounsfieldCascade, OneLook, abdomen, volume_cascade
from torch import nn

from pancascade.errors import DataError
from pancascade.evaluation.localization import LocalizationRow, box_iou_table, localization_row
from pancascade.imaging.volume import Box
from pancascade.inference.pipeline.stage_tracing import StageTrace
from pancascade.inference.prediction import labelled_cases, localization_rows
from pancascade.inference.prediction.localization_rows import locate_rows
from pancascade.inference.prediction.stage_errors import attribution_rows, localization_and_attribution_rows, rows_of
from pancascade.labels import Label
from pancascade.methods.cascades import LSNet, LSNetSettings, is_any
from pancascade.methods.losses.keypoint_targets import keypoint_targets
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.localization_net import Localization
from pancascade.metrics import BoxOverlap, Region, box_overlap


class PerfectLNet(nn.Module):
    """L-Net that has learned its targets exactly, of masks that it is told."""

    def __init__(self, masks: torch.Tensor, sigma: float) -> None:
        super().__init__()
        self.targets = keypoint_targets(masks, sigma=sigma)

    def forward(self, images: torch.Tensor) -> Localization:
        return Localization(torch.logit(self.targets.heatmap, eps=1e-4), self.targets.distances)


def lsnet(labels, **options):
    tiny = {"first": NetworkSettings(name="localization_net", preset="tiny")}
    tiny["second"] = NetworkSettings(name="resnet_unet", preset="tiny")
    cascade = LSNet(LSNetSettings(**tiny, **options)).eval()
    cascade.first = PerfectLNet(is_any(labels, cascade.first_target), cascade.settings.sigma)
    return cascade


def label_maps():
    labels = torch.zeros(3, 64, 96, dtype=torch.uint8)
    labels[0, 20:41, 30:71] = 1
    labels[1, 5:30, 0:22] = 1
    return labels


@pytest.mark.parametrize("handover", ["recalibration", "cropping"])
def test_a_perfect_l_net_scores_one_whatever_the_margin_of_its_regions(handover):
    labels = label_maps()
    cascade = lsnet(labels, handover=handover)
    images = torch.zeros(3, 1, 64, 96)
    names = [("a", "p"), ("b", "p"), ("empty", "q")]
    rows = list(locate_rows(cascade, images, labels, names=names))
    assert [row.case for row in rows] == ["a", "b"]
    assert all(row.boxes["box"] == pytest.approx((1, 1)) for row in rows)
    with_margin = cascade.locate(images).boxes[0][0]
    assert box_overlap(with_margin, Box.around(labels[0].numpy())).iou < 0.4


def test_edges_between_pixels_count_as_they_are():
    overlap = box_overlap(Region((0.5, 0.0), (2.5, 2.0)), Box((0, 0), (2, 2)))
    assert overlap == pytest.approx((0.75, 3 / 5))


def test_boxes_of_all_components_are_held_by_one():
    labels = torch.zeros(1, 64, 96, dtype=torch.uint8)
    labels[0, 8:24, 8:28] = labels[0, 40:56, 60:88] = 1
    ((row),) = locate_rows(lsnet(labels), torch.zeros(1, 1, 64, 96), labels, names=[("a", "p")])
    assert row.boxes["box"] == pytest.approx((1, 1))


def test_a_stage_1_of_masks_is_measured_without_the_crop_s_margin(weights, pictures):
    rows = localization_rows(weights(HounsfieldCascade(margin=9), spacing_mm=None), pictures[1])
    assert [row.case for row in rows] == [case.name for case in pictures[1]]
    assert rows[0].patient == "p0"
    assert all(row.boxes["box"].recall == 1 for row in rows)
    assert all(set(row.dice) == {"stage 1's grid"} for row in rows)
    far = localization_rows(weights(HounsfieldCascade(organ_hu=500), name="blind", spacing_mm=None), pictures[1])
    assert {row.boxes["box"] for row in far} == {BoxOverlap(0, 0)}


def test_b1_and_b2_and_both_dices_of_zhao_are_told_apart(weights, scans):
    cascade = volume_cascade(factor=2, margin=3, coarse_margin=2)
    (row,) = localization_rows(weights(cascade), scans[1][:1])
    scan, truth = abdomen()
    bright = Box.around(scan.voxels >= 150)
    assert set(row.boxes) == {"B1", "B2"}
    assert row.boxes["B1"] != row.boxes["B2"]
    for overlap in row.boxes.values():
        assert overlap.recall == 1
        assert overlap.iou < box_overlap(bright, Box.around(truth)).iou < 1
    assert set(row.dice) == {"stage 1's grid", "full grid"}
    assert all(0.6 < dice < 1 for dice in row.dice.values())
    assert row.dice["stage 1's grid"] != row.dice["full grid"]


def test_zhao_s_reference_on_the_reduced_grid_is_what_stage_1_is_trained_on():
    cascade = volume_cascade(factor=2)
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    labels[0, 2:6, 2:6, 2:6] = 1
    ((_, trained),) = cascade._first_pairs(torch.zeros(1, 1, 8, 8, 8), labels)
    assert torch.equal(cascade.first_reference(labels), trained)
    assert trained.sum() == 8


def test_the_table_holds_mean_spread_and_extremes_as_the_papers_print_them():
    rows = [
        LocalizationRow(str(n), f"p{n}", {"B1": BoxOverlap(1.0, iou)}, {"full": 0.5})
        for n, iou in enumerate((0.2, 0.4, 0.9))
    ]
    table = box_iou_table(rows, resamples=200)
    assert list(table) == ["B1 recall", "B1 IoU", "DSC, full"]
    found = table["B1 IoU"]
    assert (found.mean, found.minimum, found.maximum, found.count) == (pytest.approx(0.5), 0.2, 0.9, 3)
    assert found.sd == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert 0.2 <= found.low < found.mean < found.high <= 0.9
    assert box_iou_table(rows[:1])["B1 IoU"].sd is None


def test_intervals_are_over_patients_and_not_over_slices():
    rows = [
        LocalizationRow(f"{patient}{n}", patient, {"box": BoxOverlap(1.0, iou)})
        for patient, iou in (("p", 0.2), ("q", 0.8))
        for n in range(6)
    ]
    found = box_iou_table(rows, resamples=400)["box IoU"]
    assert (found.low, found.mean, found.high) == pytest.approx((0.2, 0.5, 0.8))
    alone = box_iou_table(rows[:6], resamples=400)["box IoU"]
    assert math.isnan(alone.low), "one patient has no interval"
    assert alone.sd == pytest.approx(0)


class HalfSure:
    """A stage 1 whose probabilities lie close to ½, on a grid half as fine as the image's."""

    first_target = (1,)
    first_map_is_mask = True

    def locate(self, images):
        found = torch.zeros(1, 1, 4, 4)
        found[..., :2, :], found[..., 2, :] = 0.5, 0.45
        return SimpleNamespace(probabilities=found)

    def first_map(self, located, shape):
        return torch.repeat_interleave(torch.repeat_interleave(located.probabilities, 2, 2), 2, 3) + 0.02

    def first_reference(self, labels):
        return (labels[:, None, ::2, ::2] == 1).float()

    def first_boxes(self, located, shape):
        return ({"box": None},)


def test_stage_1_s_mask_is_where_it_says_at_least_one_half():
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[:, :4] = 1
    (row,) = locate_rows(HalfSure(), torch.zeros(1, 1, 8, 8), labels, names=[("a", "p")])
    assert row.dice == {"stage 1's grid": 1, "full grid": 1}
    assert row.boxes["box"] == BoxOverlap(0, 0)


def test_the_pancreas_s_errors_are_of_the_organ_with_its_tumour():
    reference = np.array([[[1, 2, 0, 0]]], np.uint8)
    whole = np.ones(reference.shape, bool)
    covered = {Label.PANCREAS: whole, Label.TUMOUR: whole}
    rows = rows_of(StageTrace(reference, reference, reference, covered), case="a", patient="p")
    assert {label: row.dice for label, row in rows.items()} == {Label.PANCREAS: 1, Label.TUMOUR: 1}
    half = np.where(reference == 2, 0, reference)
    rows = rows_of(StageTrace(reference, half, reference, covered), case="a", patient="p")
    assert {label: row.dice for label, row in rows.items()} == {Label.PANCREAS: pytest.approx(2 / 3), Label.TUMOUR: 0}


def test_plain_boxes_and_masks_make_a_row():
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    row = localization_row({"box": None}, Box((0, 0), (2, 2)), case="a", patient="p", masks={"grid": (mask, ~mask)})
    assert (row.boxes["box"], row.dice["grid"]) == (BoxOverlap(0, 0), 0)


def test_a_single_network_locates_nothing(weights, pictures):
    path = weights(OneLook())
    with pytest.raises(DataError, match="without a stage 1"):
        localization_rows(path, pictures[1])
    with pytest.raises(DataError, match="without a stage 1"):
        attribution_rows(path, pictures[1])


class Shy(HounsfieldCascade):
    """Stage 1 sees only the tumour."""

    def locate(self, images):
        return self.update_rois(None, self.above(images, 190))


def test_errors_of_single_slices_are_blamed_on_the_stage_that_made_them(weights, pictures):
    shy = attribution_rows(weights(Shy(), name="shy"), pictures[1])
    good = attribution_rows(weights(HounsfieldCascade()), pictures[1])
    assert set(shy) == set(good) == {"pancreas", "tumour"}
    assert [row.case for row in good["pancreas"]] == [case.name for case in pictures[1]]
    assert all(row.true_box_dice > 0.9 for row in shy["pancreas"])
    assert all(row.dice < 0.7 for row in shy["pancreas"])
    assert all(row.dice > 0.8 for row in good["pancreas"])


def test_a_volume_s_errors_are_traced_through_the_vote(weights, scans):
    found = attribution_rows(weights(volume_cascade(factor=2, margin=2, coarse_margin=1)), scans[1])
    one, other = found["pancreas"]
    assert (one.case, other.case) == ("a", "b")
    assert one.box_recall == 1
    assert one.true_box_dice > one.dice > 0.8  # the vessel is not in the true boxes
    assert one.dice == pytest.approx(other.dice, abs=0.01)


@pytest.mark.parametrize("kind", ["pictures", "scans"])
def test_both_are_measured_with_the_weights_and_each_case_read_once(weights, kind, request, monkeypatch):
    cases = request.getfixturevalue(kind)[1][:2]
    cascade = HounsfieldCascade() if kind == "pictures" else volume_cascade(factor=2, margin=2, coarse_margin=1)
    path = weights(cascade)
    expected = localization_rows(path, cases), attribution_rows(path, cases)
    read, loaded = [], []
    load = labelled_cases.load_runner
    monkeypatch.setattr(labelled_cases, "load_runner", lambda *given: loaded.append(given) or load(*given))
    assert localization_and_attribution_rows(path, [counted(case, read) for case in cases]) == expected
    assert read == [case.name for case in cases]
    assert len(loaded) == 1


def counted(case, read):
    """The case; its name is added whenever it is read."""

    def counting(work):
        return lambda *given: read.append(case.name) or work(*given)

    scan = case.scan and replace(case.scan, read_image=counting(case.scan.read_image))
    return replace(case, read_slices=counting(case.read_slices), scan=scan)
