import pytest
import torch
from torch import nn

from pancascade.methods.networks import UNet
from pancascade.methods.networks.dsms_unet import DeeplySupervisedUNet, ParallelConvolutions

WIDTHS = (4, 6, 8, 10, 12)


def count(**options):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in DeeplySupervisedUNet(**options).parameters())


def tiny(**options):
    torch.manual_seed(0)
    return DeeplySupervisedUNet(WIDTHS, **options)


def runs_of(module):
    """A list that grows by one with every run of the module."""
    runs = []
    module.register_forward_hook(lambda *hooked: runs.append(hooked[2]))
    return runs


@pytest.mark.parametrize(
    ("skips", "restoration", "expected", "without_normalisation"),
    [
        ("plain", False, 31_042_369, 31_030_593),
        ("plain", True, 40_101_314, 40_085_698),
        ("kcm", True, 50_557_634, 50_534_338),
        ("mscm", True, 53_342_914, 53_319_618),
    ],
)
def test_parameter_counts_are_those_of_the_dsms_specification(skips, restoration, expected, without_normalisation):
    assert count(skips=skips, restoration=restoration) == expected
    assert count(skips=skips, restoration=restoration, normalise=False) == without_normalisation


def test_the_full_method_is_the_default():
    assert count() == 53_342_914


def test_a_1x1_second_convolution_saves_eight_weights_for_each_pair_of_channels_in_the_restoration_decoder():
    saved = count() - count(restoration_second_kernel=1)
    assert saved == sum(8 * w * w for w in (64, 128, 256, 512))


def test_without_normalisation_no_batch_normalisation_is_left():
    network = tiny(normalise=False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in tiny().modules())
    # Each slice is then seen alone: its batch does not change it.
    images = torch.rand(2, 1, 16, 32)
    with torch.no_grad():
        assert torch.allclose(network(images)[:1], network(images[:1]), atol=1e-6)


@torch.no_grad()
def test_plain_skips_without_restoration_are_the_u_net():
    network, images = tiny(skips="plain", restoration=False).eval(), torch.rand(2, 1, 32, 48)
    torch.manual_seed(0)
    u_net = UNet(WIDTHS).eval()
    assert torch.equal(network(images), u_net(images))


@torch.no_grad()
@pytest.mark.parametrize("skips", ["plain", "kcm", "mscm"])
def test_both_answers_have_the_size_of_the_image(skips):
    network = tiny(skips=skips, in_channels=3, out_channels=2)
    segmentation, restored = network.with_restoration(torch.rand(1, 3, 48, 64))
    assert segmentation.shape == (1, 2, 48, 64)
    assert restored.shape == (1, 3, 48, 64)


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
def test_segmenting_alone_skips_the_restoration_decoder(training):
    network, images = tiny().train(training), torch.rand(2, 1, 32, 32)
    runs = runs_of(network.restoration)
    alone = network(images)
    assert runs == []
    segmentation, restored = network.with_restoration(images)
    assert len(runs) == 1
    assert torch.equal(restored, runs[0])
    assert torch.equal(alone, segmentation)


def test_asking_for_a_restoration_that_was_not_built_is_an_error():
    with pytest.raises(RuntimeError, match="no restoration decoder"):
        tiny(restoration=False).with_restoration(torch.rand(1, 1, 16, 16))


def test_the_restored_image_comes_from_the_bottleneck_alone():
    network, images = tiny(), torch.rand(2, 1, 32, 32)
    bottleneck = runs_of(network.encoder[-1])
    _, restored = network.with_restoration(images)
    assert torch.equal(restored, network.restoration(bottleneck[0]))
    (of_bottleneck,) = torch.autograd.grad(restored.sum(), bottleneck[0], retain_graph=True)
    assert float(of_bottleneck.abs().sum()) > 0
    restored.square().mean().backward()
    assert all(p.grad is not None for p in [*network.encoder.parameters(), *network.restoration.parameters()])
    beside = [network.skips, network.up, network.decoder, network.head]
    assert all(p.grad is None for module in beside for p in module.parameters())


def test_the_modules_of_the_skips_have_the_kernels_of_figure_2():
    def kernels(network):
        return [[path[0].kernel_size[0] for path in module.paths] for module in network.skips]

    assert kernels(tiny(skips="kcm")) == [[3, 3, 3]] * 4
    assert kernels(tiny(skips="mscm")) == [[1, 3, 5]] * 4


@torch.no_grad()
def test_parallel_convolutions_are_concatenated_and_merged_by_a_1x1_convolution():
    torch.manual_seed(0)
    module, features = ParallelConvolutions(2, (1, 3, 5)).eval(), torch.rand(1, 2, 8, 9)
    one, three, five = (path(features) for path in module.paths)
    weight, bias = module.merge[0].weight[:, :, 0, 0], module.merge[0].bias
    merged = torch.einsum("oc,bchw->bohw", weight, torch.cat((one, three, five), dim=1)) + bias[:, None, None]
    # In evaluation mode a fresh batch normalisation only divides by √(1 + ε).
    assert torch.allclose(module(features), torch.relu(merged / (1 + 1e-5) ** 0.5), atol=1e-6)


@torch.no_grad()
def test_every_skip_is_filtered_before_it_is_concatenated():
    network, images = tiny(normalise=False).eval(), torch.rand(1, 1, 32, 32)
    levels, skips = [runs_of(block) for block in network.encoder], [runs_of(module) for module in network.skips]
    first = []
    for block in network.decoder:
        block.register_forward_pre_hook(lambda _, inputs: first.append(inputs[0]))
    network(images)
    for depth, (joined, skip, module) in enumerate(zip(first, skips, network.skips, strict=True)):
        width = WIDTHS[3 - depth]
        assert torch.equal(joined[:, width:], skip[0])
        assert torch.equal(skip[0], module(levels[3 - depth][0]))


def test_the_network_learns_to_restore_what_it_sees():
    network = tiny()
    images = torch.zeros(2, 1, 32, 32)
    images[0, :, :, 16:] = 1
    images[1, :, 16:] = 1
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)

    def step():
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network.with_restoration(images)[1], images)
        loss.backward()
        optimiser.step()
        return loss.item()

    losses = [step() for _ in range(40)]
    # Without skips two images can only be told apart through the bottleneck; their mean would cost ln 2 / 2.
    assert losses[-1] < 0.25 < losses[0]
