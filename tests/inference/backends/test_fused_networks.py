from pathlib import Path

import pytest
import torch
from torch import nn

from pancascade.inference.backends.fused_networks import folded, fused_for_inference
from pancascade.inference.export.comparison import image_on_network_grid
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.methods.networks.build import build

WEIGHTS = Path(__file__).parents[3] / "src" / "pancascade" / "weights"


def normalisations(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def taught(network: nn.Module) -> nn.Module:
    """Normalisations that do something."""
    generator = torch.Generator().manual_seed(2)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator))
            part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=generator))
    return network.eval()


@pytest.mark.parametrize(
    "name", ["unet", "multiscale_unet", "focusing_net", "dsms_unet", "resnet_unet", "efficient_unet"]
)
def test_folded_networks_answer_the_same_with_fewer_layers(name):
    torch.manual_seed(1)
    network = taught(build(name, preset="tiny"))
    before = normalisations(network)
    faster = folded(network)
    assert normalisations(faster) < before
    assert normalisations(network) == before
    images = torch.rand(2, 1, 48, 64)
    with torch.inference_mode():
        wanted, answer = network(images), faster(images)
    for one, other in zip(*(a if isinstance(a, tuple) else (a,) for a in (wanted, answer)), strict=True):
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-4)


def test_shipped_cascades_answer_almost_the_same():
    plain, description = load_checkpoint(WEIGHTS / "pancreas.safetensors")
    faster = fused_for_inference(plain)
    assert faster is not plain
    assert normalisations(faster) < normalisations(plain)
    image = image_on_network_grid(description.canvas.size)
    with torch.inference_mode():
        located = plain.from_mask(image, (image > 0.5).float())
        pairs = [
            (plain.locate(image).probabilities, faster.locate(image).probabilities),
            (plain.segment(image, located), faster.segment(image, located)),
        ]
    for one, other in pairs:
        assert (one - other).abs().max() < 5e-5


def test_what_has_nothing_to_fold_stays_itself():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).eval()
    assert folded(network) is network
    training = build("unet", preset="tiny")
    assert folded(training.train()) is training
