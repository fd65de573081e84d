import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancascade.imaging.volume import Box
from pancascade.metrics.boxes import box_overlap

TRUE = Box((30, 50, 22), (58, 80, 34))


@pytest.mark.parametrize(
    ("found", "recall", "iou"),
    [
        (Box((32, 40, 12), (68, 92, 44)), 0.928571, 0.154394),
        (Box((30, 38, 10), (70, 94, 46)), 1.0, 0.125),
        (TRUE, 1.0, 1.0),
        (Box((58, 50, 22), (60, 80, 34)), 0.0, 0.0),
        (Box((0, 0, 0), (10, 10, 10)), 0.0, 0.0),
        (None, 0.0, 0.0),
    ],
)
def test_recall_and_iou_are_equations_6_and_7_of_zhao(found, recall, iou):
    assert box_overlap(found, TRUE) == pytest.approx((recall, iou), abs=1e-6)


def test_boxes_in_the_plane():
    assert box_overlap(Box((0, 0), (2, 2)), Box((1, 1), (3, 3))) == pytest.approx((1 / 4, 1 / 7))


def test_where_there_is_nothing_to_find():
    assert all(math.isnan(number) for number in box_overlap(None, None))
    recall, iou = box_overlap(TRUE, None)
    assert math.isnan(recall)
    assert iou == 0


def boxes(size: int = 9):
    side = st.tuples(st.integers(0, size - 1), st.integers(1, size)).filter(lambda pair: pair[0] < pair[1])
    return st.tuples(side, side, side).map(lambda sides: Box(*zip(*sides, strict=True)))


@given(boxes(), boxes())
def test_overlap_counts_the_voxels_of_both_boxes(found, true):
    masks = np.zeros((2, 9, 9, 9), bool)
    masks[0][found.slices], masks[1][true.slices] = True, True
    both = (masks[0] & masks[1]).sum()
    expected = both / masks[1].sum(), both / (masks[0] | masks[1]).sum()
    assert box_overlap(found, true) == pytest.approx(expected)
    assert box_overlap(true, found).iou == box_overlap(found, true).iou
