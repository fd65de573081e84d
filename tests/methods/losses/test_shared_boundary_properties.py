"""What the shared boundary matrix keeps on any input: agreement, exactness, gradients, refusals."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from boundary_maps import A, matrix_by_loops, one_hot, random_probabilities, tumour_in_pancreas
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.losses import shared_boundary_loss, shared_boundary_matrix

FORMS = ("total_variation", "product", "ste")
label_maps = hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 2))
neighbourhoods = st.sampled_from([4, 8])


@settings(max_examples=40)
@given(label_maps, st.sampled_from(FORMS), neighbourhoods, st.booleans())
def test_one_hot_maps_measure_as_the_second_implementation(labels, form, neighbourhood, count_frame) -> None:
    q = one_hot(torch.from_numpy(labels))
    options = {"neighbourhood": neighbourhood, "count_frame": count_frame}
    ours = shared_boundary_matrix(q, form=form, **options)[0].numpy()
    assert ours == pytest.approx(matrix_by_loops(q[0].numpy(), "product", **options), abs=1e-12)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4)),
    st.integers(0, 1000),
    st.sampled_from(["total_variation", "product"]),
    neighbourhoods,
    st.booleans(),
)
def test_soft_maps_measure_as_the_second_implementation(shape, seed, form, neighbourhood, count_frame) -> None:
    q = random_probabilities(1, *shape, seed=seed)
    options = {"neighbourhood": neighbourhood, "count_frame": count_frame}
    ours = shared_boundary_matrix(q, form=form, **options)[0].numpy()
    assert ours == pytest.approx(matrix_by_loops(q[0].numpy(), form, **options), abs=1e-12)


@settings(max_examples=30)
@given(label_maps, neighbourhoods)
def test_rows_of_present_classes_sum_to_one_without_frame(labels, neighbourhood) -> None:
    q = one_hot(torch.from_numpy(labels))
    sums = shared_boundary_matrix(q, neighbourhood=neighbourhood, count_frame=False)[0].sum(1)
    several = len(np.unique(labels)) > 1
    expected = [float(several and c in labels) for c in range(3)]
    assert sums.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("form", ["total_variation", "product"])
def test_rows_of_soft_maps_sum_to_one_without_frame(form) -> None:
    matrix = shared_boundary_matrix(random_probabilities(3, 4, 9, 11), form=form, count_frame=False)
    assert matrix.sum(2).numpy() == pytest.approx(np.ones((3, 4)), abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_classes_orders_rows_and_columns(form) -> None:
    q, order = random_probabilities(2, 3, 8, 8), torch.tensor([2, 0, 1])
    permuted = shared_boundary_matrix(q, form=form)[:, order][:, :, order]
    assert torch.allclose(shared_boundary_matrix(q[:, order], form=form), permuted, atol=1e-14)


@pytest.mark.parametrize("form", ["total_variation", "product"])
@pytest.mark.parametrize("neighbourhood", [4, 8])
@pytest.mark.parametrize("count_frame", [True, False])
def test_soft_gradients_are_those_of_finite_differences(form, neighbourhood, count_frame) -> None:
    q = random_probabilities(2, 3, 4, 5).requires_grad_()
    options = {"form": form, "neighbourhood": neighbourhood, "count_frame": count_frame}
    assert torch.autograd.gradcheck(lambda maps: shared_boundary_matrix(maps, **options), q)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [(1.0, 0.0, 0.0), (0.5, 0.3, 0.2)])
def test_uniform_maps_have_a_finite_gradient(form, value) -> None:
    q = torch.tensor(value).view(1, 3, 1, 1).repeat(2, 1, 6, 6).requires_grad_()
    matrix = shared_boundary_matrix(q, form=form)
    matrix.square().sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()
    if form != "product":
        assert not matrix.any()


def test_the_gradient_stays_bounded_where_neighbours_differ_by_rounding_only() -> None:
    first = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    rounded = first + torch.tensor([1e-12, 1e-12, -1e-8])
    q = torch.stack((first, rounded), dim=1).view(1, 3, 1, 2).requires_grad_()
    shared_boundary_matrix(q, count_frame=False)[0, 0, 2].backward()
    assert q.grad is not None
    assert q.grad.abs().max() < 5


def test_straight_through_hands_on_the_products_gradient_at_the_argmax() -> None:
    q = (0.8 * one_hot(A) + 0.2 / 3).requires_grad_()
    hard = one_hot(A).requires_grad_()
    weights = torch.arange(9, dtype=torch.float64).view(1, 3, 3)
    (shared_boundary_matrix(q, form="ste") * weights).sum().backward()
    (shared_boundary_matrix(hard, form="product") * weights).sum().backward()
    assert q.grad is not None
    assert hard.grad is not None
    assert q.grad.abs().sum() > 1
    assert torch.equal(q.grad, hard.grad)


def test_straight_through_gives_no_gradient_to_an_absent_class() -> None:
    labels = tumour_in_pancreas(64).unsqueeze(0)
    missed = 0.9 * one_hot(labels[0].clamp(max=1)) + 0.1 / 3
    q = missed.requires_grad_()
    shared_boundary_loss(q, labels, form="ste").backward()
    assert q.grad is not None
    assert not q.grad[:, 2].any()
    assert q.grad[:, :2].any()


@pytest.mark.parametrize("form", ["total_variation", "product"])
def test_descent_on_the_loss_alone_brings_a_missed_tumours_matrix_near(form) -> None:
    labels = tumour_in_pancreas(32).unsqueeze(0)
    logits = (2 * one_hot(labels[0].clamp(max=1)) + 0.5 * one_hot(labels[0])).float().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    losses = []
    for _ in range(40):
        loss = shared_boundary_loss(logits.softmax(1), labels, form=form)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_maps_are_measured_in_float32(form) -> None:
    labels = torch.randint(3, (96, 96), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = shared_boundary_matrix(one_hot(labels).bfloat16(), form=form)
    assert measured.dtype == torch.float32
    exact = shared_boundary_matrix(one_hot(labels), form=form)
    assert measured.numpy() == pytest.approx(exact.numpy(), abs=1e-6)


def test_the_reference_carries_no_gradient_and_the_prediction_does() -> None:
    q = random_probabilities(1, 3, 4, 4).requires_grad_()
    shared_boundary_loss(q, A.unsqueeze(0)).backward()
    assert q.grad is not None
    assert q.grad.any()


def refusals() -> list[tuple[Tensor, Tensor, dict[str, object], str]]:
    q, labels = random_probabilities(1, 3, 4, 4), A.unsqueeze(0)
    return [
        (q[0], labels, {}, r"\(3, 4, 4\)"),
        (q[:, :1], torch.zeros_like(labels), {}, r"got \(1, 1, 4, 4\)"),
        (q, labels[:, :3], {}, r"\(1, 3, 4\) .* \(1, 3, 4, 4\)"),
        (q, labels.float(), {}, "float32"),
        (q, labels + 1, {}, r"0 … 2, got 1 … 3"),
        (q, labels - 1, {}, r"got -1 … 1"),
        (q, labels, {"form": "argmax"}, "'argmax'"),
        (q, labels, {"neighbourhood": 6}, "got 6"),
        (q, labels, {"form": "encoder"}, "give an encoder"),
    ]


@pytest.mark.parametrize(("q", "labels", "options", "message"), refusals())
def test_what_does_not_fit_is_named(q, labels, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        shared_boundary_loss(q, labels, **options)


def test_stages_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 4, 4\) and \(1, 1, 4, 5\)"):
        compose_classes(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\)"):
        compose_two_classes(torch.zeros(1, 2, 4, 4))
