import pytest
import torch
from torch import nn
from torch.nn import functional

from pancascade.errors import RecipeError
from pancascade.methods.networks import (
    FocusingNet,
    MultiScaleUNet,
    NetworkSettings,
    SaliencyTransformation,
    UNet,
    build,
)
from pancascade.methods.networks.build import PRESETS
from pancascade.methods.networks.focusing import ContextExploration, Focusing
from pancascade.methods.networks.nonlocal_localization import NonLocalLocalization, channel_attention, spatial_attention

TINY = {"widths": (4, 4, 8, 8), "centre": 8}
TINY_NET = {**TINY, "reduced": (16, 16, 16, 16, 16)}  # fewer channels die in the ReLUs


def parameters_not_reached(network, outputs):
    """Names of parameters that a random weighting of the outputs does not reach, though it could.

    A convolution's bias before batch normalisation and the bias of the attention's keys cancel out.
    """
    sum((o * torch.rand_like(o)).sum() for o in outputs).backward()
    cancelled = {"localization.key.bias"}
    for name, block in network.named_modules():
        if isinstance(block, nn.Sequential) and len(block) == 3 and isinstance(block[1], nn.BatchNorm2d):
            cancelled.add(f"{name}.0.bias")
    unreached = {n for n, p in network.named_parameters() if p.grad is None}
    flat = {n for n, p in network.named_parameters() if p.grad is not None and not p.grad.any()}
    return unreached | (flat - cancelled)


@pytest.mark.parametrize(("height", "width"), [(320, 320), (256, 384)])
def test_features_of_the_paper_s_network_have_the_paper_s_sizes(height, width):
    with torch.device("meta"):
        network = MultiScaleUNet()
        found, logits = (call(torch.empty(1, 1, height, width)) for call in (network.features, network))
    shapes = [
        [(f.shape[1], height / f.shape[2], width / f.shape[3]) for f in level]
        for level in ((found.centre, *found.decoded), found.branch1, found.branch2, (found.centre1,))
    ]
    assert shapes == [
        [(1536, 16, 16), (512, 8, 8), (256, 4, 4), (128, 2, 2), (64, 1, 1)],
        [(64, 1, 1), (128, 2, 2), (256, 4, 4), (512, 8, 8)],
        [(128, 1, 1), (256, 2, 2), (512, 4, 4), (1024, 8, 8)],
        [(512, 16, 16)],
    ]
    assert logits.shape == (1, 1, height, width)


@pytest.mark.parametrize("name", ["unet", "multiscale_unet", "focusing_net"])
def test_tiny_presets_keep_the_size_of_images_that_are_not_square(name):
    with torch.no_grad():
        outputs = build(name, preset="tiny")(torch.rand(1, 1, 32, 80))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert [tuple(o.shape) for o in outputs] == [(1, 1, 32, 80)] * (5 if name == "focusing_net" else 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eq3": "literal"},
        {"skips": "authors"},
        {"up_sampling": "authors"},
        {"skips": "authors", "up_sampling": "authors"},
        {"in_channels": 3},
        {"out_channels": 2},
    ],
)
def test_every_reading_of_the_multi_scale_u_net_runs_and_learns(options):
    torch.manual_seed(0)
    network = MultiScaleUNet(**TINY, **options)
    logits = network(torch.rand(2, options.get("in_channels", 1), 32, 48))
    assert logits.shape == (2, options.get("out_channels", 1), 32, 48)
    assert parameters_not_reached(network, [logits]) == set()


def test_the_readings_of_equation_3_exchange_the_kernels_of_the_centre():
    code, literal = MultiScaleUNet(**TINY), MultiScaleUNet(**TINY, eq3="literal")
    kernels = [(n.centre1[0][0].kernel_size, n.centre2.fine[0][0].kernel_size) for n in (code, literal)]
    assert kernels == [((3, 3), (1, 1)), ((1, 1), (3, 3))]


def test_the_authors_decoder_sees_branch_2_only_through_the_centre():
    torch.manual_seed(0)
    both, authors = (MultiScaleUNet(**TINY, skips=skips).eval() for skips in ("both", "authors"))
    for network, sees in ((both, True), (authors, False)):
        with torch.no_grad():
            found = network.features(torch.rand(1, 1, 32, 32))
            branch2 = [torch.randn_like(f) for f in found.branch2]
            decoded = network._decode(found.centre, list(found.branch1), branch2)
        assert [not torch.equal(a, b) for a, b in zip(decoded, found.decoded, strict=True)] == [sees] * 4


def test_features_without_a_decoder_stop_at_the_centre():
    found = MultiScaleUNet(**TINY, decoder=False).features(torch.rand(2, 1, 32, 32))
    assert found.decoded == ()
    assert found.centre.shape == (2, 24, 2, 2)
    assert torch.equal(found.centre[:, :8], found.centre1)


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
    torch.manual_seed(0)
    network = FocusingNet(**TINY_NET, **options)
    maps = network(torch.rand(2, 1, 32, 48))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 32, 48)] * 5
    assert parameters_not_reached(network, maps) == set()


def test_channel_attention_of_the_specification():
    features = torch.eye(2).view(1, 2, 1, 2)
    expected = torch.tensor([[1.731059, 0.268941], [0.268941, 1.731059]])
    assert torch.allclose(channel_attention(features, torch.ones(1)).view(2, 2), expected, atol=1e-6)


@pytest.mark.parametrize(("reading", "expected"), [("code", (17.310586, 15.0)), ("literal", (12.689414, 17.310586))])
def test_spatial_attention_of_the_specification(reading, expected):
    q, k, v = (torch.tensor(x).view(1, 1, 2) for x in ([1.0, 0.0], [1.0, 2.0], [10.0, 20.0]))
    assert spatial_attention(q, k, v, eq8=reading).flatten().tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("eq8", ["code", "literal"])
def test_the_localization_module_is_equations_5_to_8_position_by_position(eq8):
    torch.manual_seed(0)
    module = NonLocalLocalization(8, eq8=eq8).eval()
    with torch.no_grad():
        module.channel_gamma.fill_(0.6)
        module.spatial_gamma.fill_(1.7)
        features = torch.rand(1, 8, 3, 5)
        x = features[0].flatten(1)
        first = 0.6 * torch.softmax(x @ x.T, dim=1) @ x + x
        q, k, v = (c.weight[:, :, 0, 0] @ first + c.bias[:, None] for c in (module.query, module.key, module.value))
        weights = torch.tensor([[float(q[:, i] @ k[:, j]) for j in range(15)] for i in range(15)]).softmax(dim=1)
        second = first.clone()
        for i in range(15):
            for j in range(15):
                second[:, i] += 1.7 * v[:, j] * (weights[i, j] if eq8 == "code" else weights[j, i])
        refined, logits = module(features)
    assert torch.allclose(refined[0].flatten(1), second, atol=1e-5)
    assert torch.allclose(logits, module.map(refined))


def test_the_saliency_module_starts_as_the_identity_without_gradient_to_stage_one():
    saliency = SaliencyTransformation()
    probabilities = torch.rand(1, 1, 12, 12, requires_grad=True)
    weights = saliency(probabilities)
    assert torch.equal(weights, torch.ones_like(weights))
    (weights * torch.rand(1, 1, 12, 12)).sum().backward()
    assert probabilities.grad.abs().max() == 0
    assert saliency.second.weight.grad.abs().sum() > 0
    torch.optim.SGD(saliency.parameters(), lr=0.1).step()
    probabilities.grad = None
    (saliency(probabilities) * torch.rand(1, 1, 12, 12)).sum().backward()
    assert probabilities.grad.abs().sum() > 0


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


@pytest.mark.parametrize("discover", ["false_positives", "false_negatives"])
def test_a_one_sided_focusing_module_is_its_half_of_equation_9(discover):
    torch.manual_seed(0)
    module = Focusing(8, 16, discover=discover).eval()
    features, deeper, logits = torch.rand(1, 8, 16, 16), torch.rand(1, 16, 8, 8), torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        f_up, mask = (
            functional.interpolate(x, size=(16, 16), mode="bilinear", align_corners=True)
            for x in (module.up(deeper), logits)
        )
        mask = mask.sigmoid()
        if discover == "false_positives":
            expected = module.suppress[0](f_up - module.false_positives(features * mask)).relu()
        else:
            expected = module.supplement[0](f_up + module.false_negatives(features * (1 - mask))).relu()
        refined, found = module(features, deeper, logits)
    assert torch.allclose(refined, expected, atol=1e-5)
    assert torch.allclose(found, module.map(expected), atol=1e-5)


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
        ({"name": "unet", "preset": "zzz"}, "Known: paper, small, tiny"),
        ({"name": "zzz"}, r"Unknown network 'zzz'. Known: dense_unet, .*, monai and 5 others\.$"),
        ({"name": "une|"}, r"^Unknown network 'une\|'\. Did you mean 'unet'\?$"),
        ({"name": "unet", "width": 3}, "does not take these options.*width"),
    ],
)
def test_an_unknown_network_preset_or_option_is_refused(arguments, message):
    with pytest.raises(RecipeError, match=message):
        build(**arguments)


@pytest.mark.parametrize("options", [{}, {"source": "encoder"}, {"widths": [4, 8, 4, 8]}])
def test_resolved_settings_build_the_same_network_without_the_preset(options):
    settings = NetworkSettings(name="focusing_net", preset="tiny", options=options)
    one, other = settings.build().eval(), settings.resolved().build().eval()
    other.load_state_dict(one.state_dict())
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(one(image), other(image), strict=True))


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name in PRESETS for preset in PRESETS[name]])
def test_every_preset_resolves_to_its_own_parameters(name, preset):
    settings = NetworkSettings(name=name, preset=preset, options={"net": "UNet"} if name == "monai" else {})
    with torch.device("meta"):
        shapes = [{k: v.shape for k, v in s.build().state_dict().items()} for s in (settings, settings.resolved())]
    assert shapes[0] == shapes[1]


def test_resolved_settings_survive_a_later_change_of_their_preset(monkeypatch):
    resolved = NetworkSettings(name="unet", preset="tiny").resolved()
    monkeypatch.setitem(PRESETS["unet"], "tiny", {"widths": (8, 8, 8, 8, 8)})
    assert resolved.build().head.in_channels == 4
    assert NetworkSettings(name="unet", preset="tiny").build().head.in_channels == 8


def test_options_of_the_cascade_override_those_of_the_settings():
    settings = NetworkSettings(name="unet", preset="tiny", options={"out_channels": 2})
    assert settings.build().head.out_channels == 2
    assert settings.build(out_channels=3).head.out_channels == 3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multiscale_unet", {"eq3": "litteral"}),
        ("multiscale_unet", {"skips": "one"}),
        ("focusing_net", {"source": "decoders"}),
        ("focusing_net", {"reduce_kernel": 2}),
    ],
)
def test_a_reading_that_does_not_exist_is_refused_with_those_that_do(name, options):
    with pytest.raises(RecipeError, match="is one of"):
        build(name, preset="tiny", **options)
