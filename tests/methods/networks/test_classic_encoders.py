"""VGG-16, ResNet-50 and DenseNet-121: torchvision's names, its weights, the networks that stand on them."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from pancascade.errors import CheckpointError
from pancascade.methods.networks import build
from pancascade.methods.networks.densenet import DenseNetEncoder, load_densenet
from pancascade.methods.networks.fcn8s import FCN8s
from pancascade.methods.networks.resnet import ResNetEncoder
from pancascade.methods.networks.vgg import VggEncoder, load_vgg

TINY_VGG = {"widths": (4, 4, 4, 4, 4), "hidden": 8}
TINY_DENSE = {"blocks": (2, 1, 1, 1), "growth": 4, "stem": 8}


def shapes(make):
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}


def test_names_and_shapes_are_those_that_torchvision_publishes():
    vgg, resnet, dense = shapes(VggEncoder), shapes(lambda: ResNetEncoder(50)), shapes(DenseNetEncoder)
    kernels = {name: shape for name, shape in vgg.items() if name.endswith("weight")}
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert list(kernels) == [*(f"features.{i}.weight" for i in places), "classifier.0.weight", "classifier.3.weight"]
    assert kernels["features.28.weight"] == (512, 512, 3, 3)
    assert resnet["layer3.5.conv3.weight"] == (1024, 256, 1, 1)
    assert resnet["layer2.0.downsample.0.weight"] == (512, 256, 1, 1)
    assert resnet["layer4.2.bn2.running_var"] == (512,)
    assert dense["features.denseblock3.denselayer24.conv1.weight"] == (128, 256 + 23 * 32, 1, 1)
    assert dense["features.transition2.conv.weight"] == (256, 512, 1, 1)
    assert dense["features.norm5.bias"] == (1024,)


def test_published_weights_of_vgg_16_load_with_their_matrices_as_kernels(tmp_path):
    torch.manual_seed(0)
    encoder = VggEncoder(in_channels=1, **TINY_VGG).eval()
    weights = {name: torch.randn_like(tensor) for name, tensor in encoder.state_dict().items()}
    weights["features.0.weight"] = torch.randn(4, 3, 3, 3)
    kernel = weights["classifier.0.weight"]
    published = {**weights, "classifier.0.weight": kernel.flatten(1), "classifier.6.weight": torch.ones(10, 8)}
    published["classifier.3.weight"] = weights["classifier.3.weight"].flatten(1)
    torch.save(published, tmp_path / "vgg16.pth")
    load_vgg(encoder, tmp_path / "vgg16.pth")
    # At the one position of a feature map of 7×7, the kernel does what the matrix did.
    features = torch.rand(1, 4, 7, 7)
    by_matrix = functional.linear(features.flatten(1), published["classifier.0.weight"], weights["classifier.0.bias"])
    torch.testing.assert_close(encoder.classifier[0](features).flatten(1), by_matrix, atol=1e-4, rtol=1e-4)
    first = encoder.features[0]
    assert isinstance(first, nn.Conv2d)
    assert torch.equal(first.weight, weights["features.0.weight"].sum(1, keepdim=True))
    with pytest.raises(CheckpointError, match="vgg16"):
        load_vgg(VggEncoder(widths=(4, 4, 4, 4, 8), hidden=8), tmp_path / "vgg16.pth")


def test_published_weights_of_densenet_load_under_their_old_names(tmp_path):
    encoder = DenseNetEncoder(**TINY_DENSE)
    weights = {name: torch.rand(t.shape) if t.is_floating_point() else t for name, t in encoder.state_dict().items()}
    old = {re.sub(r"(denselayer\d\.\w+?)([12]\.)", r"\1.\2", name): tensor for name, tensor in weights.items()}
    assert "features.denseblock1.denselayer2.norm.1.weight" in old
    torch.save({**old, "classifier.weight": torch.ones(2, 2)}, tmp_path / "densenet121.pth")
    load_densenet(encoder, tmp_path / "densenet121.pth")
    assert all(torch.equal(encoder.state_dict()[name], weights[name]) for name in weights)
    with pytest.raises(CheckpointError, match="densenet121"):
        load_densenet(DenseNetEncoder((1, 1, 1, 1), growth=4, stem=8), tmp_path / "densenet121.pth")


def test_a_dense_block_keeps_all_that_was_found_before():
    encoder = DenseNetEncoder(**TINY_DENSE).eval()
    seen = {}
    encoder.features["denseblock1"].register_forward_hook(lambda _, given, made: seen.update(given=given[0], made=made))
    found = encoder(torch.rand(1, 3, 33, 60))
    assert torch.equal(seen["made"][:, :8], seen["given"])
    assert [tuple(maps.shape[1:]) for maps in found] == [
        (channels, 64 // stride, 64 // stride)
        for channels, stride in zip(encoder.channels, (2, 4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("size", [(1, 1), (33, 70), (64, 96)])
def test_fcn_8s_answers_images_of_any_size(size):
    assert build("fcn8s", preset="tiny", out_channels=3).eval()(torch.rand(2, 1, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize(("level", "stride", "place"), [(0, 8, 18), (1, 16, 9)])
def test_the_scores_of_fcn_8s_lie_where_their_pixels_are(level, stride, place):
    """One position of a skip alone, enlarged, is centred on the middle of the pixels that it sees."""
    network = FCN8s(**TINY_VGG).eval()
    nn.init.ones_((network.score_8, network.score_16)[level].weight)
    maps = (torch.zeros(1, 4, 37, 37), torch.zeros(1, 4, 19, 19), torch.zeros(1, 8, 4, 4))
    maps[level][..., place, place] = 1
    network.encoder.forward = lambda _: maps
    answer = network(torch.zeros(1, 3, 96, 96)).detach()[0, 0].sum(dim=0)
    # The first convolution moves pixels by 100 − 1.
    middle = stride * place + (stride - 1) / 2 - 99
    assert float((answer * torch.arange(96)).sum() / answer.sum()) == pytest.approx(middle, abs=1e-3)
