"""Equation 17."""

import pytest
import torch

from pancascade.methods.losses import total_loss


def test_the_printed_losses_sum_to_the_printed_total() -> None:
    assert total_loss(0.3, 2.0, 0.05) == pytest.approx(2.12, abs=1e-12)


def test_alpha_and_beta_weigh_the_second_and_the_third_loss() -> None:
    assert total_loss(1.0, 10.0, 100.0, alpha=2, beta=3) == 321


def test_the_gradient_of_each_term_is_its_weight() -> None:
    terms = torch.ones(3, requires_grad=True)
    total_loss(*terms).backward()
    assert terms.grad is not None
    assert terms.grad.tolist() == pytest.approx([1, 0.9, 0.4])
