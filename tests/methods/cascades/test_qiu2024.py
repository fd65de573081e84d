import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades import Qiu2024Settings, build_cascade
from pancascade.methods.cascades.class_probabilities import compose_classes
from pancascade.methods.cascades.tensor_crops import box_around, crop_and_resize, resize_and_paste
from pancascade.methods.losses import bce_iou_loss, dice_loss, second_stage_loss, shared_boundary_loss
from pancascade.methods.networks import NetworkSettings

TINY = {
    "first": NetworkSettings(name="unet", preset="tiny"),
    "second": NetworkSettings(name="focusing_net", preset="tiny"),
    "crop_size": (32, 32),
    "margin": 4,
}


def tiny(**options):
    torch.manual_seed(0)
    return build_cascade(Qiu2024Settings(**{**TINY, **options}))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(2, 1, 48, 64, generator=generator)
    labels = torch.zeros(2, 48, 64, dtype=torch.uint8)
    labels[:, 15:30, 20:45] = Label.PANCREAS
    labels[:, 18:25, 30:38] = Label.TUMOUR
    return images, labels


def losses_of(cascade, batch, phase, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return next(cascade.losses(*batch, phase=phase, generator=generator))


def gradient_of(module):
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


def move_saliency(cascade):
    with torch.no_grad():
        cascade.saliency.second.weight.normal_(0, 0.1)


def let_stage_one_predict(cascade, logit):
    """Stage 1 says the same everywhere."""
    nn.init.zeros_(cascade.first.head.weight)
    nn.init.constant_(cascade.first.head.bias, logit)


def test_in_s_no_gradient_flows_from_stage_two_to_stage_one_or_the_saliency_module(batch):
    cascade = tiny(boundary_in_s="detached")
    move_saliency(cascade)
    losses = losses_of(cascade, batch, "S")
    (losses["second"] + losses["boundary"]).backward()
    assert gradient_of(cascade.first) == 0
    assert gradient_of(cascade.saliency) == 0
    assert gradient_of(cascade.second) > 0


@pytest.mark.parametrize("phase", ["I", "J"])
def test_in_i_and_j_stage_two_teaches_stage_one_only_once_the_saliency_module_has_moved(batch, phase):
    cascade = tiny()
    losses_of(cascade, batch, phase)["second"].backward()
    assert gradient_of(cascade.first) == 0
    assert float(cascade.saliency.second.weight.grad.abs().sum()) > 0
    move_saliency(cascade)
    losses_of(cascade, batch, phase)["second"].backward()
    assert gradient_of(cascade.first) > 0


def test_one_optimiser_step_moves_the_saliency_module_so_that_gradient_flows(batch):
    cascade = tiny()
    optimiser = torch.optim.SGD(cascade.parameters(), lr=0.1)
    losses_of(cascade, batch, "I")["second"].backward()
    optimiser.step()
    optimiser.zero_grad()
    losses_of(cascade, batch, "I")["second"].backward()
    assert gradient_of(cascade.first) > 0


def test_step_s_has_no_boundary_loss_unless_it_is_asked_for(batch):
    assert "boundary" not in losses_of(tiny(), batch, "S")
    assert "boundary" in losses_of(tiny(boundary_in_s="detached"), batch, "S")


def test_the_phase_first_trains_stage_one_alone(batch):
    losses = losses_of(tiny(), batch, "first")
    assert list(losses) == ["first"]


def crops_seen(cascade, batch, phase, monkeypatch):
    seen = []
    original = cascade.second_logits

    def spy(images, first, boxes, *, saliency):
        seen.extend(boxes)
        return original(images, first, boxes, saliency=saliency)

    monkeypatch.setattr(cascade, "second_logits", spy)
    losses_of(cascade, batch, phase)
    return seen


def fixed_margin(monkeypatch):
    monkeypatch.setattr("pancascade.methods.cascades.qiu2024.random_margin", lambda margin, generator: margin)


@pytest.mark.parametrize("phase", ["S", "I"])
def test_s_and_i_crop_by_the_truth(batch, phase, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny()
    let_stage_one_predict(cascade, 5.0)
    assert crops_seen(cascade, batch, phase, monkeypatch) == [Box((11, 16), (34, 49))] * 2


def test_j_crops_by_what_stage_one_predicts(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny()
    let_stage_one_predict(cascade, 5.0)
    assert crops_seen(cascade, batch, "J", monkeypatch) == [Box((0, 0), (48, 64))] * 2


def test_j_falls_back_to_the_truth_when_stage_one_predicts_nothing(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny()
    let_stage_one_predict(cascade, -5.0)
    assert crops_seen(cascade, batch, "J", monkeypatch) == [Box((11, 16), (34, 49))] * 2


@pytest.mark.parametrize("phase", ["S", "I", "J"])
def test_a_slice_without_target_in_which_nothing_is_found_teaches_stage_one_only(batch, phase):
    cascade = tiny(first_loss="dice_bce")
    let_stage_one_predict(cascade, -5.0)
    losses = losses_of(cascade, (batch[0], torch.zeros_like(batch[1])), phase)
    assert list(losses) == ["first"]


def test_a_false_alarm_of_stage_one_on_an_empty_slice_teaches_stage_two_in_j(batch):
    cascade = tiny()
    let_stage_one_predict(cascade, 5.0)
    assert "second" in losses_of(cascade, (batch[0], torch.zeros_like(batch[1])), "J")


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighted_bce": "legacy", "deep_supervision": "shifted"},
        {"first_loss": "dice_bce"},
        {"boundary_form": "product", "boundary_neighbourhood": 8, "boundary_counts_frame": False},
        {"first_labels": ("pancreas",)},
    ],
    ids=str,
)
def test_the_losses_are_equation_17_of_their_parts(batch, monkeypatch, options):
    fixed_margin(monkeypatch)
    cascade = tiny(**options).eval()
    nn.init.constant_(cascade.saliency.second.bias, 0.7)
    images, labels = batch
    losses = losses_of(cascade, batch, "I")
    logits = cascade.first(images)
    first = torch.sigmoid(logits)
    true = labels == 1 if "first_labels" in options else labels > 0
    organ, tumour = true[:, None].float(), (labels == 2)[:, None].float()
    found = dice_loss(first, organ)
    if options.get("first_loss") == "dice_bce":
        found = found + nn.functional.binary_cross_entropy_with_logits(logits, organ)
    assert float(losses["first"]) == pytest.approx(float(found))
    box = box_around(organ[0, 0] > 0, margin=4)
    rows, columns = box.slices
    crops = nn.functional.interpolate((images * cascade.saliency(first))[..., rows, columns], (32, 32), mode="bilinear")
    truth = nn.functional.interpolate(tumour[..., rows, columns], (32, 32), mode="nearest-exact")
    maps = cascade.second(crops)
    reading = {"wbce": options.get("weighted_bce", "weighted"), "weights": options.get("deep_supervision", "code")}
    expected = second_stage_loss(maps[0], maps[1:], truth, **reading)
    assert float(losses["second"]) == pytest.approx(0.9 * float(expected), rel=1e-5)
    second = torch.zeros_like(first)
    resized = nn.functional.interpolate(maps[-1], box.shape, mode="bilinear")
    second[..., rows, columns] = torch.sigmoid(resized)
    boundary = shared_boundary_loss(
        compose_classes(first, second),
        labels.long(),
        form=options.get("boundary_form", "total_variation"),
        neighbourhood=options.get("boundary_neighbourhood", 4),
        count_frame=options.get("boundary_counts_frame", True),
    )
    assert float(losses["boundary"]) == pytest.approx(0.4 * float(boundary), rel=1e-5)


@torch.no_grad()
def test_with_one_target_the_boundary_is_that_of_stage_two_against_the_background(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny(second_labels=("pancreas", "tumour")).eval()
    images, labels = batch
    found = losses_of(cascade, batch, "I")["boundary"]
    box = Box((11, 16), (34, 49))
    maps = cascade.second_logits(images, torch.sigmoid(cascade.first_logits(images)), [box] * 2, saliency=True)
    second = torch.sigmoid(resize_and_paste(maps[-1], [box] * 2, (48, 64)))
    expected = shared_boundary_loss(torch.cat((1 - second, second), dim=1), (labels > 0).long())
    assert float(found) == pytest.approx(0.4 * float(expected), rel=1e-5)


def test_a_second_stage_with_one_map_learns_by_cross_entropy_and_iou(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny(second=NetworkSettings(name="unet", preset="tiny")).eval()
    box = Box((11, 16), (34, 49))
    with torch.no_grad():
        found = losses_of(cascade, batch, "S")["second"]
        truth = crop_and_resize((batch[1] == 2)[:, None].float(), [box] * 2, (32, 32), mode="nearest-exact")
        expected = bce_iou_loss(cascade.second(crop_and_resize(batch[0], [box] * 2, (32, 32))), truth)
    assert float(found) == pytest.approx(0.9 * float(expected), rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("phase", ["S", "I", "J"])
def test_a_slice_without_target_leaves_the_others_their_own_image_and_truth(batch, phase, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny(boundary_in_s="detached").eval()
    let_stage_one_predict(cascade, -5.0)
    images, labels = batch[0], batch[1].clone()
    labels[0] = 0
    inputs = []
    cascade.second.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    both = losses_of(cascade, (images, labels), phase)
    alone = losses_of(cascade, (images[1:], labels[1:]), phase)
    assert len(inputs[0]) == 1
    assert torch.equal(*inputs)
    assert float(both["second"]) == pytest.approx(float(alone["second"]), rel=1e-5)
    assert float(both["boundary"]) == pytest.approx(float(alone["boundary"]), rel=1e-5)


def test_the_boundary_loss_teaches_stage_one_by_its_own_probability_from_step_i_on(batch):
    for phase, taught in (("S", False), ("I", True), ("J", True)):
        cascade = tiny(boundary_in_s="detached")
        losses_of(cascade, batch, phase)["boundary"].backward()
        assert (gradient_of(cascade.first) > 0) == taught
        assert gradient_of(cascade.second) > 0


@pytest.mark.parametrize("phase", ["S", "I", "J"])
def test_training_boxes_have_random_margins_up_to_2k(batch, phase, monkeypatch):
    cascade = tiny(second=TINY["first"])
    let_stage_one_predict(cascade, -5.0)
    seen = crops_seen(cascade, batch, phase, monkeypatch)
    for seed in range(1, 12):
        losses_of(cascade, batch, phase, seed=seed)
    tight, widest = Box((15, 20), (30, 45)), Box((7, 12), (38, 53))
    assert len(set(seen)) > 5
    assert Box((11, 16), (34, 49)) in seen
    assert all(widest.contains(box) and box.contains(tight) for box in seen)


def test_stage_two_sees_the_plain_crop_in_s_and_without_saliency_and_the_weighted_one_else(batch, monkeypatch):
    fixed_margin(monkeypatch)
    plain = crop_and_resize(batch[0], [Box((11, 16), (34, 49))] * 2, (32, 32))
    for handover, phase, same in (("saliency", "S", True), ("crop", "I", True), ("saliency", "I", False)):
        cascade, inputs = tiny(handover=handover), []
        if cascade.saliency is not None:
            move_saliency(cascade)
        cascade.second.register_forward_pre_hook(lambda _, given, inputs=inputs: inputs.append(given[0]))
        losses_of(cascade, batch, phase)
        assert torch.equal(inputs[0], plain) == same


@torch.no_grad()
def test_an_image_is_segmented_the_same_alone_and_beside_one_without_box(batch):
    cascade = tiny().eval()
    move_saliency(cascade)
    probabilities = torch.zeros(2, 1, 48, 64)
    probabilities[1, :, 20:28, 30:40] = 0.9
    inputs = []
    cascade.second.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    both = cascade.segment(batch[0], cascade.update_rois(cascade.locate(batch[0]), probabilities))
    alone = cascade.segment(batch[0][1:], cascade.update_rois(cascade.locate(batch[0][1:]), probabilities[1:]))
    assert torch.allclose(*inputs, atol=1e-6)
    assert torch.allclose(both[1:], alone, atol=1e-6)
    assert both[0, Label.TUMOUR].max() == 0


def test_probabilities_sum_to_one_on_the_grid_of_the_image(batch):
    cascade = tiny().eval()
    with torch.no_grad():
        maps = cascade(batch[0])
    assert maps.shape == (2, 3, 48, 64)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, 48, 64), atol=1e-5)


def test_there_is_no_tumour_outside_the_box_of_stage_one(batch):
    cascade = tiny().eval()
    probabilities = torch.zeros(2, 1, 48, 64)
    probabilities[:, :, 20:28, 30:40] = 0.9
    with torch.no_grad():
        located = cascade.update_rois(cascade.locate(batch[0]), probabilities)
        tumour = cascade.segment(batch[0], located)[:, Label.TUMOUR]
    assert located.boxes == ((Box((16, 26), (32, 44)),),) * 2
    outside = torch.ones(48, 64, dtype=torch.bool)
    outside[16:32, 26:44] = False
    assert tumour[:, outside].max() == 0
    assert tumour[:, 16:32, 26:44].min() > 0


def test_where_stage_one_finds_nothing_nothing_is_segmented(batch):
    cascade = tiny(second_labels=("pancreas", "tumour")).eval()
    let_stage_one_predict(cascade, -5.0)
    with torch.no_grad():
        maps = cascade(batch[0])
    assert maps.shape[1] == 2
    assert maps[:, 1].max() == 0


def test_stages_that_share_a_target_give_two_classes(batch):
    cascade = tiny(first_labels=("pancreas",), second_labels=("pancreas",))
    assert cascade.labels == (Label.PANCREAS,)
    assert "boundary" in losses_of(cascade, batch, "J")


def test_without_saliency_the_stages_are_apart_in_every_phase(batch):
    cascade = tiny(handover="crop", beta=0.0)
    assert cascade.saliency is None
    losses_of(cascade, batch, "J")["second"].backward()
    assert gradient_of(cascade.first) == 0


def test_j_can_crop_by_the_second_stage(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny(first_labels=("pancreas",), second_labels=("pancreas",), crop_reference="second_stage")
    let_stage_one_predict(cascade, 5.0)
    last = cascade.second.focusing[-1]
    nn.init.zeros_(last.map.weight)
    nn.init.constant_(last.map.bias, -5.0)
    seen = crops_seen(cascade, batch, "J", monkeypatch)
    # Stage 2 predicts nothing, so the truth is cropped, whatever stage 1 says.
    truth = (batch[1] == Label.PANCREAS)[0]
    assert seen[-2:] == [box_around(truth, margin=4)] * 2


def test_a_look_for_the_crop_teaches_stage_two_no_statistics(batch, monkeypatch):
    fixed_margin(monkeypatch)
    steps = []
    for reference in ("first_stage", "second_stage"):
        cascade = tiny(first_labels=("pancreas",), second_labels=("pancreas",), crop_reference=reference)
        losses_of(cascade, batch, "J")
        steps.append({int(n) for name, n in cascade.second.named_buffers() if name.endswith("num_batches_tracked")})
        assert cascade.second.training
    assert steps == [{1}, {1}]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"first": NetworkSettings(name="focusing_net")}, "first.*focusing_net does not give one map of logits"),
        ({"first": NetworkSettings(name="localization_net")}, "first.*localization_net does not give one map"),
        ({"second": NetworkSettings(name="localization_net")}, "second.*localization_net gives no map of logits"),
    ],
    ids=["several maps", "no map", "no map in stage 2"],
)
def test_a_network_that_gives_no_such_map_is_refused_at_once(choice, sentence):
    with pytest.raises(ValidationError, match=f"(?s){sentence}"):
        Qiu2024Settings(**choice)


def recurrent(rounds):
    """Stage 1 finds everything; stage 2 is sure of about half of what it sees."""
    cascade = tiny(second_labels=("pancreas", "tumour"), recurrence_rounds=rounds).eval()
    move = torch.Generator().manual_seed(1)
    with torch.no_grad():
        cascade.saliency.second.weight.copy_(torch.randn(1, 1, 5, 5, generator=move) * 0.1)
        nn.init.constant_(cascade.second.focusing[-1].map.bias, 0.2)
    let_stage_one_predict(cascade, 2.0)
    return cascade


@torch.no_grad()
def test_recurrence_replaces_stage_one_by_stage_two(batch):
    once, again = recurrent(0), recurrent(1)
    located = once.locate(batch[0])
    first_round = once.segment(batch[0], located)
    second_round = once.segment(batch[0], once.update_rois(located, first_round[:, 1:2]))
    assert not torch.equal(second_round, first_round)
    assert torch.equal(again.segment(batch[0], located), second_round)


@torch.no_grad()
def test_recurrence_stops_when_a_round_changes_nothing(batch):
    cascade, calls = recurrent(10), []
    last = cascade.second.focusing[-1]
    nn.init.zeros_(last.map.weight)
    nn.init.constant_(last.map.bias, 4.0)  # the whole box, whatever is shown
    cascade.second.register_forward_pre_hook(lambda *_: calls.append(1))
    cascade(batch[0])
    assert len(calls) == 2


def test_the_learned_boundary_measure_is_fitted_before_training_and_then_frozen(batch):
    cascade = tiny(boundary_form="encoder", boundary_encoder_steps=5)
    before = {name: value.clone() for name, value in cascade.boundary_encoder.state_dict().items()}
    cascade.prepare(batch[1], seed=0)
    after = cascade.boundary_encoder.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in cascade.boundary_encoder.parameters())
    losses_of(cascade, batch, "J")["boundary"].backward()
    assert gradient_of(cascade.boundary_encoder) == 0
    assert gradient_of(cascade.second) > 0


def test_a_smaller_first_stage_sees_multiples_of_sixteen(batch):
    cascade = tiny(first_scale=0.6)
    sizes = []
    cascade.first.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    assert cascade.first_logits(batch[0]).shape == (2, 1, 48, 64)
    assert sizes == [(32, 32)]
