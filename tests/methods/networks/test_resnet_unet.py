import pytest
import torch
from torch import nn
from torch.nn import functional

from pancascade.methods.networks.resnet_unet import FcnDecoder, ResNetUNet, UNetDecoder

TINY = {"depth": 18, "base_width": 4, "widths": (8, 8, 8, 8, 4)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 24_436_369),
        ({"in_channels": 1}, 24_430_097),
        ({"depth": 18}, 14_328_209),
        ({"basis": "fcn"}, 21_284_672 + 512 + 256 + 128 + 64 + 4),
        ({"out_channels": 3}, 24_436_369 + 2 * (9 * 16 + 1)),
    ],
)
def test_parameter_counts_are_those_of_the_s_net_specification(options, expected):
    with torch.device("meta"):
        network = ResNetUNet(**options)
    assert sum(p.numel() for p in network.parameters()) == expected


@torch.no_grad()
@pytest.mark.parametrize("basis", ["unet", "fcn"])
def test_logits_have_the_size_of_images_that_are_not_square(basis):
    network = ResNetUNet(**TINY, basis=basis, in_channels=1, out_channels=2)
    assert network(torch.rand(2, 1, 64, 96)).shape == (2, 2, 64, 96)


@pytest.mark.parametrize("basis", ["unet", "fcn"])
def test_every_parameter_of_either_basis_learns(basis):
    torch.manual_seed(0)
    network = ResNetUNet(**TINY, basis=basis)
    logits = network(torch.rand(2, 3, 64, 64))
    (logits * torch.rand_like(logits)).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_a_step_of_the_u_net_doubles_concatenates_the_skip_and_convolves_twice():
    torch.manual_seed(0)
    decoder = UNetDecoder((2, 3, 5), (4,)).eval()
    shallow, middle, deep = torch.rand(1, 2, 8, 12), torch.rand(1, 3, 4, 6), torch.rand(1, 5, 2, 3)
    x = torch.cat((deep.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), middle), dim=1)
    for convolution, _, _ in decoder.steps[0].convolutions:
        assert convolution.bias is None
        # A fresh batch normalisation in evaluation mode only divides by √(1 + ε).
        x = (functional.conv2d(x, convolution.weight, padding=1) / (1 + 1e-5) ** 0.5).relu()
    assert torch.allclose(decoder((shallow, middle, deep)), x, atol=1e-6)


@torch.no_grad()
def test_the_last_of_five_steps_has_no_skip():
    torch.manual_seed(0)
    network = ResNetUNet(**TINY).eval()
    inputs = [step.convolutions[0][0].in_channels for step in network.decoder.steps]
    assert inputs == [32 + 16, 8 + 8, 8 + 4, 8 + 4, 8]


@torch.no_grad()
def test_the_fcn_decoder_sums_the_scores_of_four_strides():
    torch.manual_seed(0)
    decoder = FcnDecoder((2, 3, 4, 5, 6), 2)
    # Constant maps, so that bilinear doubling changes nothing.
    features = [torch.full((1, c, 32 >> i, 64 >> i), 1.0 + i) for i, c in enumerate((2, 3, 4, 5, 6))]
    found = decoder(features)
    expected = sum(
        (1.0 + i) * score.weight.sum((1, 2, 3)) + score.bias
        for i, score in zip((4, 3, 2, 1), decoder.scores, strict=True)
    )
    assert torch.allclose(found, expected[None, :, None, None].expand(1, 2, 16, 32), atol=1e-5)


def test_the_stage_one_baseline_learns_a_bright_square():
    torch.manual_seed(0)
    network = ResNetUNet(**TINY, in_channels=1)
    target = torch.zeros(2, 1, 64, 64)
    target[0, :, 8:40, 16:48] = target[1, :, 24:56, 4:36] = 1
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(target), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # The share of the foreground alone would cost 0.56.
    assert losses[-1] < 0.25


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="'unet' or 'fcn', got 'vgg'"):
        ResNetUNet(**TINY, basis="vgg")
    with pytest.raises(ValueError, match="5 decoder steps"):
        ResNetUNet(widths=(8, 8, 8))
