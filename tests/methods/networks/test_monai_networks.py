"""MONAI's networks by name: what goes in, what comes out, what is refused."""

import sys
from importlib.util import find_spec
from typing import get_args

import pytest
import torch

from pancascade.errors import RecipeError
from pancascade.methods.networks import NetworkSettings, build
from pancascade.methods.networks.monai_networks import DEFAULTS, MonaiNetwork, Net

NETS = get_args(Net)
monai = pytest.mark.skipif(find_spec("monai") is None, reason="MONAI is not installed (extra baselines)")


def count(**options):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MonaiNetwork(**options).parameters())


@monai
@pytest.mark.parametrize("net", [net for net in NETS if net != "FlexibleUNet"])
@pytest.mark.parametrize("size", [(19, 34), (9, 20, 7)], ids=["2-D", "3-D"])
def test_images_of_any_size_give_a_map_for_each_target_and_all_weights_that_answer_learn(net, size):
    torch.manual_seed(0)
    network = build("monai", net=net, preset="tiny", spatial_dims=len(size), out_channels=2)
    maps = network(torch.rand(2, 1, *size))
    assert maps.shape == (2, 2, *size)
    maps.square().mean().backward()
    still = {name for name, one in network.named_parameters() if one.grad is None}
    assert all(name.startswith("network.final_conv_0_") for name in still)  # side outputs of U-Net++


@monai
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("net", "options", "expected"),
    [
        ("AttentionUnet", {}, 31_739_185),
        ("UNet", {}, 25_969_628),
        ("FlexibleUNet", {}, 32_103_409),
        ("SegResNet", {"spatial_dims": 3}, 18_795_969),
    ],
)
def test_defaults_have_as_many_parameters_as_the_specification_says(net, options, expected):
    assert count(net=net, **options) == expected


@monai
def test_zeros_that_make_an_image_large_enough_are_cut_off_again():
    torch.manual_seed(0)
    network = build("monai", net="AttentionUnet", preset="tiny").eval()
    images = torch.rand(1, 1, 12, 20)
    with torch.inference_mode():
        assert torch.equal(network(images), network.network(images))
        padded = torch.nn.functional.pad(images[..., :10, :17], (0, 3, 0, 2))
        assert torch.equal(network(images[..., :10, :17]), network.network(padded)[..., :10, :17])


@monai
def test_with_deep_supervision_u_net_plus_plus_answers_by_the_mean_of_its_maps():
    torch.manual_seed(0)
    network = build("monai", net="BasicUNetPlusPlus", preset="tiny", deep_supervision=True).eval()
    images = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        maps = network.network(images)
        assert len(maps) == 4
        torch.testing.assert_close(network(images), sum(maps) / 4)


@monai
def test_an_architecture_that_was_searched_for_is_built_from_its_codes():
    codes = {"arch_code_a": [[1, 0, 0, 1]] * 2, "arch_code_c": [[1, 0, 0, 0]] * 2, "node_a": [[1, 1]] * 3}
    every = build("monai", net="DiNTS", preset="tiny")
    searched = build("monai", net="DiNTS", preset="tiny", **codes)
    assert sum(p.numel() for p in searched.parameters()) < sum(p.numel() for p in every.parameters())
    assert searched.eval()(torch.rand(1, 1, 16, 16)).shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs net, one of AttentionUnet, BasicUNetPlusPlus"),
        ({"net": "SwinUNETR"}, "net is one of 'AttentionUnet'"),
        ({"net": "UNet", "spatial_dims": 4}, "spatial_dims is one of 2, 3"),
        ({"net": "FlexibleUNet", "pretrained": True}, "FlexibleUNet takes no pretrained"),
        ({"net": "DynUNet", "deep_supervision": True}, "DynUNet takes no deep_supervision"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(options, words):
    with pytest.raises(RecipeError, match=words) as refusal:
        build("monai", **options)
    assert len(str(refusal.value)) <= 200


@monai
@pytest.mark.parametrize(
    "options", [{"net": "UNet", "depth": 3}, {"net": "DiNTS", "arch_code_a": [[1]]}, {"net": "DynUNet", "filters": [4]}]
)
def test_options_that_monai_does_not_take_are_refused_in_one_sentence(options):
    with pytest.raises(RecipeError, match="does not take these options") as refusal:
        build("monai", **options)
    assert len(str(refusal.value)) <= 200


def test_without_monai_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(RecipeError, match=r"pip install 'pancascade\[baselines\]'"):
        build("monai", net="UNet")


def test_the_net_may_stand_beside_the_name():
    short = NetworkSettings.model_validate({"name": "monai", "net": "UNet", "options": {"num_res_units": 1}})
    assert short == NetworkSettings(name="monai", options={"net": "UNet", "num_res_units": 1})
    assert short == NetworkSettings.model_validate(short.model_dump())
    assert short.resolved().options == {**DEFAULTS[2]["UNet"], "net": "UNet", "num_res_units": 1}
    assert short.takes(1)
    assert not short.takes(3)


@pytest.mark.parametrize(
    "given",
    [{"name": "monai", "net": "UNet", "options": {"net": "DynUNet"}}, {"name": "unet", "net": "UNet"}],
)
def test_two_nets_or_a_net_of_another_network_are_refused(given):
    with pytest.raises(ValueError, match="net"):
        NetworkSettings.model_validate(given)
