import pytest
import torch
from torch import nn

from pancascade.methods.networks.unet3d import UNet3d, pad_to_multiple

TINY = (4, 8, 8)


@pytest.mark.parametrize(
    ("widths", "layout", "expected"),
    [
        ((16, 32, 64, 128, 256), "plain", 5_647_857),
        ((32, 64, 128, 256, 512), "plain", 22_581_217),
        ((16, 32, 64, 128), "plain", 1_401_969),
        ((64, 128, 256, 512), "cicek", 19_073_665),
    ],
)
def test_parameter_counts_of_the_3d_u_net_are_those_of_the_specification(widths, layout, expected):
    with torch.device("meta"):
        network = UNet3d(widths, layout=layout)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_the_default_is_the_network_of_the_specification():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in UNet3d().parameters()) == 5_647_857


def test_the_layout_of_cicek_doubles_the_channels_within_a_level_before_pooling():
    with torch.device("meta"):
        network = UNet3d((64, 128, 256, 512), layout="cicek")
    channels = [[(conv.in_channels, conv.out_channels) for conv, *_ in level] for level in network.encoder]
    assert channels == [[(1, 32), (32, 64)], [(64, 64), (64, 128)], [(128, 128), (128, 256)], [(256, 256), (256, 512)]]
    assert [(up.in_channels, up.out_channels) for up in network.up] == [(512, 512), (256, 256), (128, 128)]


@pytest.mark.parametrize("size", [(16, 16, 16), (17, 30, 9), (5, 3, 21), (1, 40, 4)])
@torch.no_grad()
def test_logits_have_the_size_of_the_volume_whatever_it_is(size):
    network = UNet3d(TINY, in_channels=2, out_channels=3).eval()
    assert network(torch.rand(2, 2, *size)).shape == (2, 3, *size)


@torch.no_grad()
def test_a_volume_of_an_odd_size_is_seen_with_zeros_around():
    torch.manual_seed(0)
    network = UNet3d(TINY).eval()
    volume = torch.rand(1, 1, 9, 12, 6)
    around = torch.zeros(1, 1, 12, 12, 8)
    around[:, :, 1:10, :, 1:7] = volume
    assert torch.equal(network(volume), network(around)[:, :, 1:10, :, 1:7])


@pytest.mark.parametrize("multiple", [2, 4, 16])
@pytest.mark.parametrize("size", [(16, 32, 48), (17, 30, 9), (1, 15, 31)])
def test_what_was_padded_comes_back(size, multiple):
    volume = torch.rand(2, 3, *size)
    padded, inside = pad_to_multiple(volume, multiple)
    assert torch.equal(padded[(..., *inside)], volume)
    assert [side - least for side, least in zip(padded.shape[2:], size, strict=True)] == [-n % multiple for n in size]
    assert padded.sum() == pytest.approx(float(volume.sum()), rel=1e-5)  # nothing but zeros was added


def test_padding_is_even_and_an_odd_voxel_goes_to_the_far_end():
    _, inside = pad_to_multiple(torch.ones(1, 1, 13, 14, 15), 16)
    assert inside == (slice(1, 14), slice(1, 15), slice(0, 15))


def test_volumes_that_fit_are_not_copied():
    volume = torch.rand(1, 1, 16, 32, 16)
    assert pad_to_multiple(volume, 16)[0] is volume


def test_the_deepest_level_of_five_sees_a_sixteenth():
    network, sizes = UNet3d((2, 2, 2, 2, 2)).eval(), []
    network.encoder[-1].register_forward_hook(lambda *found: sizes.append(tuple(found[2].shape[2:])))
    with torch.no_grad():
        network(torch.rand(1, 1, 40, 64, 20))
    assert sizes == [(3, 4, 2)]


@pytest.mark.parametrize("layout", ["plain", "cicek"])
def test_every_parameter_of_the_3d_u_net_learns(layout):
    torch.manual_seed(0)
    network = UNet3d((4, 8, 8), layout=layout)
    logits = network(torch.rand(2, 1, 11, 16, 12))
    (logits * torch.rand_like(logits)).sum().backward()
    # A bias before batch normalisation cancels out.
    cancelled = {
        f"{name}.0.bias"
        for name, block in network.named_modules()
        if isinstance(block, nn.Sequential) and isinstance(block[1], nn.BatchNorm3d)
    }
    assert len(cancelled) == 10
    idle = {name for name, parameter in network.named_parameters() if not parameter.grad.any()}
    assert idle <= cancelled


def test_a_volume_too_small_to_normalise_is_refused_while_training():
    network = UNet3d(TINY)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.rand(1, 1, 4, 4, 4))
    assert network.eval()(torch.rand(1, 1, 4, 4, 4)).shape == (1, 1, 4, 4, 4)
