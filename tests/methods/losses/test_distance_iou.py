import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pancascade.methods.losses.distance_iou import distance_iou, distance_iou_loss, distances_to_boxes

PRINTED = [
    ((0, 0, 2, 2), (1, 1, 3, 3), 0.968254),
    ((3, 1, 5, 9), (3, 1, 5, 9), 0.0),
    ((0, 0, 1, 1), (3, 3, 4, 4), 1.5625),
    ((0, 0, 4, 2), (1, 0, 3, 2), 0.5),
]


def tensors(*boxes):
    return [torch.tensor(box, dtype=torch.float64) for box in boxes]


@pytest.mark.parametrize(("boxes", "target", "expected"), PRINTED)
def test_pairs_of_boxes_have_the_printed_losses(boxes, target, expected):
    boxes, target = tensors(boxes, target)
    assert distance_iou(boxes, target).item() == pytest.approx(expected, abs=5e-7)
    assert distance_iou(target, boxes).item() == pytest.approx(expected, abs=5e-7)


def test_pairs_of_any_shape_have_one_loss_each():
    boxes, target = (torch.tensor([row[i] for row in PRINTED]).view(2, 2, 4) for i in (0, 1))
    expected = torch.tensor([row[2] for row in PRINTED]).view(2, 2)
    assert torch.allclose(distance_iou(boxes, target), expected, atol=1e-6)


sides = st.tuples(st.integers(-20, 20), st.integers(-20, 20)).map(sorted)
pairs = st.tuples(sides, sides).map(lambda axes: [axes[0][0], axes[1][0], axes[0][1], axes[1][1]])


@given(pairs, pairs)
def test_any_two_boxes_lose_less_than_two_and_nothing_only_if_equal(boxes, target):
    boxes, target = tensors(boxes, target)
    loss = distance_iou(boxes, target).item()
    assert 0 <= loss < 2
    empty = ((target[2:] - target[:2]).prod() == 0).item()
    if not empty:
        assert (loss == 0) == torch.equal(boxes, target)
    moved, scaled = distance_iou(boxes + 7, target + 7), distance_iou(boxes * 3, target * 3)
    assert moved.item() == pytest.approx(loss, abs=1e-12)
    assert scaled.item() == pytest.approx(loss, abs=1e-12)


def test_boxes_apart_are_drawn_together():
    boxes, target = tensors((0, 0, 1, 1), (5, 0, 6, 1))
    boxes.requires_grad_()
    distance_iou(boxes, target).backward()
    x1, _, x2, _ = boxes.grad
    assert x1 + x2 < 0


def test_empty_boxes_have_a_finite_loss_and_gradient():
    boxes, target = tensors([(1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 4)], [(1, 1, 1, 1), (3, 3, 3, 3), (0, 0, 2, 4)])
    boxes.requires_grad_()
    loss = distance_iou(boxes, target)
    assert loss.tolist() == [0, 1, 1 + 1 / 20]
    loss.sum().backward()
    assert boxes.grad.isfinite().all()


def test_its_gradient_is_that_of_finite_differences():
    boxes, target = tensors((0.1, 0.2, 4.3, 2.4), (1.5, -0.6, 3.7, 2.8))
    assert torch.autograd.gradcheck(lambda b: distance_iou(b, target), boxes.requires_grad_())


def test_distances_around_a_point_are_boxes_around_it():
    distances = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert distances_to_boxes(distances).tolist() == [[-1, -2, 3, 4]]
    point = torch.tensor([50.0, 60.0, 50.0, 60.0])
    target = torch.tensor([[2.0, 1.0, 5.0, 4.0]])
    with_point = distance_iou(point + distances_to_boxes(distances), point + distances_to_boxes(target))
    without = distance_iou(distances_to_boxes(distances), distances_to_boxes(target))
    assert with_point.item() == pytest.approx(without.item(), abs=1e-6)


def test_the_loss_of_a_map_is_the_mean_over_its_positive_cells():
    torch.manual_seed(0)
    distances, target = (20 * torch.rand(2, 4, 3, 5) for _ in range(2))
    positive = torch.zeros(2, 1, 3, 5, dtype=torch.bool)
    cells = [(0, 0, 1), (0, 2, 4), (1, 1, 3)]
    for image, row, column in cells:
        positive[image, 0, row, column] = True
    distances.requires_grad_()
    loss = distance_iou_loss(distances, target, positive)
    each = [
        distance_iou(distances_to_boxes(distances[b, :, y, x]), distances_to_boxes(target[b, :, y, x])).item()
        for b, y, x in cells
    ]
    assert loss.item() == pytest.approx(sum(each) / 3, abs=1e-6)
    loss.backward()
    assert torch.equal((distances.grad != 0).any(dim=1, keepdim=True), positive)


def test_without_a_positive_cell_the_loss_is_zero_and_still_has_a_gradient():
    distances = torch.rand(1, 4, 3, 3, requires_grad=True)
    loss = distance_iou_loss(distances, torch.zeros(1, 4, 3, 3), torch.zeros(1, 1, 3, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(distances.grad, torch.zeros(1, 4, 3, 3))


def test_descent_finds_the_box():
    distances = torch.full((1, 4, 1, 1), 3.0, requires_grad=True)
    target = torch.tensor([30.0, 12.0, 20.0, 25.0]).view(1, 4, 1, 1)
    optimiser = torch.optim.Adam([distances], lr=0.5)
    for _ in range(150):
        optimiser.zero_grad()
        loss = distance_iou_loss(distances, target, torch.ones(1, 1, 1, 1, dtype=torch.bool))
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.03


def test_half_precision_boxes_are_lifted():
    boxes, target = torch.tensor([0, 0, 2, 2], dtype=torch.bfloat16), torch.tensor([1, 1, 3, 3])
    found = distance_iou(boxes, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(0.968254, abs=1e-6)


def test_wrong_shapes_of_boxes_are_named():
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(2, 4\)"):
        distance_iou(torch.zeros(3, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"got \(3, 5\) and \(3, 5\)"):
        distance_iou(torch.zeros(3, 5), torch.zeros(3, 5))
    for shapes in (((1, 4, 3, 3), (1, 4, 3, 3), (1, 3, 3)), ((1, 2, 3, 3), (1, 2, 3, 3), (1, 1, 3, 3))):
        with pytest.raises(ValueError, match=r"distances and target \(B, 4, h, w\)"):
            distance_iou_loss(*(torch.zeros(shape) for shape in shapes))
