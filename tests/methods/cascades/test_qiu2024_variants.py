"""Readings of Qiu et al. 2024: margins, unresized crops, the loss on the canvas, stage 2 from stage 1's weights."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pancascade.errors import RecipeError
from pancascade.imaging.volume import Box
from pancascade.inference.backends.openvino_networks import OpenVinoNetwork, accelerate
from pancascade.labels import Label
from pancascade.methods.cascades import Qiu2024Settings, build_cascade
from pancascade.methods.cascades.tensor_crops import IMPOSSIBLE_LOGIT, crop_and_fill, resize_and_paste
from pancascade.methods.cascades.weight_transfer import require_transferable, transferable
from pancascade.methods.losses import bce_iou_loss, second_stage_loss
from pancascade.methods.networks import NetworkSettings

pytestmark = pytest.mark.usefixtures("one_thread")

UNET = NetworkSettings(name="unet", preset="tiny")
FOCUSING = NetworkSettings(name="focusing_net", preset="tiny")
BACKBONE = NetworkSettings(name="multiscale_unet", options={"widths": (4, 4, 8, 8), "centre": 8})
"""As large as the backbone of the tiny focusing network."""


def tiny(**options):
    torch.manual_seed(0)
    settings = {"first": UNET, "second": FOCUSING, "crop_size": (32, 32), "margin": 4, "margins": "fixed"}
    return build_cascade(Qiu2024Settings(**settings | options))


@pytest.fixture
def batch():
    images = torch.rand(2, 1, 80, 96, generator=torch.Generator().manual_seed(3))
    labels = torch.zeros(2, 80, 96, dtype=torch.uint8)
    labels[0, 15:30, 20:45] = Label.PANCREAS
    labels[0, 18:25, 30:38] = Label.TUMOUR
    labels[1, 4:74, 40:60] = Label.PANCREAS
    labels[1, 40:60, 45:55] = Label.TUMOUR
    return images, labels


BOXES = [Box((11, 16), (34, 49)), Box((0, 36), (78, 64))]
"""Around the organ of both slices, with K = 4."""


def losses_of(cascade, batch, phase, seed=0):
    return next(cascade.losses(*batch, phase=phase, generator=torch.Generator().manual_seed(seed)))


def shown_to_stage_two(cascade):
    seen = []
    cascade.second.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    return seen


def let_stage_one_say(cascade, logit):
    nn.init.zeros_(cascade.first.head.weight)
    nn.init.constant_(cascade.first.head.bias, logit)


# ── margins ──


def boxes_seen(cascade, batch, phase, monkeypatch, seeds=3):
    seen, original = set(), cascade.second_logits

    def spy(images, first, boxes, *, saliency):
        seen.update(boxes)
        return original(images, first, boxes, saliency=saliency)

    monkeypatch.setattr(cascade, "second_logits", spy)
    for seed in range(seeds):
        losses_of(cascade, batch, phase, seed=seed)
    return seen


@torch.no_grad()
@pytest.mark.parametrize("phase", ["S", "J"])
def test_fixed_margins_are_k_on_all_sides_in_training_and_random_ones_are_the_default(batch, phase, monkeypatch):
    cascade = tiny(second=UNET)
    let_stage_one_say(cascade, -5.0)  # J falls back to the truth
    assert boxes_seen(cascade, batch, phase, monkeypatch) == set(BOXES)
    assert Qiu2024Settings().margins == "random"
    varied = tiny(margins="random", second=UNET)
    let_stage_one_say(varied, -5.0)
    assert len(boxes_seen(varied, batch, phase, monkeypatch)) > 2


# ── what J crops by ──


@pytest.mark.parametrize(("probability", "box"), [(0.45, BOXES[0]), (0.5001, Box((0, 0), (80, 96)))])
@pytest.mark.parametrize("reference", ["first_stage", "second_stage"])
@torch.no_grad()
def test_j_crops_by_a_probability_of_at_least_one_half(batch, probability, box, reference, monkeypatch):
    both = {"first_labels": ("pancreas", "tumour"), "second_labels": ("pancreas", "tumour")}
    cascade = tiny(crop_reference=reference, **both)
    logit = float(torch.logit(torch.tensor(probability)))
    let_stage_one_say(cascade, logit if reference == "first_stage" else 5.0)
    if reference == "second_stage":
        last = cascade.second.focusing[-1]
        nn.init.zeros_(last.map.weight)
        nn.init.constant_(last.map.bias, logit)
    one = (batch[0][:1], batch[1][:1])
    assert box in boxes_seen(cascade, one, "J", monkeypatch, seeds=1)
    organ = (one[1] > 0)[:, None].float()
    cropped_by = cascade._crop_reference(one[0], torch.full_like(one[0], probability), organ, phase="J")
    if reference == "first_stage":
        assert torch.equal(cropped_by[0], organ[0, 0] > 0) == (probability < 0.5)


@torch.no_grad()
def test_in_j_only_a_slice_in_which_nothing_is_found_is_cropped_by_the_truth(batch):
    images, labels = batch
    first = torch.zeros_like(images)
    first[1, 0, 30:34, 50:58] = 0.5
    organ = (labels == Label.PANCREAS)[:, None].float()
    cropped_by = tiny()._crop_reference(images, first, organ, phase="J")
    assert torch.equal(cropped_by[0], organ[0, 0] > 0)
    assert torch.equal(cropped_by[1], first[1, 0] > 0)


# ── recurrence ──


@torch.no_grad()
@pytest.mark.parametrize(("rounds", "asked"), [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (9, 6)])
def test_recurrence_goes_on_until_a_round_changes_less_than_a_hundredth(rounds, asked, monkeypatch):
    both = ("pancreas", "tumour")
    cascade = tiny(second_labels=both, recurrence_rounds=rounds, handover="crop", margin=0).eval()
    answers = []
    widths = [60, 40, 30, 24, 23, 23, 23]  # from 24 to 23 is a Dice of 0.979, from 23 to 23 one of 1

    def answer(images, located):
        found = torch.zeros_like(located.probabilities)
        found[..., 10:30, 10 : 10 + widths[len(answers)]] = 0.9
        found[..., 60:66, 80:90] = 0.45  # is in no mask
        answers.append(located.boxes)
        return found

    monkeypatch.setattr(cascade, "_second_probability", answer)
    images = torch.zeros(1, 1, 80, 96)
    found = cascade.segment(images, cascade.update_rois(cascade.locate(images), torch.ones_like(images)))
    assert len(answers) == asked
    assert int((found[0, 1] >= 0.5).sum()) == 20 * widths[asked - 1]
    assert [boxes[0][0].shape[1] for boxes in answers] == [96, *widths[: asked - 1]]


# ── unresized crops ──


def test_unresized_crops_keep_their_pixels_and_are_filled_to_one_size(batch):
    crops = crop_and_fill(batch[0], BOXES)
    assert crops.shape == (2, 1, 80, 64), "23 x 33 and 78 x 28, to multiples of 16, at least 64"
    for crop, image, box in zip(crops, batch[0], BOXES, strict=True):
        height, width = box.shape
        assert torch.equal(crop[:, :height, :width], image[(slice(None), *box.slices)])
        assert not crop[:, height:].any()
        assert not crop[:, :, width:].any()


@pytest.mark.parametrize("second", [FOCUSING, UNET, NetworkSettings(name="resnet_unet", preset="tiny")], ids=str)
def test_a_second_stage_learns_from_the_smallest_crop_alone(second):
    cascade = tiny(crop_input="unresized", margin=0, second=second).train()
    labels = torch.zeros(1, 80, 96, dtype=torch.uint8)
    labels[:, 40:43, 50:52] = Label.TUMOUR
    loss = losses_of(cascade, (torch.rand(1, 1, 80, 96), labels), "S")["second"]
    loss.backward()
    assert torch.isfinite(loss)


@torch.no_grad()
@pytest.mark.parametrize("second", [FOCUSING, UNET], ids=["five maps", "one map"])
def test_the_loss_of_unresized_crops_is_each_box_s_own_and_then_the_mean(batch, second):
    cascade = tiny(crop_input="unresized", second=second).eval()
    seen = shown_to_stage_two(cascade)
    found = float(losses_of(cascade, batch, "S")["second"])
    (crops,) = seen
    assert torch.equal(crops, crop_and_fill(batch[0], BOXES))
    maps = cascade.second(crops)
    maps = maps if isinstance(maps, tuple) else (maps,)
    each = []
    for index, box in enumerate(BOXES):
        height, width = box.shape
        own = [one[index : index + 1, :, :height, :width] for one in maps]
        truth = (batch[1][index : index + 1, None] == Label.TUMOUR)[(..., *box.slices)].float()
        each.append(second_stage_loss(own[0], own[1:], truth) if len(own) > 1 else bce_iou_loss(own[0], truth))
    assert found == pytest.approx(0.9 * float(sum(each) / 2), rel=1e-5)


@torch.no_grad()
def test_what_is_found_in_an_unresized_crop_lands_where_it_is_and_nothing_of_the_filling():
    cascade = tiny(crop_input="unresized", second=UNET, handover="crop").eval()
    cascade.second = nn.Threshold(0.5, -9.0)
    images = torch.zeros(2, 1, 80, 96)
    images[0, 0, 20:28, 30:40] = images[1, 0, 50:70, 5:9] = 0.9
    images[0, 0, 70, 90] = 0.9  # outside of the box
    probabilities = torch.zeros(2, 1, 80, 96)
    probabilities[0, 0, 18:30, 28:42] = probabilities[1, 0, 45:75, 2:12] = 0.8
    located = cascade.update_rois(cascade.locate(images), probabilities)
    tumour = cascade.segment(images, located)[:, Label.TUMOUR] > 0.5
    expected = images[:, 0] > 0.5
    expected[0, 70, 90] = False
    assert torch.equal(tumour, expected)


@torch.no_grad()
def test_an_image_with_an_unresized_crop_is_segmented_the_same_whatever_is_beside_it(batch):
    cascade = tiny(crop_input="unresized").eval()
    located = cascade.update_rois(cascade.locate(batch[0]), (batch[1] > 0)[:, None].float())
    alone = cascade.update_rois(cascade.locate(batch[0][:1]), (batch[1][:1] > 0)[:, None].float())
    assert torch.equal(cascade.segment(batch[0], located)[:1], cascade.segment(batch[0][:1], alone))


def test_a_network_on_unresized_crops_is_not_compiled_for_each_size():
    children = {
        name: type(part) for name, part in accelerate(tiny(crop_input="unresized"), precision="f32")._modules.items()
    }
    assert children["first"] is OpenVinoNetwork
    assert children["second"] is not OpenVinoNetwork
    assert isinstance(accelerate(tiny(), precision="f32").second, OpenVinoNetwork)


# ── the loss on the canvas ──


@torch.no_grad()
@pytest.mark.parametrize("crop_input", ["resized", "unresized"])
def test_tumour_outside_of_the_box_costs_something_on_the_canvas_alone(batch, crop_input):
    images, labels = batch[0][:1], batch[1][:1]
    more = labels.clone()
    more[:, 60:66, 70:80] = Label.TUMOUR
    for second_loss, costs in (("crop", False), ("canvas", True)):
        cascade = tiny(second_loss=second_loss, crop_input=crop_input).eval()
        cascade._crop_reference = lambda *_, **__: labels > 0
        before, after = (float(losses_of(cascade, (images, truth), "J")["second"]) for truth in (labels, more))
        assert (after > before) == costs
        assert costs or after == before


@torch.no_grad()
def test_the_loss_on_the_canvas_is_that_of_the_pasted_maps(batch):
    cascade = tiny(second_loss="canvas").eval()
    images, labels = batch
    maps = cascade.second_logits(images, torch.sigmoid(cascade.first_logits(images)), BOXES, saliency=False)
    pasted = [resize_and_paste(one, BOXES, (80, 96), outside=IMPOSSIBLE_LOGIT) for one in maps]
    truth = (labels == Label.TUMOUR)[:, None].float()
    expected = second_stage_loss(pasted[0], pasted[1:], truth)
    assert float(losses_of(cascade, batch, "S")["second"]) == pytest.approx(0.9 * float(expected), rel=1e-5)


def test_a_box_without_any_of_the_tumour_costs_no_more_than_a_number(batch):
    cascade = tiny(second_loss="canvas")
    cascade._crop_reference = lambda images, first, organ, *, phase: (
        torch.zeros(2, 80, 96).index_fill(1, torch.tensor([70]), 1) > 0
    )
    loss = losses_of(cascade, batch, "J")["second"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in cascade.second.parameters() if p.grad is not None)


# ── stage 2 from stage 1's weights ──


def test_of_the_papers_networks_274_of_274_tensors_fit():
    with torch.device("meta"):
        cascade = build_cascade(Qiu2024Settings(second_start="first_stage"))
        plain = build_cascade(
            Qiu2024Settings(second_start="first_stage", second=NetworkSettings(name="multiscale_unet"))
        )
    fitting, missing = transferable(cascade.first, cascade.second)
    assert (len(fitting), missing) == (274, [])
    parameters = dict(cascade.first.named_parameters())
    assert sum(parameters[name].numel() for name in fitting if name in parameters) == 62_499_456
    assert len(transferable(plain.first, plain.second)[0]) == 276, "with the head's weight and bias"


@pytest.fixture(scope="module")
def transferring():
    """A cascade that may be changed, and the weights that it has in each test's beginning."""
    cascade = tiny(first=BACKBONE, second_start="first_stage")
    cascade.first(torch.rand(2, 1, 32, 32))  # moves its statistics
    return cascade, {name: tensor.clone() for name, tensor in cascade.state_dict().items()}


def stage_two(cascade):
    return {name: tensor.clone() for name, tensor in cascade.second.state_dict().items()}


@pytest.mark.parametrize(
    ("phase", "earlier", "transferred"),
    [
        ("first", (), False),
        ("S", (), True),
        ("S", ("first",), True),
        ("J", ("first",), True),
        ("I", ("first", "S"), False),
        ("J", ("S", "I"), False),
    ],
)
def test_stage_two_takes_the_weights_over_where_it_begins_to_learn(transferring, phase, earlier, transferred):
    cascade, weights = transferring
    cascade.load_state_dict(weights)
    before = stage_two(cascade)
    cascade.begin_phase(phase, earlier=earlier)
    after, first = cascade.second.state_dict(), cascade.first.state_dict()
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items()) == transferred
    for name, tensor in after.items():
        own = name.removeprefix("backbone.")
        if transferred and own != name:
            assert torch.equal(tensor, first[own])
        else:
            assert torch.equal(tensor, before[name])


def test_only_the_body_of_stage_two_must_fit_and_not_its_head():
    options = BACKBONE.options
    three, one = (NetworkSettings(name="multiscale_unet", options=options).build(out_channels=n) for n in (3, 1))
    fitting, missing = transferable(three, one)
    assert missing == []
    assert {name for name in one.state_dict() if name not in fitting} == {"head.weight", "head.bias"}
    require_transferable(three, one)


def test_without_that_choice_nothing_is_taken_over():
    cascade = tiny(first=BACKBONE)
    before = stage_two(cascade)
    cascade.begin_phase("S", earlier=("first",))
    assert all(torch.equal(tensor, before[name]) for name, tensor in cascade.second.state_dict().items())


@pytest.mark.parametrize(
    "first", [UNET, NetworkSettings(name="multiscale_unet", preset="tiny")], ids=["other", "wider"]
)
def test_a_first_stage_whose_weights_do_not_fit_is_refused(first):
    with pytest.raises(RecipeError, match=r"^cascade\.second_start: \d+ tensors of stage 2.*take random\.$") as refused:
        tiny(first=first, second_start="first_stage")
    assert len(str(refused.value)) <= 200


@pytest.mark.parametrize("option", ["margins", "crop_input", "second_loss", "second_start"])
def test_an_unknown_reading_is_refused(option):
    with pytest.raises(ValidationError, match=option):
        Qiu2024Settings(**{option: "other"})
