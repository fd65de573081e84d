"""The shared boundary matrix and its loss against the numbers of methods.md §6.4, §6.6, §0.2 and §0.3."""

import numpy as np
import pytest
import torch
from boundary_maps import ROW, A, B, C, D, lengths_by_loops, one_hot, tumour_in_pancreas
from torch import Tensor

from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.losses import shared_boundary_loss, shared_boundary_matrix

FORMS = ("total_variation", "product", "ste")


def softened(labels: Tensor) -> Tensor:
    return 0.8 * one_hot(labels) + 0.2 / 3


def near(*rows: tuple[float, ...], digits: float = 1e-12):
    return pytest.approx(np.array([rows]), abs=digits)


@pytest.mark.parametrize("form", FORMS)
def test_matrices_of_one_hot_labels_are_equation_14(form) -> None:
    def matrix(labels: Tensor) -> np.ndarray:
        return shared_boundary_matrix(one_hot(labels), form=form).numpy()

    assert matrix(A) == near((0, 1 / 4, 1 / 12), (3 / 4, 0, 1 / 4), (1 / 2, 1 / 2, 0))
    assert matrix(B) == near((0, 1 / 6, 1 / 6), (2 / 3, 0, 1 / 3), (2 / 3, 1 / 3, 0))
    assert matrix(C) == near((0, 1 / 3, 0), (1, 0, 0), (0, 0, 0))
    assert matrix(D) == near((0, 1 / 4, 1 / 16), (1 / 2, 0, 1 / 4), (1 / 6, 1 / 3, 0))


@pytest.mark.parametrize("form", FORMS)
def test_without_frame_the_background_row_of_a_is_three_quarters_and_a_quarter(form) -> None:
    matrix = shared_boundary_matrix(one_hot(A), form=form, count_frame=False)
    assert matrix.numpy() == near((0, 3 / 4, 1 / 4), (3 / 4, 0, 1 / 4), (1 / 2, 1 / 2, 0))


@pytest.mark.parametrize("form", FORMS)
def test_eight_neighbours_give_the_printed_matrix(form) -> None:
    matrix = shared_boundary_matrix(one_hot(A), form=form, neighbourhood=8, count_frame=False)
    assert matrix.numpy() == near((0, 3 / 4, 1 / 4), (5 / 6, 0, 1 / 6), (5 / 8, 3 / 8, 0))


@pytest.mark.parametrize("form", FORMS)
def test_eight_neighbours_count_missing_neighbours_as_frame(form) -> None:
    matrix = shared_boundary_matrix(one_hot(A), form=form, neighbourhood=8)
    assert matrix.numpy() == near((0, 15 / 64, 5 / 64), (5 / 6, 0, 1 / 6), (5 / 8, 3 / 8, 0))


@pytest.mark.parametrize("form", ["total_variation", "product"])
@pytest.mark.parametrize(
    ("labels", "options", "shared", "perimeter"),
    [
        (A, {}, (6, 2, 2), (24, 8, 4)),
        (A, {"count_frame": False}, (6, 2, 2), (8, 8, 4)),
        (A, {"neighbourhood": 8, "count_frame": False}, (15, 5, 3), (20, 18, 8)),
        (A, {"neighbourhood": 8}, (15, 5, 3), (64, 18, 8)),
        (D, {}, (4, 1, 2), (16, 8, 6)),
    ],
)
def test_the_second_implementation_has_the_printed_lengths(form, labels, options, shared, perimeter) -> None:
    l_ij, l_i = lengths_by_loops(one_hot(labels)[0].numpy(), form, **options)
    assert (l_ij[0, 1], l_ij[0, 2], l_ij[1, 2]) == shared
    assert tuple(l_i) == perimeter


@pytest.mark.parametrize("form", FORMS)
def test_losses_between_label_maps_are_the_printed_ones(form) -> None:
    def loss(prediction: Tensor, target: Tensor, *, count_frame: bool = True) -> float:
        q, labels = one_hot(prediction), target.unsqueeze(0)
        return shared_boundary_loss(q, labels, form=form, count_frame=count_frame).item()

    assert loss(B, A) == pytest.approx(0.00925926, abs=5e-9)
    assert loss(B, A) == pytest.approx(1 / 108, abs=1e-8)
    assert loss(B, A, count_frame=False) == pytest.approx(0.02160494, abs=5e-9)
    assert loss(C, A) == pytest.approx(0.07098765, abs=5e-9)
    assert loss(C, A, count_frame=False) == pytest.approx(1 / 12, abs=1e-8)
    assert loss(A, A) == pytest.approx(0, abs=1e-14)


def test_the_total_variation_of_softened_labels_is_the_printed_matrix() -> None:
    printed = near((0, 0.236842, 0.078947), (0.642857, 0, 0.214286), (0.375, 0.375, 0), digits=5e-7)
    assert shared_boundary_matrix(softened(A)).numpy() == printed


def test_the_product_of_softened_labels_is_the_printed_matrix() -> None:
    printed = near((0, 0.270270, 0.144144), (0.652174, 0, 0.239130), (0.5, 0.34375, 0), digits=5e-7)
    assert shared_boundary_matrix(softened(A), form="product").numpy() == printed


def test_two_soft_pixels_share_the_printed_lengths() -> None:
    total_variation = shared_boundary_matrix(ROW, count_frame=False)
    assert total_variation.numpy() == near((0, 0.4, 0.2), (0.4, 0, 0), (0.2, 0, 0))
    product = shared_boundary_matrix(ROW, form="product", count_frame=False)
    assert product.numpy() == near((0, 0.44, 0.22), (0.44, 0, 0.12), (0.22, 0.12, 0))


@pytest.mark.parametrize(("form", "perimeter"), [("total_variation", (0.6, 0.4, 0.2)), ("product", (0.66, 0.56, 0.34))])
def test_two_soft_pixels_have_the_printed_perimeters(form, perimeter) -> None:
    _, l_i = lengths_by_loops(ROW[0].numpy(), form, count_frame=False)
    assert l_i == pytest.approx(np.array(perimeter), abs=1e-12)


def test_stacked_copies_of_the_two_pixels_show_their_perimeters_in_the_matrix() -> None:
    matrix = shared_boundary_matrix(ROW.expand(1, 3, 10, 2), count_frame=False)
    assert matrix.numpy() == near((0, 0.4 / 0.6, 0.2 / 0.6), (1, 0, 0), (1, 0, 0))


def test_the_default_is_the_total_variation_of_four_neighbours_with_frame() -> None:
    explicit = shared_boundary_matrix(softened(D), form="total_variation", neighbourhood=4, count_frame=True)
    assert torch.equal(shared_boundary_matrix(softened(D)), explicit)


def test_a_residual_of_one_percent_spoils_the_product_and_not_the_total_variation() -> None:
    labels = tumour_in_pancreas(320)
    perfect = 0.99 * one_hot(labels) + 0.005 * (1 - one_hot(labels))
    total_variation, product, ste = (
        shared_boundary_loss(perfect, labels.unsqueeze(0), form=form).item() for form in FORMS
    )
    assert total_variation == pytest.approx(0.0005, abs=5e-5)
    assert product == pytest.approx(0.21, abs=0.01)
    assert ste == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_two_classes_without_frame_have_a_constant_matrix(form) -> None:
    q = compose_two_classes(torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert shared_boundary_matrix(q, form=form, count_frame=False).numpy() == pytest.approx(
        np.array([[[0, 1], [1, 0]]] * 4), abs=1e-6
    )
    counted = shared_boundary_matrix(q, form=form)
    assert (counted[:, 0, 1] < 0.99).all()


def test_composition_of_the_two_stages_is_the_printed_one() -> None:
    first, second = torch.full((1, 1, 2, 3), 0.8), torch.full((1, 1, 2, 3), 0.25)
    q = compose_classes(first, second)
    assert q.shape == (1, 3, 2, 3)
    assert q[0, :, 1, 2].tolist() == pytest.approx([0.15, 0.6, 0.25], abs=1e-7)


def test_composition_of_one_shared_label_is_complementary() -> None:
    assert compose_two_classes(torch.full((1, 1, 1, 1), 0.25)).flatten().tolist() == [0.75, 0.25]


def test_the_loss_is_the_mean_over_the_batch() -> None:
    q = torch.cat((one_hot(B), one_hot(C)))
    loss = shared_boundary_loss(q, torch.stack((A, A)))
    assert loss.item() == pytest.approx((0.00925926 + 0.07098765) / 2, abs=5e-9)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_may_be_any_integer(dtype) -> None:
    assert shared_boundary_loss(one_hot(B), A.to(dtype).unsqueeze(0)).item() == pytest.approx(1 / 108)
