import pytest
import torch
from torch import nn

from pancascade.errors import RecipeError
from pancascade.inference.backends.fused_networks import folded
from pancascade.methods.networks import NetworkSettings, build
from pancascade.methods.networks.efficient_unet import EfficientUNet


def tiny(**options):
    torch.manual_seed(0)
    return build("efficient_unet", preset="tiny", **options)


@torch.no_grad()
@pytest.mark.parametrize("widths", [(8, 8, 4, 4), (8, 8, 4, 4, 4)], ids=["four steps", "five steps"])
@pytest.mark.parametrize("size", [(64, 96), (33, 50), (7, 130)], ids=str)
def test_logits_have_the_size_of_the_images_whatever_that_is(widths, size):
    network = tiny(widths=widths, out_channels=3).eval()
    assert network(torch.rand(2, 1, *size)).shape == (2, 3, *size)


@torch.no_grad()
def test_what_is_added_to_odd_sizes_is_black_and_at_the_far_ends():
    network = tiny().eval()
    image = torch.rand(1, 1, 40, 50)
    filled = torch.zeros(1, 1, 64, 64)
    filled[..., :40, :50] = image
    assert torch.equal(network(image), network(filled)[..., :40, :50])


@torch.no_grad()
def test_four_steps_end_at_every_second_pixel_and_five_at_every_one():
    images, seen = torch.rand(1, 1, 64, 96), []
    for widths in ((8, 8, 4, 4), (8, 8, 4, 4, 4)):
        network = tiny(widths=widths).eval()
        network.head.register_forward_hook(lambda _, given, answer: seen.append(tuple(answer.shape[-2:])))
        network(images)
    assert seen == [(32, 48), (64, 96)]


@pytest.mark.parametrize("widths", [(8, 8, 4), (8, 8, 8, 4, 4, 4)])
def test_another_number_of_decoder_steps_is_refused(widths):
    with pytest.raises(ValueError, match="4 or 5 decoder steps"):
        EfficientUNet(widths=widths)
    with pytest.raises(RecipeError, match="4 or 5 decoder steps"):
        build("efficient_unet", widths=widths)


@torch.no_grad()
def test_the_presence_is_the_last_channel_and_one_number_an_image():
    network = tiny(out_channels=2, presence=True)
    images = torch.rand(3, 1, 40, 64)
    answer = network(images)
    assert answer.shape == (3, 3, 40, 64)
    presence = answer[:, 2]
    assert torch.equal(presence, presence[:, :1, :1].expand_as(presence))
    assert presence[0, 0, 0] != presence[1, 0, 0]
    alone = tiny(out_channels=2)
    alone.load_state_dict({n: t for n, t in network.state_dict().items() if not n.startswith("presence")})
    assert torch.equal(answer[:, :2], alone(images))
    nn.init.zeros_(network.presence.weight)
    nn.init.constant_(network.presence.bias, 1.5)
    assert network(images)[:, 2].unique().tolist() == [1.5]


def test_a_presence_teaches_the_encoder_and_not_the_decoder():
    network = tiny(presence=True)
    network(torch.rand(2, 1, 64, 64))[:, 1].mean().backward()
    assert network.encoder.stem[0].weight.grad.abs().sum() > 0
    assert all(p.grad is None or not p.grad.any() for p in network.decoder.parameters())


@torch.no_grad()
def test_neighbours_come_in_as_channels():
    network = tiny(in_channels=5).eval()
    images = torch.rand(1, 5, 64, 64)
    first = network(images)
    assert first.shape == (1, 1, 64, 64)
    changed = images.clone()
    changed[:, 4] = 0
    assert not torch.equal(network(changed), first)


@torch.no_grad()
def test_a_folded_network_answers_the_same():
    network = tiny(out_channels=2, presence=True).eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    faster = folded(network)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in faster.modules())
    images = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(faster(images), network(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "channels", "fits"),
    [
        (NetworkSettings(name="efficient_unet"), 1, True),
        (NetworkSettings(name="efficient_unet"), 5, False),
        (NetworkSettings(name="efficient_unet", options={"in_channels": 5}), 5, True),
        (NetworkSettings(name="efficient_unet", options={"in_channels": 5}), 1, False),
        (NetworkSettings(name="resnet_unet"), 1, True),
        (NetworkSettings(name="resnet_unet"), 5, False),
        (NetworkSettings(name="resnet_unet", preset="small"), 3, False),
        (NetworkSettings(name="localization_net"), 3, True),
        (NetworkSettings(name="saliency"), 5, True),
        (NetworkSettings(name="unknown"), 5, True),
    ],
    ids=str,
)
def test_networks_tell_whether_they_take_so_many_channels(network, channels, fits):
    assert network.takes(channels) == fits
