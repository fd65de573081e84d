import pytest
import torch

from pancascade.methods.networks import FocusingNet, MultiScaleUNet, SaliencyTransformation, UNet, build
from pancascade.methods.networks.densenet import DenseNetEncoder, DenseUNet
from pancascade.methods.networks.fcn8s import FCN8s
from pancascade.methods.networks.focusing import ContextExploration, Focusing
from pancascade.methods.networks.focusing_resnet import FocusingResNet
from pancascade.methods.networks.nonlocal_localization import NonLocalLocalization
from pancascade.methods.networks.resnet import ResNetEncoder
from pancascade.methods.networks.resnet_unet import ResNetUNet
from pancascade.methods.networks.vgg import VggEncoder


def count(make):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (UNet, 31_042_369),
        (MultiScaleUNet, 62_499_521),
        (lambda: MultiScaleUNet((32, 64, 128, 256)), 25_730_913),
        (lambda: MultiScaleUNet((8, 16, 32, 64), centre=64), 980_441),
        (lambda: MultiScaleUNet(decoder=False), 42_991_680),
        (FocusingNet, 81_722_543),
        (lambda: FocusingNet(reduce_kernel=3), 84_507_823),
        (lambda: FocusingNet(source="encoder"), 65_348_207),
        (lambda: FocusingNet(source="encoder", reduce_kernel=3), 68_133_487),
        (lambda: FocusingNet(source="authors"), 63_065_711),
        (lambda: NonLocalLocalization(512), 353_411),
        (lambda: Focusing(256, 512), 7_688_195),
        (lambda: Focusing(128, 256), 1_927_171),
        (lambda: Focusing(64, 128), 484_355),
        (lambda: Focusing(32, 64), 122_371),
        (lambda: ResNetEncoder(50), 25_557_032 - 2_049_000),  # torchvision's resnet50 without its classifier
        (lambda: ResNetUNet(50), 32_521_105),  # segmentation_models_pytorch
        (VggEncoder, 138_357_544 - 4_097_000),  # torchvision's vgg16 without the last layer of its classifier
        (FCN8s, 134_265_699),
        (lambda: FCN8s(out_channels=3), 134_277_737),
        (DenseNetEncoder, 7_978_856 - 1_025_000),  # torchvision's densenet121 without its classifier
        (DenseUNet, 13_607_633),  # segmentation_models_pytorch
        (FocusingResNet, 46_497_804),
        (SaliencyTransformation, 36),
        (lambda: SaliencyTransformation(3), 312),
    ],
)
def test_parameter_counts_are_those_of_the_specification(make, expected):
    assert count(make) == expected


@pytest.mark.parametrize(
    ("name", "preset", "expected"),
    [
        ("unet", "paper", 31_042_369),
        ("multiscale_unet", "paper", 62_499_521),
        ("multiscale_unet", "stan", 25_730_913),
        ("multiscale_unet", "tiny", 980_441),
        ("focusing_net", "paper", 81_722_543),
        ("focusing_net", "encoder", 65_348_207),
        ("focusing_net", "authors", 63_065_711),
        ("saliency", "paper", 36),
        ("saliency", "three_classes", 312),
    ],
)
def test_presets_build_the_networks_of_the_specification(name, preset, expected):
    assert count(lambda: build(name, preset=preset)) == expected


def test_decoder_and_head_of_the_multi_scale_u_net_hold_the_rest():
    assert count(MultiScaleUNet) - count(lambda: MultiScaleUNet(decoder=False)) == 19_507_841


def test_the_head_of_the_multi_scale_u_net_is_one_1x1_convolution():
    assert count(MultiScaleUNet) - count(lambda: MultiScaleUNet(head=False)) == 64 + 1


def test_an_ablated_focusing_module_lacks_one_context_block_its_normalisation_and_its_scale():
    one_sided = count(lambda: Focusing(64, 128, discover="false_positives"))
    assert one_sided == count(lambda: Focusing(64, 128, discover="false_negatives"))
    assert count(lambda: Focusing(64, 128)) - one_sided == count(lambda: ContextExploration(64)) + 2 * 64 + 1


def test_the_literal_equation_3_has_larger_kernels_on_the_wider_branch():
    exchanged = count(lambda: MultiScaleUNet(eq3="literal")) - count(MultiScaleUNet)
    assert exchanged == (9 - 1) * (2 * 512 - 512) * 512


def test_skips_and_up_sampling_of_the_authors_cost_what_their_layers_cost():
    skips = count(MultiScaleUNet) - count(lambda: MultiScaleUNet(skips="authors"))
    assert skips == sum(9 * 2 * w * w for w in (64, 128, 256, 512))
    up_sampling = count(lambda: MultiScaleUNet(up_sampling="authors"))
    # No deconvolutions; levels of 256, 128, 64, 64 channels fed by 1536, 256, 128, 64.
    deeper, skip, out = (1536, 256, 128, 64), (512, 256, 128, 64), (256, 128, 64, 64)
    levels = zip(deeper, skip, out, strict=True)
    layers = sum(9 * (d + s) * o + 9 * (o + 2 * s) * o + 2 * (o + 2 * o) for d, s, o in levels)
    assert up_sampling == 42_991_680 + layers + 64 + 1
