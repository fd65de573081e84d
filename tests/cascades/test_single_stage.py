import torch

from pancascade.cascades import SingleStageSettings, build_cascade
from pancascade.labels import Label
from pancascade.losses import bce_loss, dice_loss
from pancascade.networks import NetworkSettings


def single(**options):
    torch.manual_seed(0)
    return build_cascade(SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"), **options))


def test_one_label_gives_its_probability_and_the_background():
    cascade = single().eval()
    with torch.no_grad():
        images = torch.rand(1, 1, 32, 48)
        maps = cascade(images)
        expected = torch.sigmoid(cascade.network(images))
    assert maps.shape == (1, 2, 32, 48)
    assert torch.allclose(maps[:, 1:], expected, atol=1e-6)


def test_pancreas_and_tumour_are_nested_targets():
    cascade = single(labels=("pancreas", "tumour"))
    images, labels = torch.rand(2, 1, 32, 32), torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 8:20, 8:20] = Label.PANCREAS
    labels[:, 10:15, 10:15] = Label.TUMOUR
    losses = next(cascade.losses(images, labels, phase="train", generator=torch.Generator()))
    logits = cascade.network(images)
    organ = (labels > 0)[:, None].float()
    expected = dice_loss(torch.sigmoid(logits[:, :1]), organ) + bce_loss(logits[:, :1], organ)
    assert list(losses) == ["pancreas", "tumour"]
    assert torch.allclose(losses["pancreas"], expected)
    assert cascade(images).shape == (2, 3, 32, 32)


def test_tumour_alone_is_a_target_of_its_own():
    cascade = single(labels=("tumour",)).eval()
    assert cascade.labels == (Label.PANCREAS, Label.TUMOUR)
    with torch.no_grad():
        images = torch.rand(1, 1, 32, 32)
        maps = cascade(images)
        assert torch.allclose(maps[:, 2:], torch.sigmoid(cascade.network(images)), atol=1e-6)
    assert maps[:, 1].max() == 0


def test_the_network_may_see_a_smaller_image():
    cascade = single(scale=0.5)
    assert cascade.logits(torch.rand(1, 1, 64, 96)).shape == (1, 1, 64, 96)
