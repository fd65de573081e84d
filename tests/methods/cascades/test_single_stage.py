import torch

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades import SingleStageSettings, build_cascade
from pancascade.methods.losses import bce_loss, dice_loss
from pancascade.methods.networks import NetworkSettings


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


def test_both_probabilities_are_composed_so_that_tumour_excludes_pancreas():
    cascade = single(labels=("tumour", "pancreas")).eval()  # whatever their order
    with torch.no_grad():
        images = torch.rand(1, 1, 32, 32)
        organ, tumour = torch.sigmoid(cascade.network(images)).split(1, dim=1)
        expected = torch.cat(((1 - tumour) * (1 - organ), (1 - tumour) * organ, tumour), dim=1)
        assert torch.allclose(cascade(images), expected, atol=1e-6)
        labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
        assert list(next(cascade.losses(images, labels, phase="train", generator=torch.Generator()))) == [
            "pancreas",
            "tumour",
        ]


def test_dice_may_be_the_only_loss():
    cascade, images = single(loss="dice"), torch.rand(1, 1, 32, 32)
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[:, 8:20, 8:20] = Label.PANCREAS
    labels[:, 10:15, 10:15] = Label.TUMOUR
    losses = next(cascade.losses(images, labels, phase="train", generator=torch.Generator()))
    # Tumour is no target of the pancreas alone.
    organ = (labels == Label.PANCREAS)[:, None].float()
    assert torch.allclose(losses["pancreas"], dice_loss(torch.sigmoid(cascade.network(images)), organ))


def test_a_single_network_hands_nothing_over():
    cascade = single().eval()
    images = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        located = cascade.locate(images)
        assert located.boxes == ((Box((0, 0), (32, 48)),),) * 2
        assert cascade.update_rois(located, torch.zeros(2, 1, 32, 48)) is located
        assert torch.equal(cascade.segment(images, located), cascade(images))
    assert not cascade.locates


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
    sizes = []
    cascade.network.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    assert cascade.logits(torch.rand(1, 1, 64, 96)).shape == (1, 1, 64, 96)
    assert sizes == [(32, 48)]
