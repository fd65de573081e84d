"""The learned measure: its range, its fitting, its freezing."""

import pytest
import torch
from boundary_maps import A, one_hot, random_probabilities
from torch import Tensor

from pancascade.methods.losses import (
    SharedBoundaryEncoder,
    pretrain_boundary_encoder,
    shared_boundary_loss,
    shared_boundary_matrix,
)


def random_organs(count: int, seed: int) -> Tensor:
    """Label maps (count, 24, 24): a random rectangle of 1 with a random square of 2 inside."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.zeros(count, 24, 24, dtype=torch.long)
    for labels in maps:
        top, left = torch.randint(0, 8, (2,), generator=generator).tolist()
        height, width = torch.randint(6, 16, (2,), generator=generator).tolist()
        side = int(torch.randint(2, 6, (1,), generator=generator))
        labels[top : top + height, left : left + width] = 1
        labels[top + 1 : top + 1 + side, left : left + side] = 2
    return maps


def exact_matrices(maps: Tensor) -> Tensor:
    return torch.cat([shared_boundary_matrix(one_hot(labels)) for labels in maps]).float()


@pytest.fixture(scope="module")
def fitted() -> tuple[SharedBoundaryEncoder, list[float]]:
    torch.manual_seed(0)
    encoder = SharedBoundaryEncoder(3, width=16)
    errors = pretrain_boundary_encoder(encoder, random_organs(200, seed=1), steps=300, learning_rate=0.01, seed=2)
    return encoder, errors


def test_any_maps_give_shares_between_zero_and_one_with_zero_diagonal() -> None:
    matrix = SharedBoundaryEncoder(4, width=8)(random_probabilities(2, 4, 9, 7).float())
    assert matrix.shape == (2, 4, 4)
    assert ((matrix >= 0) & (matrix <= 1)).all()
    assert not matrix.diagonal(dim1=1, dim2=2).any()
    assert matrix.sum() > 0


def test_the_fitted_encoder_measures_unseen_maps_better_than_their_mean(fitted) -> None:
    encoder, errors = fitted
    assert len(errors) == 300
    unseen = random_organs(100, seed=3)
    exact = exact_matrices(unseen)
    measured = encoder(torch.cat([one_hot(labels) for labels in unseen]).float())
    error = (measured - exact).square().mean()
    assert error < (exact - exact_matrices(random_organs(100, seed=4)).mean(0)).square().mean() / 5


def test_the_fitted_encoder_is_frozen_and_hands_its_gradient_to_the_prediction(fitted) -> None:
    encoder, _ = fitted
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    q = random_probabilities(1, 3, 24, 24).float().requires_grad_()
    loss = shared_boundary_loss(q, random_organs(1, seed=5), form="encoder", encoder=encoder)
    loss.backward()
    assert q.grad is not None
    assert q.grad.abs().sum() > 0


def test_the_encoder_loss_is_equation_16_of_its_matrix_and_the_exact_one(fitted) -> None:
    encoder, _ = fitted
    q, labels = random_probabilities(2, 3, 24, 24).float(), random_organs(2, seed=6)
    loss = shared_boundary_loss(q, labels, form="encoder", encoder=encoder)
    assert loss.item() == pytest.approx((encoder(q) - exact_matrices(labels)).square().mean().item(), abs=1e-7)


def test_the_seed_decides_the_fit() -> None:
    def fit(seed: int) -> list[float]:
        torch.manual_seed(0)
        encoder = SharedBoundaryEncoder(3, width=4)
        return pretrain_boundary_encoder(
            encoder, random_organs(20, seed=1), steps=3, learning_rate=0.01, seed=seed, batch_size=2
        )

    assert fit(0) == fit(0)
    assert fit(0) != fit(1)


def test_the_definition_that_is_learned_can_be_chosen() -> None:
    def first_error(**options) -> float:
        torch.manual_seed(0)
        encoder = SharedBoundaryEncoder(3, width=4)
        return pretrain_boundary_encoder(
            encoder, random_organs(20, seed=1), steps=1, learning_rate=0.01, seed=0, **options
        )[0]

    assert len({first_error(), first_error(neighbourhood=8), first_error(count_frame=False)}) == 3


def test_half_precision_maps_are_measured_in_float32(fitted) -> None:
    encoder, _ = fitted
    q = one_hot(random_organs(1, seed=7)[0]).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = encoder(q)
    assert measured.dtype == torch.float32
    assert torch.allclose(measured, encoder(q.float()), atol=1e-6)


def test_an_encoder_with_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="only then"):
        shared_boundary_loss(one_hot(A), A.unsqueeze(0), encoder=SharedBoundaryEncoder(3))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(1, 2, 4, 4\)"):
        SharedBoundaryEncoder(3)(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="got 1"):
        SharedBoundaryEncoder(1)
    with pytest.raises(ValueError, match=r"\(0, 4, 4\)"):
        pretrain_boundary_encoder(
            SharedBoundaryEncoder(3), torch.zeros(0, 4, 4).long(), steps=1, learning_rate=0.1, seed=0
        )
