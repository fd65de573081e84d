import torch
from torch.nn import functional

from pancascade.methods.networks import FocusingNet, MultiScaleUNet
from pancascade.methods.networks.focusing import SkipFusion
from pancascade.methods.networks.nonlocal_localization import NonLocalLocalization

TINY = {"widths": (4, 4, 8, 8), "centre": 8}


def doubled(x):
    size = (2 * x.shape[-2], 2 * x.shape[-1])
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


@torch.no_grad()
def test_without_focusing_two_levels_are_fused_and_the_deeper_map_is_added():
    torch.manual_seed(0)
    module = SkipFusion(4, 8).eval()
    features, deeper, logits = torch.rand(1, 4, 16, 24), torch.rand(1, 8, 8, 12), torch.randn(1, 1, 8, 12)
    refined, found = module(features, deeper, logits)
    assert torch.allclose(refined, module.fuse(torch.cat((features, doubled(module.up(deeper))), dim=1)), atol=1e-6)
    assert torch.allclose(found - module.map(refined), doubled(logits), atol=1e-5)


@torch.no_grad()
def test_attention_is_computed_in_single_precision_under_autocast():
    torch.manual_seed(0)
    module, features = NonLocalLocalization(8), torch.rand(1, 8, 4, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = module(features)
    assert found.dtype == torch.float32
    assert torch.equal(found, module(features.float())[0])


@torch.no_grad()
def test_the_five_maps_are_resized_with_aligned_corners():
    torch.manual_seed(0)
    network = FocusingNet(**TINY, reduced=(8, 8, 8, 4, 4)).eval()
    native = []
    for module in (network.localization, *network.focusing):
        module.register_forward_hook(lambda *hooked: native.append(hooked[2][1]))
    maps = network(torch.rand(1, 1, 64, 96))
    assert [tuple(n.shape[-2:]) for n in native] == [(4, 6), (8, 12), (16, 24), (32, 48), (64, 96)]
    for found, one in zip(maps, native, strict=True):
        expected = functional.interpolate(one, size=(64, 96), mode="bilinear", align_corners=True)
        assert torch.allclose(found, expected, atol=1e-6)


@torch.no_grad()
def test_the_two_branches_meet_at_the_centre_and_not_before():
    torch.manual_seed(0)
    network, images = MultiScaleUNet(**TINY).eval(), torch.rand(1, 1, 32, 32)
    before = network.features(images)
    for p in network.branch1.parameters():
        p.mul_(1.5)
    after = network.features(images)
    assert all(torch.equal(a, b) for a, b in zip(before.branch2, after.branch2, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before.branch1, after.branch1, strict=True))
    assert torch.equal(before.centre[:, 8:], after.centre[:, 8:])
    assert torch.equal(after.centre[:, :8], after.centre1)
    assert not torch.equal(before.centre1, after.centre1)
