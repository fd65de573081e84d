import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from pancascade.errors import CheckpointError
from pancascade.methods.networks.encoder_input import normalised_for_imagenet
from pancascade.methods.networks.resnet import BLOCKS, ResNetEncoder, load_resnet


def published_layout(depth, width=64):
    """Names and shapes of torchvision's ResNet state_dict, by rule."""

    def normalisation(name, channels):
        parts = ("weight", "bias", "running_mean", "running_var")
        return {**{f"{name}.{part}": (channels,) for part in parts}, f"{name}.num_batches_tracked": ()}

    layout = {"conv1.weight": (width, 3, 7, 7), **normalisation("bn1", width)}
    inputs = width
    for level, blocks in enumerate(BLOCKS[depth]):
        channels = width * 2**level
        for block in range(blocks):
            name = f"layer{level + 1}.{block}"
            layout[f"{name}.conv1.weight"] = (channels, inputs if block == 0 else channels, 3, 3)
            layout |= normalisation(f"{name}.bn1", channels)
            layout[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            layout |= normalisation(f"{name}.bn2", channels)
            if block == 0 and level > 0:
                layout[f"{name}.downsample.0.weight"] = (channels, inputs, 1, 1)
                layout |= normalisation(f"{name}.downsample.1", channels)
        inputs = channels
    return {**layout, "fc.weight": (1000, inputs), "fc.bias": (1000,)}


def published_weights(depth, width=4):
    torch.manual_seed(0)
    return {
        name: torch.tensor(7)
        if name.endswith("tracked")
        else torch.rand(shape) + 0.5
        if name.endswith("running_var")
        else torch.randn(shape)
        for name, shape in published_layout(depth, width).items()
    }


def features_by_name(weights, images):
    """Features of He et al.'s network, computed from a state_dict alone."""

    def normalised(x, name):
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = functional.conv2d(images, weights["conv1.weight"], stride=2, padding=3)
    found = [normalised(x, "bn1").relu()]
    x = functional.max_pool2d(found[0], 3, stride=2, padding=1)
    for level in range(1, 5):
        block = 0
        while f"layer{level}.{block}.conv1.weight" in weights:
            name, stride = f"layer{level}.{block}", 2 if level > 1 and block == 0 else 1
            y = functional.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = functional.conv2d(normalised(y, f"{name}.bn1").relu(), weights[f"{name}.conv2.weight"], padding=1)
            if f"{name}.downsample.0.weight" in weights:
                x = functional.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride)
                x = normalised(x, f"{name}.downsample.1")
            x = (normalised(y, f"{name}.bn2") + x).relu()
            block += 1
        found.append(x)
    return found


def saved(weights, path):
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


def refused(encoder, path):
    """The one sentence that a file is refused with; the encoder must not have changed."""
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(CheckpointError) as refusal:
        load_resnet(encoder, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path.name}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 300 + len(str(path))
    return sentence


@pytest.mark.parametrize(
    ("depth", "in_channels", "expected"), [(18, 3, 11_176_512), (18, 1, 11_170_240), (34, 3, 21_284_672)]
)
def test_parameter_counts_are_those_of_the_published_encoders(depth, in_channels, expected):
    with torch.device("meta"):
        encoder = ResNetEncoder(depth, in_channels=in_channels)
    assert sum(p.numel() for p in encoder.parameters()) == expected


@pytest.mark.parametrize(("depth", "entries"), [(18, 122), (34, 218)])
def test_names_and_shapes_are_the_published_layout_without_the_classifier(depth, entries):
    layout = published_layout(depth)
    assert len(layout) == entries
    with torch.device("meta"):
        found = {name: tuple(tensor.shape) for name, tensor in ResNetEncoder(depth).state_dict().items()}
    assert found == {name: shape for name, shape in layout.items() if not name.startswith("fc.")}


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 34])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_weights_load_and_give_the_published_network_s_features(depth, suffix, tmp_path):
    weights = published_weights(depth)
    encoder = ResNetEncoder(depth, base_width=4).eval()
    load_resnet(encoder, saved(weights, tmp_path / f"resnet.{suffix}"))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in encoder.state_dict().items())
    images = torch.rand(2, 3, 64, 96)
    for found, expected in zip(encoder(images), features_by_name(weights, images), strict=True):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max().item())


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2])
def test_another_number_of_equal_input_channels_answers_like_three(channels, tmp_path):
    path = saved(published_weights(18), tmp_path / "resnet18.pth")
    ours, three = (ResNetEncoder(18, in_channels=number, base_width=4).eval() for number in (channels, 3))
    load_resnet(ours, path)
    load_resnet(three, path)
    images = torch.rand(1, 1, 32, 64)
    for found, expected in zip(ours(images), three(images.expand(-1, 3, -1, -1)), strict=True):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max().item())


def test_weights_of_one_input_channel_load_as_they_are(tmp_path):
    weights = published_weights(18) | {"conv1.weight": torch.rand(4, 1, 7, 7)}
    encoder = ResNetEncoder(18, in_channels=1, base_width=4)
    load_resnet(encoder, saved(weights, tmp_path / "resnet18.safetensors"))
    assert torch.equal(encoder.conv1.weight, weights["conv1.weight"])


def test_files_from_before_batches_were_counted_load(tmp_path):
    weights = {name: w for name, w in published_weights(18).items() if not name.endswith("tracked")}
    path = tmp_path / "resnet18-5c106cde.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    encoder = ResNetEncoder(18, base_width=4)
    load_resnet(encoder, path)
    assert torch.equal(encoder.layer4[1].bn2.running_var, weights["layer4.1.bn2.running_var"])


def test_weights_of_another_network_are_refused_in_one_sentence(tmp_path):
    encoder, weights = ResNetEncoder(18, base_width=4), published_weights(18)
    deeper = refused(encoder, saved(published_weights(34), tmp_path / "resnet34.pth"))
    assert "layer1.2.conv1.weight has no place in this encoder (and 95 more)" in deeper
    assert "resnet18" in deeper
    shallower = refused(ResNetEncoder(34, base_width=4), saved(weights, tmp_path / "resnet18.pth"))
    assert "layer1.2.conv1.weight is missing" in shallower
    wider = refused(encoder, saved(published_weights(18, 8), tmp_path / "wide.safetensors"))
    assert "conv1.weight has shape (8, 3, 7, 7), expected (4, 3, 7, 7)" in wider
    late = weights | {"layer4.1.bn2.bias": torch.rand(5)}
    assert "layer4.1.bn2.bias has shape (5,)" in refused(encoder, saved(late, tmp_path / "late.pth"))


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (pytest.fail, ("code in a weights file was run",))


def test_unusable_files_are_refused_in_one_sentence_and_run_no_code(tmp_path):
    encoder = ResNetEncoder(18, base_width=4)
    whole = saved(published_weights(18), tmp_path / "whole.pth").read_bytes()
    contents = {"cut.pth": whole[:5000], "text.pth": b"not weights", "text.safetensors": b"not weights", "nil.pth": b""}
    contents["trap.pth"] = pickle.dumps({"conv1.weight": Trap()})
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "not a readable file of weights" in refused(encoder, tmp_path / name)
    torch.save({"conv1.weight": Trap()}, tmp_path / "zipped_trap.pth")
    assert "not a readable file of weights" in refused(encoder, tmp_path / "zipped_trap.pth")
    assert "no such file" in refused(encoder, tmp_path / "none.pth")
    assert "no such file" in refused(encoder, tmp_path / "none.safetensors")
    assert "not a readable" in refused(encoder, tmp_path)
    for found, kind in (([1, 2], "list"), ({"epoch": 3}, "dict"), ({0: torch.ones(1)}, "dict")):
        sentence = refused(encoder, saved(found, tmp_path / "other.pth"))
        assert f"holds a {kind} that is no state_dict" in sentence


@torch.no_grad()
def test_features_halve_five_times():
    encoder = ResNetEncoder(18, in_channels=1, base_width=4)
    shapes = [tuple(f.shape) for f in encoder(torch.rand(2, 1, 64, 96))]
    assert shapes == [(2, 4, 32, 48), (2, 4, 16, 24), (2, 8, 8, 12), (2, 16, 4, 6), (2, 32, 2, 3)]
    assert encoder.channels == (4, 4, 8, 16, 32)


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match="one of 18, 34, 50, got 101"):
        ResNetEncoder(101)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_normalised_as_the_weights_of_imagenet_expect_them(channels):
    """Grey 0.485 is red's mean: 0 in the first of three channels."""
    grey = torch.full((1, channels, 2, 2), 0.485)
    red_green_blue = [(0.485 - mean) / sd for mean, sd in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    expected = red_green_blue if channels == 3 else [(0.485 - 1.347 / 3) / (0.678 / 3)]
    assert normalised_for_imagenet(grey)[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("normalisation", ["none", "imagenet"])
def test_every_input_channel_sees_a_slice(normalisation):
    torch.manual_seed(0)
    encoder = ResNetEncoder(18, base_width=4, normalisation=normalisation).eval()
    image = torch.rand(2, 1, 64, 32)
    repeated = image.expand(-1, 3, -1, -1)
    plain = ResNetEncoder(18, base_width=4).eval()
    plain.load_state_dict(encoder.state_dict())
    given = normalised_for_imagenet(repeated) if normalisation == "imagenet" else repeated
    for one, other in zip(encoder(image), plain(given), strict=True):
        assert torch.equal(one, other)


def test_sides_are_filled_with_zeros_to_multiples_of_32_at_their_far_ends():
    torch.manual_seed(0)
    encoder = ResNetEncoder(18, base_width=4, in_channels=1).eval()
    image = torch.rand(1, 1, 48, 80)
    filled = torch.zeros(1, 1, 64, 96)
    filled[..., :48, :80] = image
    for one, other in zip(encoder(image), encoder(filled), strict=True):
        assert torch.equal(one, other)


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="'mean'"):
        ResNetEncoder(18, normalisation="mean")
