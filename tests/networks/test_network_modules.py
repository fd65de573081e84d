import pytest
import torch
from torch import nn
from torch.nn import functional

from pancascade.errors import RecipeError
from pancascade.networks import FocusingNet, MultiScaleUNet, NetworkSettings, SaliencyTransformation, UNet, build
from pancascade.networks.focusing import ContextExploration, Focusing
from pancascade.networks.nonlocal_localization import channel_attention, spatial_attention

TINY = {"widths": (4, 4, 8, 8), "centre": 8}
TINY_NET = {**TINY, "reduced": (8, 8, 8, 4, 4)}


def test_features_of_the_paper_s_network_have_the_paper_s_sizes():
    with torch.device("meta"):
        found = MultiScaleUNet().features(torch.empty(1, 1, 320, 320))
    assert found.centre.shape == (1, 1536, 20, 20)
    assert [tuple(f.shape[1:]) for f in found.decoded] == [
        (512, 40, 40),
        (256, 80, 80),
        (128, 160, 160),
        (64, 320, 320),
    ]
    assert [f.shape[1] for f in found.branch1] == [64, 128, 256, 512]
    assert [f.shape[1] for f in found.branch2] == [128, 256, 512, 1024]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eq3": "literal"},
        {"skips": "authors"},
        {"up_sampling": "authors"},
        {"skips": "authors", "up_sampling": "authors"},
        {"in_channels": 3},
    ],
)
def test_every_reading_of_the_multi_scale_u_net_runs_and_learns(options):
    network = MultiScaleUNet(**TINY, **options)
    logits = network(torch.rand(2, options.get("in_channels", 1), 32, 48))
    assert logits.shape == (2, 1, 32, 48)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_readings_of_equation_3_exchange_the_kernels_of_the_centre():
    code, literal = MultiScaleUNet(**TINY), MultiScaleUNet(**TINY, eq3="literal")
    kernels = [(n.centre1[0][0].kernel_size, n.centre2.fine[0][0].kernel_size) for n in (code, literal)]
    assert kernels == [((3, 3), (1, 1)), ((1, 1), (3, 3))]


def test_a_network_without_head_says_so():
    with pytest.raises(RuntimeError, match="no head"):
        MultiScaleUNet(**TINY, head=False)(torch.rand(1, 1, 16, 16))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"source": "encoder"},
        {"source": "authors"},
        {"reduce_kernel": 3},
        {"discover": "false_positives"},
        {"discover": "false_negatives"},
        {"eq8": "literal"},
        {"localization": False},
        {"focusing": False},
        {"localization": False, "focusing": False},
    ],
)
def test_every_build_of_stage_two_gives_five_maps_of_the_image_s_size_and_learns(options):
    network = FocusingNet(**TINY_NET, **options)
    maps = network(torch.rand(2, 1, 32, 48))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 32, 48)] * 5
    sum(m.sum() for m in maps).backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    assert not unused


def test_channel_attention_of_the_specification():
    features = torch.eye(2).view(1, 2, 1, 2)
    expected = torch.tensor([[1.731059, 0.268941], [0.268941, 1.731059]])
    assert torch.allclose(channel_attention(features, torch.ones(1)).view(2, 2), expected, atol=1e-6)


@pytest.mark.parametrize(("reading", "expected"), [("code", (17.310586, 15.0)), ("literal", (12.689414, 17.310586))])
def test_spatial_attention_of_the_specification(reading, expected):
    q, k, v = (torch.tensor(x).view(1, 1, 2) for x in ([1.0, 0.0], [1.0, 2.0], [10.0, 20.0]))
    assert spatial_attention(q, k, v, eq8=reading).flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_the_saliency_module_starts_as_the_identity_without_gradient_to_stage_one():
    saliency = SaliencyTransformation()
    belief = torch.rand(1, 1, 12, 12, requires_grad=True)
    weights = saliency(belief)
    assert torch.equal(weights, torch.ones_like(weights))
    (weights * torch.rand(1, 1, 12, 12)).sum().backward()
    assert belief.grad.abs().max() == 0
    assert saliency.second.weight.grad.abs().sum() > 0
    torch.optim.SGD(saliency.parameters(), lr=0.1).step()
    belief.grad = None
    (saliency(belief) * torch.rand(1, 1, 12, 12)).sum().backward()
    assert belief.grad.abs().sum() > 0


def test_the_focusing_module_is_equation_9():
    torch.manual_seed(0)
    module = Focusing(8, 16).eval()
    with torch.no_grad():
        module.false_positive_scale.fill_(0.7)
        module.false_negative_scale.fill_(1.3)
    features, deeper, logits = torch.rand(1, 8, 16, 24), torch.rand(1, 16, 8, 12), torch.randn(1, 1, 8, 12)

    def up(x):
        return functional.interpolate(x, size=(16, 24), mode="bilinear", align_corners=True)

    with torch.no_grad():
        mask = torch.sigmoid(up(logits))
        f_up = up(module.up(deeper))
        f_r = torch.relu(module.suppress[0](f_up - 0.7 * module.false_positives(features * mask)))
        f_r2 = torch.relu(module.supplement[0](f_r + 1.3 * module.false_negatives(features * (1 - mask))))
        refined, found = module(features, deeper, logits)
    assert torch.allclose(refined, f_r2, atol=1e-5)
    assert torch.allclose(found, module.map(f_r2), atol=1e-5)


def test_context_exploration_adds_each_branch_to_the_next_one_s_input():
    torch.manual_seed(0)
    block = ContextExploration(8).eval()
    features = torch.rand(1, 8, 20, 20)
    with torch.no_grad():
        branches, previous = [], 0
        for i in range(4):
            previous = block.context[i](block.local[i](block.reduce[i](features) + previous))
            branches.append(previous)
        assert torch.allclose(block(features), block.fuse(torch.cat(branches, dim=1)), atol=1e-5)
    assert [branch[0].kernel_size[0] for branch in block.local] == [1, 3, 5, 7]
    assert [branch[0].dilation[0] for branch in block.context] == [1, 2, 4, 8]


def test_the_u_net_keeps_the_size_of_images_that_are_not_square():
    assert UNet((4, 4, 8, 8, 8), in_channels=2, out_channels=3)(torch.rand(1, 2, 32, 64)).shape == (1, 3, 32, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "multiscale_net"}, r"Did you mean 'multiscale_unet'"),
        ({"name": "unet", "preset": "papier"}, r"Did you mean 'paper'"),
        ({"name": "unet", "width": 3}, "does not take these options"),
    ],
)
def test_an_unknown_network_preset_or_option_is_refused(arguments, message):
    with pytest.raises(RecipeError, match=message):
        build(**arguments)


def test_resolved_settings_build_the_same_network_without_the_preset():
    settings = NetworkSettings(name="focusing_net", preset="tiny", options={"source": "encoder"})
    resolved = settings.resolved()
    assert resolved.preset == "paper"
    shapes = [
        {name: tuple(value.shape) for name, value in network.build().state_dict().items()}
        for network in (settings, resolved)
    ]
    assert shapes[0] == shapes[1]
    assert isinstance(resolved.build(), nn.Module)
