import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades import Located
from pancascade.methods.cascades.class_probabilities import compose_classes
from pancascade.methods.cascades.coarse_to_fine import CoarseToFine, CoarseToFineSettings
from pancascade.methods.cascades.tensor_crops import crop_and_resize, resize_and_paste
from pancascade.methods.losses import bce_loss, dice_loss
from pancascade.methods.losses.focal import focal_loss
from pancascade.methods.networks import NetworkSettings

UNET = NetworkSettings(name="unet", preset="tiny")
BOX = Box((11, 16), (34, 49))  # of rows 15–29, columns 20–44, four pixels wider


def tiny(**options):
    torch.manual_seed(0)
    defaults = {"first": UNET, "second": UNET, "crop_size": (32, 32), "margin": 4}
    return CoarseToFine(CoarseToFineSettings(**{**defaults, **options}))


TUMOUR_SECOND = {"second_labels": ("tumour",)}


@pytest.fixture
def batch():
    labels = torch.zeros(2, 48, 64, dtype=torch.uint8)
    labels[:, 15:30, 20:45] = Label.PANCREAS
    labels[:, 18:25, 30:38] = Label.TUMOUR
    return torch.rand(2, 1, 48, 64, generator=torch.Generator().manual_seed(3)), labels


def losses_of(cascade, batch, phase):
    (losses,) = cascade.losses(*batch, phase=phase, generator=torch.Generator().manual_seed(0))
    return losses


def gradient_of(module):
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


def true_crop(mask, boxes=(BOX, BOX)):
    return crop_and_resize(mask[:, None].float(), boxes, (32, 32), mode="nearest-exact")


def say_everywhere(network, logit):
    nn.init.zeros_(network.head.weight)
    nn.init.constant_(network.head.bias, logit)


class Passing(nn.Module):
    """A network whose logits are its images, scaled about a half."""

    def forward(self, images):
        return 20 * (images - 0.5)


def seeing(cascade):
    """Both stages find what is brighter than a half."""
    cascade.first, cascade.second = Passing(), Passing()
    return cascade.eval()


def boxes_of(cascade, batch, phase, monkeypatch):
    seen = []
    original = cascade.second_logits

    def spy(images, boxes):
        seen.extend(boxes)
        return original(images, boxes)

    monkeypatch.setattr(cascade, "second_logits", spy)
    list(cascade.losses(*batch, phase=phase, generator=torch.Generator().manual_seed(0)))
    return seen


def test_the_border_is_15_pixels_and_the_loss_is_that_of_l_snet_unless_said_otherwise():
    settings = CoarseToFineSettings()
    assert (settings.margin, settings.margins, settings.loss) == (15, "fixed", "focal_dice")


@pytest.mark.parametrize("second_labels", [("pancreas", "tumour"), ("tumour",)])
@pytest.mark.parametrize(("name", "other"), [("first", "second"), ("second", "first")])
def test_in_one_iteration_each_loss_reaches_its_own_network_only(batch, name, other, second_labels):
    cascade = tiny(second_labels=second_labels, loss="dice_bce")
    losses_of(cascade, batch, "both")[name].backward()
    assert gradient_of(getattr(cascade, name)) > 0
    assert gradient_of(getattr(cascade, other)) == 0


def test_training_both_together_is_training_each_alone(batch):
    together = losses_of(tiny(), batch, "both")
    first, second = losses_of(tiny(), batch, "first"), losses_of(tiny(), batch, "second")
    assert (list(first), list(second), list(together)) == (["first"], ["second"], ["first", "second"])
    assert torch.equal(together["first"], first["first"])
    assert torch.equal(together["second"], second["second"])


@pytest.mark.parametrize(("phase", "idle"), [("first", "second"), ("second", "first")])
def test_a_phase_of_one_stage_does_not_even_run_the_other(batch, phase, idle):
    cascade = tiny()
    runs = []
    getattr(cascade, idle).register_forward_hook(lambda *hooked: runs.append(hooked))
    losses_of(cascade, batch, phase)
    assert runs == []


@pytest.mark.parametrize("phase", ["second", "both"])
@pytest.mark.parametrize("logit", [5.0, -5.0])
def test_stage_two_is_trained_on_the_true_box_whatever_stage_one_says(batch, phase, logit, monkeypatch):
    cascade = tiny()
    say_everywhere(cascade.first, logit)
    assert boxes_of(cascade, batch, phase, monkeypatch) == [BOX, BOX]


def test_the_border_varies_only_where_it_is_asked_to(batch, monkeypatch):
    cascade = tiny(margins="random")
    seen = {box for _ in range(2) for box in boxes_of(cascade, batch, "second", monkeypatch)}
    tight, widest = Box((15, 20), (30, 45)), Box((7, 12), (38, 53))
    assert len(seen - {BOX}) > 0
    assert all(widest.contains(box) and box.contains(tight) for box in seen)


@pytest.mark.parametrize("loss", ["dice", "bce", "dice_bce", "focal_dice"])
def test_the_losses_are_those_named_on_the_canvas_and_on_the_crop(batch, loss):
    images, labels = batch
    cascade = tiny(loss=loss, **TUMOUR_SECOND)
    first = cascade.first(images)
    second = cascade.second(crop_and_resize(images, [BOX, BOX], (32, 32)))

    def expected(logits, target):
        probabilities, target = torch.sigmoid(logits), target.float()
        return {
            "dice": dice_loss(probabilities, target),
            "bce": bce_loss(logits, target),
            "dice_bce": bce_loss(logits, target) + dice_loss(probabilities, target),
            "focal_dice": focal_loss(logits, target) + 0.2 * dice_loss(probabilities, target),
        }[loss]

    losses = losses_of(cascade, batch, "both")
    assert torch.allclose(losses["first"], expected(first, (labels > 0)[:, None]))
    assert torch.allclose(losses["second"], expected(second, true_crop(labels == Label.TUMOUR)))


def test_a_slice_without_target_teaches_stage_one_only(batch):
    images, labels = batch
    labels[0] = 0
    cascade = tiny(loss="bce")
    alone = crop_and_resize(images[1:], [BOX], (32, 32))
    losses = losses_of(cascade, batch, "both")
    assert torch.allclose(losses["second"], bce_loss(cascade.second(alone), true_crop(labels[1:] > 0, [BOX])))
    assert torch.allclose(losses["first"], bce_loss(cascade.first(images), (labels > 0)[:, None]))


def test_a_batch_without_any_target_has_nothing_for_stage_two(batch):
    cascade, empty = tiny(), (batch[0], torch.zeros_like(batch[1]))
    assert list(losses_of(cascade, empty, "both")) == ["first"]
    assert list(cascade.losses(*empty, phase="second", generator=torch.Generator())) == []


@torch.no_grad()
def test_the_box_is_that_of_what_is_likelier_than_not_with_its_border():
    cascade = seeing(tiny(margin=15))
    images = torch.full((1, 1, 64, 64), 0.4)
    images[0, 0, 30:35, 5:9] = 0.6
    images[0, 0, 40, 60] = 0.5  # probability ½ exactly counts
    assert cascade.locate(images).boxes == ((Box((15, 0), (56, 64)),),)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, TUMOUR_SECOND])
def test_where_stage_one_finds_nothing_nothing_is_segmented(batch, options):
    cascade = tiny(**options).eval()
    say_everywhere(cascade.first, -20.0)
    say_everywhere(cascade.second, 20.0)
    located = cascade.locate(batch[0])
    assert located.boxes == ((), ())
    maps = cascade.segment(batch[0], located)
    assert maps[:, 1:].max() < 1e-6
    assert maps[:, 0].min() > 1 - 1e-6


@torch.no_grad()
def test_what_stage_two_finds_lands_where_it_is():
    cascade = seeing(tiny(crop_size=(64, 64)))
    images = torch.zeros(2, 1, 48, 64)
    images[1, 0, 12:20, 30:41] = 1  # the first slice stays empty
    maps = cascade(images)
    assert cascade.locate(images).boxes == ((), (Box((8, 26), (24, 45)),))
    assert torch.equal(maps[:, 1] >= 0.5, images[:, 0] == 1)


@torch.no_grad()
def test_stage_two_sees_the_crop_and_answers_inside_it_only(batch):
    cascade = tiny().eval()
    say_everywhere(cascade.second, 3.0)
    located = Located(torch.zeros(2, 1, 48, 64), ((BOX,), ()))
    sizes = []
    cascade.second.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape)))
    maps = cascade.segment(batch[0], located)
    inside = torch.zeros(2, 48, 64)
    inside[0, 11:34, 16:49] = 1
    assert sizes == [(1, 1, 32, 32)]
    assert cascade.labels == (Label.PANCREAS,)
    found = inside * torch.sigmoid(torch.tensor(3.0))
    assert torch.allclose(maps, torch.stack((1 - found, found), dim=1), atol=1e-6)


@torch.no_grad()
def test_tumour_in_the_organ_is_composed_of_both_stages(batch):
    cascade = tiny(**TUMOUR_SECOND).eval()
    say_everywhere(cascade.first, 0.5)
    images = batch[0]
    whole = [Box((0, 0), (48, 64))] * 2
    second = torch.sigmoid(resize_and_paste(cascade.second(crop_and_resize(images, whole, (32, 32))), whole, (48, 64)))
    expected = compose_classes(torch.sigmoid(torch.full_like(images, 0.5)), second)
    maps = cascade(images)
    assert cascade.labels == (Label.PANCREAS, Label.TUMOUR)
    assert torch.allclose(maps, expected, atol=1e-6)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, 48, 64), atol=1e-6)


@torch.no_grad()
def test_the_boxes_follow_a_second_thought(batch):
    cascade = tiny(**TUMOUR_SECOND).eval()
    say_everywhere(cascade.first, 5.0)
    located = cascade.locate(batch[0])
    assert located.boxes == ((Box((0, 0), (48, 64)),),) * 2
    probabilities = torch.zeros(2, 1, 48, 64)
    probabilities[0, 0, 15:30, 20:45] = 0.5
    narrowed = cascade.update_rois(located, probabilities)
    assert narrowed.boxes == ((BOX,), ())
    maps = cascade.segment(batch[0], narrowed)
    assert maps[1, 1:].max() == 0
    # Where the tumour is not looked for, the new probabilities decide alone.
    assert torch.equal(narrowed.probabilities, probabilities)
    assert float(maps[0, 1, 15:30, 20:45].max()) <= 0.5


@torch.no_grad()
def test_stage_one_may_see_a_smaller_canvas(batch):
    cascade = tiny(first_scale=0.5).eval()
    sizes = []
    cascade.first.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    assert cascade.locate(torch.rand(1, 1, 64, 96)).probabilities.shape == (1, 1, 64, 96)
    assert sizes == [(32, 48)]


def test_of_several_maps_of_stage_two_only_the_last_counts(batch):
    several = tiny(second=NetworkSettings(name="focusing_net", preset="tiny"), loss="bce")
    last = several.second(crop_and_resize(batch[0], [BOX, BOX], (32, 32)))[-1]
    assert torch.allclose(
        losses_of(several, batch, "second")["second"], bce_loss(last, true_crop(batch[1] > 0)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("first", "second"), [(("tumour",), ("tumour",)), (("pancreas",), ("pancreas", "tumour")), (("pancreas",), ())]
)
def test_labels_that_are_not_nested_are_refused(first, second):
    with pytest.raises(ValidationError, match=r"first_labels must hold pancreas|at least 1 item"):
        CoarseToFineSettings(first_labels=first, second_labels=second)
