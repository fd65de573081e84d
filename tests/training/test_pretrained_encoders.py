"""Where the published weights of a recipe's encoders are looked for."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from pancascade.errors import CheckpointError, RecipeError
from pancascade.methods.cascades import CoarseToFineSettings, Qiu2024Settings, build_cascade
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.efficientnet import EfficientNetEncoder
from pancascade.methods.networks.resnet import ResNetEncoder
from pancascade.training import recipe_on
from pancascade.training.pretrained import find_weights, load_pretrained_encoders


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package that holds a file of weights."""
    folder = tmp_path / "site" / "some_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('the package was run')\n")
    (folder / "models" / "net.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_file_beside_the_recipe_goes_before_one_in_a_package(package, tmp_path):
    inside = Path("some_weights/models/net.pth")
    assert find_weights(inside, beside=tmp_path) == package / "models" / "net.pth"
    own = tmp_path / inside
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert find_weights(inside, beside=tmp_path) == own


@pytest.mark.parametrize(
    "path",
    [
        "net.pth",
        "../net.pth",
        "./net.pth",
        "no_such_package/net.pth",
        "weights.v1/net.pth",
        "json/net.pth",
        "math/n.pth",
    ],
)
def test_what_is_in_no_package_is_looked_for_beside_the_recipe(tmp_path, path):
    found = find_weights(Path(path), beside=tmp_path)
    assert found == tmp_path / path or path.startswith("json")
    assert not found.exists()


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    assert find_weights(Path("/somewhere/net.pth"), beside=tmp_path) == Path("/somewhere/net.pth")


def cascade():
    torch.manual_seed(0)
    tiny = NetworkSettings(name="efficient_unet", preset="tiny")
    return build_cascade(Qiu2024Settings(first=tiny, second=tiny, crop_size=(32, 32)))


def published(encoder: EfficientNetEncoder) -> dict[str, torch.Tensor]:
    """An encoder's weights under the published names."""
    names = {
        "expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.0": "_depthwise_conv", "depthwise.1": "_bn1",
        "project.0": "_project_conv", "project.1": "_bn2",
    }  # fmt: skip
    found = {}
    for name, tensor in encoder.state_dict().items():
        place, *rest, tail = name.split(".")
        part = names[".".join(rest[1:])] if place == "blocks" else {"0": "_conv_stem", "1": "_bn0"}[rest[0]]
        found[f"_blocks.{rest[0]}.{part}.{tail}" if place == "blocks" else f"{part}.{tail}"] = tensor
    return found | {"_fc.weight": torch.rand(2, 2)}


def test_each_encoder_gets_the_weights_of_its_kind(package, tmp_path):
    torch.save(published(EfficientNetEncoder(in_channels=3)), package / "models" / "net.pth")
    ours = cascade()
    before = ours.second.encoder.stem[0].weight.clone()
    load_pretrained_encoders(ours, {"first.encoder": Path("some_weights/models/net.pth")}, beside=tmp_path)
    assert ours.first.encoder.stem[0].weight.shape == (32, 1, 3, 3)
    wanted = torch.load(package / "models" / "net.pth")["_blocks.3._depthwise_conv.weight"]
    assert torch.equal(ours.first.encoder.blocks[3].depthwise[0].weight, wanted)
    assert torch.equal(ours.second.encoder.stem[0].weight, before)
    resnet = NetworkSettings(name="resnet_unet", preset="tiny")
    mixed = build_cascade(CoarseToFineSettings(first=resnet, second=resnet, crop_size=(32, 32)))
    weights = ResNetEncoder(18, base_width=4).state_dict()
    torch.save(weights, tmp_path / "resnet18.pth")
    load_pretrained_encoders(mixed, {"first.encoder": Path("resnet18.pth")}, beside=tmp_path)
    assert torch.equal(mixed.first.encoder.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])


def test_an_encoder_that_the_cascade_lacks_is_refused_with_those_it_has(tmp_path):
    with pytest.raises(RecipeError, match=r"first\.decoder is no encoder .*it has: first\.encoder, second\.encoder\."):
        load_pretrained_encoders(cascade(), {"first.decoder": Path("net.pth")}, beside=tmp_path)
    with pytest.raises(RecipeError, match="it has: none"):
        load_pretrained_encoders(nn.Linear(1, 1), {"encoder": Path("net.pth")}, beside=tmp_path)


def test_weights_that_are_nowhere_are_refused_by_their_path(tmp_path):
    for path in ("net.pth", "no_such_package/net.pth", "../net.pth"):
        with pytest.raises(CheckpointError, match=r"net\.pth: there is no such file"):
            load_pretrained_encoders(cascade(), {"first.encoder": Path(path)}, beside=tmp_path)


def test_on_another_data_set_weights_of_a_package_are_still_those_of_the_package(project, change_recipe, package):
    more = "pretrained: {a: some_weights/models/net.pth, b: net.pth}\nphases:\n  - {name: S, epochs: 1}\n"
    recipe = change_recipe(project, ("phases:\n  - {name: S, epochs: 1}\n", more))
    found = yaml.safe_load(recipe_on(recipe, project / "slices"))
    assert found["pretrained"] == {"a": "some_weights/models/net.pth", "b": str(project / "net.pth")}
