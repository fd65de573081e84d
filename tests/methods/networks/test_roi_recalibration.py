import pytest
import torch

from pancascade.methods.networks.localization_net import LocalizationNet
from pancascade.methods.networks.resnet_unet import ResNetUNet
from pancascade.methods.networks.roi_recalibration import (
    box_corners,
    cell_to_image,
    inverse_theta,
    place_back,
    recalibrate,
    recalibration_theta,
    scale_gradient,
)

KEYPOINT = torch.tensor([[50.0, 60.0]])
DISTANCES = torch.tensor([[10.0, 8.0, 20.0, 12.0]])
SIZE = (128, 128)


def printed_theta():
    return recalibration_theta(KEYPOINT, DISTANCES, size=SIZE)


def ramps(height=128, width=128):
    """Two channels: the x and the y coordinate of each pixel's centre."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x, y))[None]


def smooth_image(height, width):
    x, y = ramps(height, width)[0]
    return (2 + torch.sin(x / 9) + torch.cos(y / 7))[None, None]


def test_a_cell_looks_from_four_times_its_index_plus_two():
    cells = torch.tensor([[0.0, 0.0], [10.0, 3.0], [10.375, 79.0]])
    assert cell_to_image(cells).tolist() == [[2, 2], [42, 14], [43.5, 318]]
    assert cell_to_image(torch.tensor([[3, 1]]), stride=8).tolist() == [[28, 12]]


def test_the_printed_box_has_the_printed_corners():
    margin = torch.full((1, 4), 15.0)
    assert box_corners(KEYPOINT, DISTANCES).tolist() == [[40, 52, 70, 72]]
    assert box_corners(KEYPOINT, DISTANCES + margin).tolist() == [[25, 37, 85, 87]]


def test_the_printed_box_has_the_printed_theta_and_inverse():
    theta = printed_theta()
    expected = torch.tensor([[[0.46875, 0, -0.140625], [0, 0.390625, -0.03125]]])
    assert torch.equal(theta, expected)
    inverse = torch.tensor([[[2.1333333, 0, 0.3], [0, 2.56, 0.08]]])
    assert torch.allclose(inverse_theta(theta), inverse, atol=1e-5)


def test_width_and_height_are_not_exchanged():
    (row_x, row_y) = recalibration_theta(KEYPOINT, DISTANCES, size=(256, 128))[0].tolist()
    assert row_x == [0.46875, 0, -0.140625]
    assert row_y == pytest.approx([0, 50 / 256, 2 * 62 / 256 - 1])


def test_the_inverse_is_equation_4_with_its_epsilon():
    theta = torch.tensor([[[0.0, 0, 0.5], [0, 0.25, -0.5]]], dtype=torch.float64)
    expected = [[1e6, 0, -0.5e6], [0, 1 / 0.250001, 0.5 / 0.250001]]
    assert torch.allclose(inverse_theta(theta)[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12)
    assert inverse_theta(theta, epsilon=0.25)[0, 0].tolist() == [4, 0, -2]


def test_the_recalibrated_ramps_start_and_end_half_a_sample_inside_the_box():
    x, y = recalibrate(ramps(), printed_theta(), SIZE)[0]
    assert x[:, 0].tolist() == pytest.approx([25.234375] * 128, abs=1e-4)
    assert x[:, -1].tolist() == pytest.approx([84.765625] * 128, abs=1e-4)
    assert y[0].tolist() == pytest.approx([37 + 25 / 128] * 128, abs=1e-4)
    assert y[-1].tolist() == pytest.approx([87 - 25 / 128] * 128, abs=1e-4)


def test_a_recalibrated_region_may_have_another_size_than_the_image():
    x, y = recalibrate(ramps(), printed_theta(), (25, 60))[0]
    # A sample a pixel, and a sample every second pixel.
    assert torch.allclose(x, (25.5 + torch.arange(60)).expand(25, 60), atol=1e-4)
    assert torch.allclose(y, (38 + 2 * torch.arange(25.0))[:, None].expand(25, 60), atol=1e-4)


def test_ones_are_pasted_back_onto_exactly_the_pixels_of_the_box():
    pasted = place_back(torch.ones(1, 1, *SIZE), printed_theta(), SIZE) >= 0.5
    expected = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    expected[..., 37:87, 25:85] = True
    assert expected.sum() == 3000
    assert torch.equal(pasted, expected)


def test_the_whole_image_without_margin_is_left_as_it_is():
    image = torch.rand(1, 2, 64, 96)
    theta = recalibration_theta(
        torch.tensor([[30.0, 50.0]]), torch.tensor([[30.0, 50.0, 66.0, 14.0]]), size=(64, 96), margin=0
    )
    assert torch.equal(theta, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]))
    assert torch.allclose(recalibrate(image, theta, (64, 96)), image, atol=2e-4)
    assert torch.allclose(place_back(image, theta, (64, 96)), image, atol=2e-4)


@pytest.mark.parametrize(
    ("keypoint", "distances"),
    [((50, 60), (10, 8, 20, 12)), ((70.25, 31.5), (20.5, 9.25, 30.125, 40)), ((40, 40), (39, 39, 60, 30))],
)
def test_placing_a_recalibrated_region_back_is_the_identity_inside_it_and_zero_outside(keypoint, distances):
    image = smooth_image(96, 128)
    theta = recalibration_theta(torch.tensor([keypoint]), torch.tensor([distances]), size=(96, 128), margin=0)
    back = place_back(recalibrate(image, theta, (96, 128)), theta, (96, 128))
    x, y = ramps(96, 128)[0]
    (left, top, right, bottom), *_ = box_corners(torch.tensor([keypoint]), torch.tensor([distances]))
    inside = (x > left + 1) & (x < right - 1) & (y > top + 1) & (y < bottom - 1)
    outside = (x < left - 1) | (x > right + 1) | (y < top - 1) | (y > bottom + 1)
    assert inside.sum() > 500
    assert (back - image)[0, 0][inside].abs().max() < 0.01
    assert outside.any()
    assert torch.equal(back[0, 0][outside], torch.zeros(int(outside.sum())))


def test_beyond_the_image_there_are_zeros():
    theta = recalibration_theta(torch.tensor([[0.0, 32.0]]), torch.full((1, 4), 17.0), size=(64, 64))
    region = recalibrate(torch.ones(1, 1, 64, 64), theta, (64, 64))[0, 0]
    assert torch.equal(region[:, :31], torch.zeros(64, 31))
    assert torch.equal(region[1:-1, 33:], torch.ones(62, 31))


def test_regions_of_a_batch_do_not_meet():
    images, keypoints = torch.rand(3, 1, 64, 64), torch.tensor([[20.0, 30.0], [40.0, 16.5], [33.0, 50.0]])
    distances = 5 + 10 * torch.rand(3, 4)
    theta = recalibration_theta(keypoints, distances, size=(64, 64))
    together = recalibrate(images, theta, (64, 64))
    for i in range(3):
        alone = recalibration_theta(keypoints[i : i + 1], distances[i : i + 1], size=(64, 64))
        assert torch.equal(theta[i : i + 1], alone)
        assert torch.allclose(recalibrate(images[i : i + 1], alone, (64, 64)), together[i : i + 1], atol=1e-6)


def test_scales_and_translations_have_the_printed_gradients():
    distances, keypoint = DISTANCES.clone().requires_grad_(), KEYPOINT.clone().requires_grad_()
    theta = recalibration_theta(keypoint, distances, size=(64, 128))[0]
    printed = {(0, 0): (1, 0, 1, 0), (0, 2): (-1, 0, 1, 0), (1, 1): (0, 1, 0, 1), (1, 2): (0, -1, 0, 1)}
    for (row, column), expected in printed.items():
        (gradient,) = torch.autograd.grad(theta[row, column], distances, retain_graph=True)
        assert (gradient * (128, 64)[row]).tolist() == [list(expected)]
    theta.sum().backward()
    assert keypoint.grad is None


def test_the_gradient_of_a_recalibrated_region_is_that_of_its_finite_differences():
    image = smooth_image(32, 32).double()
    keypoint = torch.tensor([[15.3, 17.1]], dtype=torch.float64)

    def region(distances):
        return recalibrate(image, recalibration_theta(keypoint, distances, size=(32, 32), margin=1.5), (5, 6))

    distances = torch.tensor([[4.13, 5.27, 6.31, 3.49]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(region, distances)


def test_the_decayed_gradient_is_the_printed_one():
    z = torch.tensor(2.0, requires_grad=True)
    decayed = scale_gradient(z, 0.1)
    assert decayed.item() == 2
    (decayed**2).backward()
    assert z.grad.item() == pytest.approx(0.4)


@pytest.mark.parametrize("gamma", [0, 0.01, 0.1, 1])
def test_decay_changes_no_value_and_scales_any_gradient(gamma):
    torch.manual_seed(0)
    z, weights = torch.randn(7, 5, requires_grad=True), torch.randn(7, 5)
    decayed = scale_gradient(z, gamma)
    assert torch.equal(decayed, z)
    (decayed * weights).sum().backward()
    assert torch.allclose(z.grad, gamma * weights)


def test_s_net_supervises_the_distance_head_alone_in_proportion_to_gamma():
    torch.manual_seed(0)
    l_net = LocalizationNet(base_width=4, widths=(8, 8, 8), in_channels=1).eval()
    s_net = ResNetUNet(18, base_width=4, widths=(8, 8, 8, 8, 4), in_channels=1).eval()
    image = smooth_image(64, 64)

    def gradients(gamma):
        l_net.zero_grad()
        heatmap, distances = l_net(image)
        cell = heatmap.flatten(1).argmax(dim=1)
        cells = torch.stack((cell % 16, cell // 16), dim=1)
        chosen = distances.flatten(2)[torch.arange(1), :, cell]
        theta = recalibration_theta(cell_to_image(cells), chosen, size=(64, 64))
        logits = s_net(recalibrate(image, scale_gradient(theta, gamma), (64, 64)))
        logits.square().mean().backward()
        return {name: None if p.grad is None else p.grad.clone() for name, p in l_net.named_parameters()}

    full, decayed, none = gradients(1), gradients(0.1), gradients(0)
    taught = {name for name, gradient in full.items() if gradient is not None and gradient.any()}
    assert {"distance_head.2.weight", "distance_head.2.bias", "encoder.conv1.weight"} <= taught
    assert not any(name.startswith("keypoint_head") for name in taught)
    for name in taught:
        assert torch.allclose(decayed[name], 0.1 * full[name], rtol=1e-4, atol=1e-6 * full[name].abs().max().item())
        assert not none[name].any()


def test_autocast_does_not_round_the_sampling_grid():
    expected = recalibrate(ramps(), printed_theta(), SIZE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = recalibrate(ramps(), printed_theta(), SIZE)
        pasted = place_back(torch.ones(1, 1, *SIZE, dtype=torch.bfloat16), printed_theta(), SIZE)
    assert torch.equal(found, expected)
    assert (pasted >= 0.5).sum() == 3000
    assert pasted.dtype == torch.float32
    assert recalibrate(ramps().bfloat16(), printed_theta().bfloat16(), SIZE).dtype == torch.float32


def test_an_empty_box_stays_finite():
    theta = recalibration_theta(KEYPOINT, torch.zeros(1, 4), size=SIZE, margin=0)
    pasted = place_back(torch.ones(1, 1, *SIZE), theta, SIZE)
    assert pasted.isfinite().all()
    assert (pasted >= 0.5).sum() == 0


def test_wrong_shapes_and_decays_are_named():
    with pytest.raises(ValueError, match=r"got \(2, 2\) and \(1, 4\)"):
        recalibration_theta(torch.zeros(2, 2), torch.zeros(1, 4), size=SIZE)
    with pytest.raises(ValueError, match=r"got \(2,\) and \(1, 4\)"):
        recalibration_theta(torch.zeros(2), torch.zeros(1, 4), size=SIZE)
    for gamma in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="gamma must lie in"):
            scale_gradient(torch.zeros(1), gamma)


def test_an_image_moved_by_four_pixels_gives_the_same_region_one_cell_on():
    image, cell = smooth_image(128, 128), torch.tensor([[12, 15]])
    here, there = (recalibration_theta(cell_to_image(c), DISTANCES, size=SIZE) for c in (cell, cell + 1))
    moved = recalibrate(image.roll((4, 4), dims=(2, 3)), there, SIZE)
    assert torch.allclose(moved, recalibrate(image, here, SIZE), atol=1e-4)
    assert not torch.allclose(moved, recalibrate(image, there, SIZE), atol=0.1)


def test_no_region_at_all_is_an_error():
    with pytest.raises(ValueError, match="non-zero"):
        recalibrate(torch.zeros(0, 1, 8, 8), torch.zeros(0, 2, 3), (8, 8))
