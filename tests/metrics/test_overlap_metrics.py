import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pancascade.metrics import Confusion, confusion

MASKS = arrays(bool, (4, 5), elements=st.booleans())


def test_one_of_each_count():
    counts = Confusion(1, 1, 1, 1)
    assert (counts.dice, counts.iou, counts.sensitivity, counts.specificity) == pytest.approx((0.5, 1 / 3, 0.5, 0.5))


def test_slice_mean_and_pooled_values_of_the_specification():
    slices = [Confusion(8, 2, 0, 0), Confusion(1, 1, 4, 0)]
    pooled = Confusion(9, 3, 4, 0)
    assert np.mean([s.dice for s in slices]) == pytest.approx(0.587302, abs=1e-6)
    assert pooled.dice == pytest.approx(0.72)
    assert np.mean([s.sensitivity for s in slices]) == pytest.approx(0.6)
    assert pooled.sensitivity == pytest.approx(0.692308, abs=1e-6)


@given(MASKS, MASKS)
def test_counts_are_those_of_a_loop_and_dice_is_2j_over_1_plus_j(one, other):
    counts = confusion(one, other)
    pairs = list(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    assert counts == Confusion(*(pairs.count(p) for p in ((True, True), (True, False), (False, True), (False, False))))
    if one.any() or other.any():
        assert counts.dice == pytest.approx(2 * counts.iou / (1 + counts.iou))
        assert counts.dice == confusion(other, one).dice
        assert counts.iou == confusion(other, one).iou
    if other.any():
        assert counts.sensitivity == confusion(other, one).precision


def test_what_cannot_be_measured_is_not_a_number():
    empty = np.zeros((3, 3), bool)
    assert np.isnan([confusion(empty, empty).dice, confusion(empty, empty).iou]).all()
    assert confusion(empty, ~empty).dice == confusion(~empty, empty).iou == 0
    assert confusion(empty, empty).specificity == confusion(~empty, ~empty).sensitivity == 1
    assert np.isnan(confusion(~empty, empty).sensitivity)
    assert np.isnan(confusion(empty, ~empty).precision)
    assert np.isnan(confusion(empty, ~empty).specificity)


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion(np.zeros((2, 2)), np.zeros((2, 3)))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_dice_is_monai_s():
    import torch
    from monai.metrics import DiceMetric, compute_dice, compute_iou

    random = np.random.default_rng(0)
    one, other = random.random((2, 1, 1, 20, 20)) > 0.6
    tensors = torch.from_numpy(one), torch.from_numpy(other)
    counts = confusion(one, other)
    assert counts.dice == pytest.approx(float(compute_dice(*tensors)), abs=1e-6)
    assert counts.iou == pytest.approx(float(compute_iou(*tensors)), abs=1e-6)
    slices = random.random((2, 6, 1, 12, 12)) > 0.7
    slices[:, 0] = False
    metric = DiceMetric(reduction="mean", ignore_empty=True)
    metric(*(torch.from_numpy(masks) for masks in slices))
    by_slice = [confusion(a, b).dice for a, b in zip(*slices, strict=True)]
    assert np.nanmean(by_slice) == pytest.approx(float(metric.aggregate()), abs=1e-6)
