import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pancascade.imaging.volume import Box

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))


@st.composite
def boxes(draw, dimensions=3):
    start = draw(st.tuples(*[st.integers(-10, 10)] * dimensions))
    extent = draw(st.tuples(*[st.integers(0, 10)] * dimensions))
    return Box(start, tuple(first + size for first, size in zip(start, extent, strict=True)))


@given(masks)
def test_the_box_around_a_mask_is_the_bounds_of_its_voxels(mask):
    box = Box.around(mask)
    where = np.argwhere(mask)
    if len(where) == 0:
        assert box is None
    else:
        assert box == Box(tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
        assert mask[box.slices].sum() == mask.sum()


def test_the_box_around_a_label_map_counts_every_label():
    labels = np.zeros((5, 5, 5), dtype=np.uint8)
    labels[1, 2, 3], labels[3, 2, 1] = 1, 2
    assert Box.around(np.asfortranarray(labels)) == Box((1, 2, 1), (4, 3, 4))


@given(masks, st.sampled_from([bool, np.uint8, np.int8, np.int16, np.float32]))
def test_the_box_is_the_same_for_any_type_order_and_direction_of_the_memory(mask, dtype):
    values = np.asfortranarray(mask.astype(dtype)) * (-1 if np.issubdtype(dtype, np.signedinteger) else 1)
    assert Box.around(values) == Box.around(mask)
    assert Box.around(values[::-1]) == Box.around(mask[::-1])
    assert Box.around(values.T) == Box.around(np.ascontiguousarray(mask.T))


@given(boxes(), st.integers(0, 5))
def test_expand_then_shrink_gives_back_the_box(box, margin):
    assert box.expand(margin).expand(-margin) == box
    assert box.expand(margin).contains(box)


def test_expand_takes_one_number_an_axis_or_one_a_face():
    box = Box((5, 5), (7, 8))
    assert box.expand((1, 2)) == Box((4, 3), (8, 10))
    assert box.expand([(1, 0), (0, 2)]) == Box((4, 5), (7, 10))
    assert box.expand(np.int64(1)) == Box((4, 4), (8, 9))


def test_expand_mm_rounds_up_to_whole_voxels():
    box = Box((10, 10, 10), (12, 12, 12))
    assert box.expand_mm(3.0, spacing_mm=(1.0, 2.0, 5.0)) == Box((7, 8, 9), (15, 14, 13))
    assert box.expand_mm((0.0, 4.0, 10.1), spacing_mm=(1.0, 2.0, 5.0)) == Box((10, 8, 7), (12, 14, 15))


def test_expand_mm_forgives_the_rounding_of_a_float32_spacing():
    assert Box((50,), (60,)).expand_mm(3.0, spacing_mm=(float(np.float32(0.3)),)) == Box((40,), (70,))
    assert Box((50,), (60,)).expand_mm(2.1, spacing_mm=(0.7,)) == Box((47,), (63,))


@given(boxes())
def test_a_clipped_box_lies_inside_and_keeps_what_was_inside(box):
    shape = (4, 5, 6)
    clipped = box.clip(shape)
    assert Box.whole(shape).contains(clipped)
    inside = np.zeros(shape, dtype=bool)
    for index in np.ndindex(shape):
        inside[index] = all(a <= i < b for a, i, b in zip(box.start, index, box.stop, strict=True))
    assert inside[clipped.slices].sum() == inside.sum() == np.prod(clipped.shape)


@given(boxes(), boxes())
def test_a_union_contains_both(first, second):
    union = first.union(second)
    assert union.contains(first)
    assert union.contains(second)
    assert union == second.union(first)


@given(boxes(), st.tuples(*[st.integers(-5, 5)] * 3))
def test_shift_moves_without_changing_the_shape(box, offset):
    moved = box.shift(offset)
    assert moved.shape == box.shape
    assert moved.shift(tuple(-step for step in offset)) == box


@given(boxes(), boxes())
def test_contains_is_the_same_as_a_union_that_adds_nothing(first, second):
    assert first.contains(second) == (first.union(second) == first)


def test_whole_gives_the_array_itself():
    array = np.ones((3, 4))
    assert Box.whole(array.shape).shape == (3, 4)
    assert array[Box.whole(array.shape).slices].shape == array.shape


def test_corners_lie_on_the_voxel_edges_in_ras():
    affine = np.diag([-2.0, 1.0, 5.0, 1.0])
    affine[:3, 3] = (100, 0, -50)
    assert Box((0, 2, 1), (3, 4, 2)).corners_mm(affine) == ((95.0, 1.5, -47.5), (101.0, 3.5, -42.5))


@settings(max_examples=30)
@given(boxes())
def test_corners_of_touching_boxes_meet(box):
    beside = box.shift((box.shape[0], 0, 0))
    affine = np.diag([0.5, 1, 2, 1])
    assert box.corners_mm(affine)[1][0] == beside.corners_mm(affine)[0][0]


@pytest.mark.parametrize(("start", "stop"), [((0, 0), (1,)), ((), ()), ((2, 0), (1, 5))])
def test_a_box_inside_out_or_of_uneven_length_is_refused(start, stop):
    with pytest.raises(ValueError, match="must"):
        Box(start, stop)


def test_what_would_silently_be_wrong_is_refused():
    with pytest.raises(ValueError, match="clip"):
        _ = Box((-1, 0), (2, 2)).slices
    with pytest.raises(ValueError, match="before start"):
        Box((0, 0), (2, 2)).expand(-2)
    with pytest.raises(ValueError, match="3 values for a box with 2 axes"):
        Box((0, 0), (2, 2)).clip((1, 1, 1))
    with pytest.raises(ValueError, match="3-D"):
        Box((0, 0), (2, 2)).corners_mm(np.eye(4))


def test_a_box_from_numpy_indices_can_go_into_json():
    assert json.dumps(Box(tuple(np.array([1, 2])), tuple(np.array([3, 4]))).start) == "[1, 2]"
