import pytest
import torch

from pancascade.methods.networks.localization_net import DistanceHead, KeypointHead, LocalizationNet

TINY = {"base_width": 4, "widths": (8, 8, 8)}


def count(make):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


def randomised(network):
    """Biases of the heads and the normalisation off their zeros, so that nothing vanishes by accident."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for head in (network.keypoint_head, network.distance_head):
            for parameter in head.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 14_503_493),
        ({"in_channels": 1}, 14_503_493 - 6_272),
        ({"keypoint_blocks": 1}, 14_429_381),
        ({"keypoint_blocks": 2}, 14_466_437),
        ({"keypoint_blocks": 4}, 14_540_549),
        ({"basis": "fcn"}, 11_176_512 + 64 * (512 + 256 + 128 + 64) + 4 * 64 + 228_613),
    ],
)
def test_parameter_counts_are_those_of_the_l_net_specification(options, expected):
    assert count(lambda: LocalizationNet(**options)) == expected


def test_parts_of_l_net_have_the_specified_parameter_counts():
    assert count(lambda: LocalizationNet().encoder) == 11_176_512
    assert count(lambda: LocalizationNet().decoder) == 3_098_368
    assert count(lambda: DistanceHead(64)) == 117_380
    assert count(lambda: KeypointHead(64)) == 14_503_493 - 14_274_880 - 117_380


def test_an_image_of_320_pixels_gives_maps_of_80_cells():
    with torch.device("meta"):
        heatmap, distances = LocalizationNet()(torch.empty(1, 3, 320, 320))
    assert heatmap.shape == (1, 1, 80, 80)
    assert distances.shape == (1, 4, 80, 80)


@torch.no_grad()
def test_the_distance_head_ends_in_13x13_after_two_3x3():
    kernels = [m.kernel_size for m in LocalizationNet(**TINY).distance_head.modules() if hasattr(m, "kernel_size")]
    assert kernels == [(3, 3), (3, 3), (13, 13)]


@torch.no_grad()
@pytest.mark.parametrize(("link", "function"), [("softplus", lambda raw: (1 + raw.exp()).log()), ("exp", torch.exp)])
def test_distances_are_four_pixels_times_the_link_of_the_raw_output(link, function):
    torch.manual_seed(0)
    network = randomised(LocalizationNet(**TINY, distance=link)).eval()
    raw = []
    network.distance_head.register_forward_hook(lambda *hooked: raw.append(hooked[2]))
    distances = network(torch.rand(1, 3, 64, 96)).distances
    assert torch.allclose(distances, 4 * function(raw[0]), rtol=1e-4)
    assert distances.std() > 0
    assert distances.min() > 0


@pytest.mark.parametrize("basis", ["unet", "fcn"])
def test_every_parameter_but_biases_before_normalisation_learns(basis):
    torch.manual_seed(0)
    network = randomised(LocalizationNet(**TINY, basis=basis))
    heatmap, distances = network(torch.rand(2, 3, 64, 96))
    ((heatmap * torch.rand_like(heatmap)).sum() + (distances * torch.rand_like(distances)).sum()).backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    cancelled = {f"{head}_head.{i}.0.bias" for head, n in (("keypoint", 3), ("distance", 2)) for i in range(n)}
    assert silent <= cancelled


def test_each_head_is_taught_by_its_own_output_alone():
    network = LocalizationNet(**TINY)
    heatmap, distances = network(torch.rand(2, 3, 64, 64))
    heatmap.square().sum().backward(retain_graph=True)
    assert all(p.grad is None for p in network.distance_head.parameters())
    assert network.encoder.conv1.weight.grad.abs().sum() > 0
    network.zero_grad(set_to_none=True)
    distances.square().sum().backward()
    assert all(p.grad is None for p in network.keypoint_head.parameters())
    assert network.encoder.conv1.weight.grad.abs().sum() > 0


@torch.no_grad()
@pytest.mark.parametrize("basis", ["unet", "fcn"])
def test_moving_the_image_by_32_pixels_moves_the_maps_by_8_cells(basis):
    torch.manual_seed(0)
    # A fresh encoder answers black with zeros, like the padding; so the borders are as far as the square is seen.
    network = LocalizationNet(base_width=2, widths=(4, 4, 4), in_channels=1, basis=basis).eval()
    images = torch.zeros(1, 1, 768, 768)
    images[:, :, 360:392, 352:384] = 1000 * torch.rand(32, 32)
    here = network(images)
    there = network(images.roll((-32, 64), dims=(2, 3)))
    away_from_borders = slice(40, 152)
    for before, after in zip(here, there, strict=True):
        inner = (..., away_from_borders, away_from_borders)
        spread = before[inner].std().item()
        assert spread > 0.01
        assert torch.allclose(after[inner], before.roll((-8, 16), dims=(2, 3))[inner], rtol=0, atol=1e-3 * spread)
        assert not torch.allclose(after[inner], before[inner], rtol=0, atol=spread)


@torch.no_grad()
def test_maps_are_float32_under_autocast():
    network = LocalizationNet(**TINY).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(torch.rand(1, 3, 32, 32))
    assert [maps.dtype for maps in found] == [torch.float32] * 2


def test_wrong_options_of_l_net_are_named():
    with pytest.raises(ValueError, match="'unet' or 'fcn', got 'vgg'"):
        LocalizationNet(**TINY, basis="vgg")
    with pytest.raises(ValueError, match="'softplus' or 'exp', got 'relu'"):
        LocalizationNet(**TINY, distance="relu")
    with pytest.raises(ValueError, match="3 decoder steps"):
        LocalizationNet(widths=(8, 8))
