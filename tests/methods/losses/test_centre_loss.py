"""Centre loss, Dice without smoothing and λ against methods.md §6.14 and their limits."""

import pytest
import torch
from torch import Tensor

from pancascade.methods.losses.centre import centre_loss, centre_weight, soft_dice_loss


@pytest.fixture
def printed() -> tuple[Tensor, Tensor]:
    """The example of the specification, (1, 1, 3, 3, 3)."""
    reference, prediction = torch.zeros(2, 1, 1, 3, 3, 3, dtype=torch.float64)
    reference[0, 0, 0, 0, 0] = reference[0, 0, 0, 2, 0] = reference[0, 0, 1, 1, 1] = 1
    prediction[0, 0, 2, 1, 0] = 0.5
    prediction[0, 0, :, :, 1] = 1 / 9
    prediction[0, 0, 0, 0, 2] = 0.3
    return prediction, reference


@pytest.fixture
def volumes() -> tuple[Tensor, Tensor]:
    """Two random volumes (2, 1, 7, 9, 5) with one slice of the reference empty."""
    generator = torch.Generator().manual_seed(1)
    prediction = torch.rand(2, 1, 7, 9, 5, generator=generator, dtype=torch.float64)
    reference = (torch.rand(2, 1, 7, 9, 5, generator=generator) > 0.7).double()
    reference[..., 3] = 0
    return prediction, reference


def test_the_printed_example_has_the_printed_losses(printed: tuple[Tensor, Tensor]) -> None:
    centre, dice = centre_loss(*printed).item(), soft_dice_loss(*printed).item()
    assert centre == pytest.approx(0.111111, abs=1e-6)
    assert dice == pytest.approx(0.953704, abs=5e-7)
    assert dice + centre_weight(0, 100) * centre == pytest.approx(1.064815, abs=1e-6)


def test_the_loss_is_its_formula_slice_by_slice(volumes: tuple[Tensor, Tensor]) -> None:
    samples = []
    for prediction, reference in zip(*volumes, strict=True):
        distances = []
        for k in range(5):
            y, y_hat = reference[0, :, :, k], prediction[0, :, :, k]
            if y.sum() == 0:
                continue
            where = torch.cartesian_prod(torch.arange(7.0), torch.arange(9.0)).double()
            c = (where * y.reshape(-1, 1)).sum(0) / y.sum()
            c_hat = (where * y_hat.reshape(-1, 1)).sum(0) / (y_hat.sum() + 1e-6)
            distances.append(float((c - c_hat).square().sum() / (7**2 + 9**2)))
        assert len(distances) == 4
        samples.append(sum(distances) / 4)
    assert centre_loss(*volumes).item() == pytest.approx(sum(samples) / 2, rel=1e-9)


def test_axial_slices_lie_along_the_last_axis(printed: tuple[Tensor, Tensor]) -> None:
    prediction, reference = (maps.movedim(-1, 2) for maps in printed)
    assert abs(centre_loss(prediction, reference).item() - 0.111111) > 0.01


def test_a_shift_of_the_prediction_costs_its_square_over_the_squared_diagonal() -> None:
    reference, prediction = torch.zeros(2, 1, 1, 20, 10, 4)
    reference[0, 0, 5:9, 3:6, 1:3] = 1
    prediction[0, 0, 8:12, 5:8, 1:3] = 1  # 3 rows and 2 columns away
    assert centre_loss(prediction, reference).item() == pytest.approx((9 + 4) / (400 + 100), rel=1e-4)


def test_the_factor_may_be_the_number_of_voxels(volumes: tuple[Tensor, Tensor]) -> None:
    diagonal, voxels = (centre_loss(*volumes, normaliser=n).item() for n in ("diagonal", "voxels"))
    assert voxels == pytest.approx(diagonal * (7**2 + 9**2) / (7 * 9 * 5), rel=1e-9)
    with pytest.raises(ValueError, match="'diagonal', 'voxels', got 'pixels'"):
        centre_loss(*volumes, normaliser="pixels")  # type: ignore[arg-type]


def test_how_much_is_predicted_does_not_matter_as_long_as_its_centre_is_the_same(
    volumes: tuple[Tensor, Tensor],
) -> None:
    prediction, reference = volumes
    assert torch.allclose(centre_loss(0.3 * prediction, reference), centre_loss(prediction, reference), rtol=1e-5)


def test_slices_without_reference_and_the_order_of_slices_do_not_matter(volumes: tuple[Tensor, Tensor]) -> None:
    prediction, reference = volumes
    changed = prediction.clone()
    changed[..., 3] = torch.rand(2, 1, 7, 9, dtype=torch.float64)
    assert torch.equal(centre_loss(changed, reference), centre_loss(prediction, reference))
    order = torch.tensor([4, 2, 0, 3, 1])
    shuffled = centre_loss(prediction[..., order], reference[..., order])
    assert torch.allclose(shuffled, centre_loss(prediction, reference))


def test_a_flip_within_the_slices_does_not_matter(volumes: tuple[Tensor, Tensor]) -> None:
    flipped = [maps.flip(2, 3) for maps in volumes]
    assert torch.allclose(centre_loss(*flipped), centre_loss(*volumes), rtol=1e-5)


def test_the_loss_is_taken_per_volume_and_then_averaged(printed: tuple[Tensor, Tensor]) -> None:
    prediction, reference = (torch.cat((maps, maps)) for maps in printed)
    reference[1, ..., 1] = 0  # one slice is left, whose centre is √4 away
    prediction[1, ..., 1] = 0
    expected = (4 / 18 / 2 + 4 / 18) / 2
    assert centre_loss(prediction, reference).item() == pytest.approx(expected, abs=1e-6)


def test_a_volume_without_reference_costs_nothing_and_teaches_nothing() -> None:
    prediction = torch.rand(1, 1, 4, 4, 4, requires_grad=True)
    loss = centre_loss(prediction, torch.zeros(1, 1, 4, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()


def test_where_nothing_is_predicted_the_centre_is_voxel_zero_and_the_gradient_finite() -> None:
    reference = torch.zeros(1, 1, 4, 4, 1)
    reference[0, 0, 3, 2, 0] = 1
    prediction = torch.zeros(1, 1, 4, 4, 1, requires_grad=True)
    loss = centre_loss(prediction, reference)
    loss.backward()
    assert loss.item() == pytest.approx((9 + 4) / 32)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_the_gradient_of_the_centre_loss_is_right(volumes: tuple[Tensor, Tensor]) -> None:
    prediction, reference = (maps[:1, :, :3, :4, :].clone() for maps in volumes)
    assert reference.sum() > 0
    torch.autograd.gradcheck(lambda p: centre_loss(p, reference), prediction.requires_grad_())


def test_half_precision_is_summed_in_full(volumes: tuple[Tensor, Tensor]) -> None:
    prediction, reference = volumes[0].bfloat16(), volumes[1].bool()
    loss = centre_loss(prediction, reference)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(centre_loss(prediction.double(), reference).item(), rel=1e-5)


def test_slices_and_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected volumes \(B, 1, H, W, K\), got \(1, 1, 4, 4\)"):
        centre_loss(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))
    with pytest.raises(ValueError, match="differ in shape"):
        centre_loss(torch.rand(1, 1, 4, 4, 4), torch.rand(1, 1, 4, 4, 5))


def test_dice_without_smoothing_is_flat_where_the_reference_is_empty() -> None:
    prediction = torch.rand(1, 1, 4, 4, 4, requires_grad=True)
    loss = soft_dice_loss(prediction, torch.zeros(1, 1, 4, 4, 4))
    loss.backward()
    assert loss.item() == 1
    assert prediction.grad is not None
    assert not prediction.grad.any()


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        ("step", {0: 1, 49: 1, 50: 0, 74: 0, 99: 0}),
        ("linear", {0: 1, 49: 1, 50: 0.98, 74: 0.5, 99: 0}),
    ],
)
def test_the_weight_of_the_centre_loss_falls_as_printed(schedule: str, weights: dict[int, float]) -> None:
    found = {epoch: centre_weight(epoch, 100, schedule=schedule) for epoch in weights}
    assert found == pytest.approx(weights, abs=1e-12)


def test_the_weight_starts_at_its_initial_value_and_keeps_it_for_as_long_as_asked() -> None:
    weights = [centre_weight(epoch, 6, initial=3.0, schedule="linear", held=2) for epoch in range(6)]
    assert weights == pytest.approx([3, 3, 2.25, 1.5, 0.75, 0])
    assert [centre_weight(epoch, 30) for epoch in (0, 29)] == [1, 1]


@pytest.mark.parametrize("epoch", [-1, 100])
def test_an_epoch_beyond_the_last_one_is_refused(epoch: int) -> None:
    with pytest.raises(ValueError, match=r"epoch must lie in 0…99, got"):
        centre_weight(epoch, 100)
