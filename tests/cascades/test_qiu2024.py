import pytest
import torch
from torch import nn

from pancascade.cascades import Qiu2024Settings, build_cascade
from pancascade.cascades.cropping import box_around
from pancascade.labels import Label
from pancascade.losses import compose_classes, dice_loss, second_stage_loss, shared_boundary_loss
from pancascade.networks import NetworkSettings
from pancascade.volume import Box

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
    monkeypatch.setattr("pancascade.cascades.qiu2024.random_margin", lambda margin, generator: margin)


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
def test_the_losses_are_equation_17_of_their_parts(batch, monkeypatch):
    fixed_margin(monkeypatch)
    cascade = tiny().eval()
    images, labels = batch
    losses = losses_of(cascade, batch, "I")
    first = torch.sigmoid(cascade.first(images))
    organ, tumour = (labels > 0)[:, None].float(), (labels == 2)[:, None].float()
    assert float(losses["first"]) == pytest.approx(float(dice_loss(first, organ)))
    box = box_around(organ[0, 0] > 0, margin=4)
    rows, columns = box.slices
    crops = nn.functional.interpolate((images * cascade.saliency(first))[..., rows, columns], (32, 32), mode="bilinear")
    truth = nn.functional.interpolate(tumour[..., rows, columns], (32, 32), mode="nearest-exact")
    maps = cascade.second(crops)
    assert float(losses["second"]) == pytest.approx(0.9 * float(second_stage_loss(maps[0], maps[1:], truth)), rel=1e-5)
    second = torch.zeros_like(first)
    resized = nn.functional.interpolate(maps[-1], box.shape, mode="bilinear")
    second[..., rows, columns] = torch.sigmoid(resized)
    boundary = shared_boundary_loss(compose_classes(first, second), labels.long())
    assert float(losses["boundary"]) == pytest.approx(0.4 * float(boundary), rel=1e-5)


def test_probabilities_sum_to_one_on_the_grid_of_the_image(batch):
    cascade = tiny().eval()
    with torch.no_grad():
        maps = cascade(batch[0])
    assert maps.shape == (2, 3, 48, 64)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, 48, 64), atol=1e-5)


def test_there_is_no_tumour_outside_the_box_of_stage_one(batch):
    cascade = tiny().eval()
    belief = torch.zeros(2, 1, 48, 64)
    belief[:, :, 20:28, 30:40] = 0.9
    with torch.no_grad():
        located = cascade.narrow(cascade.locate(batch[0]), belief)
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


def test_recurrence_replaces_stage_one_by_stage_two_until_it_settles(batch):
    once = tiny(second_labels=("pancreas", "tumour")).eval()
    again = tiny(second_labels=("pancreas", "tumour"), recurrence_rounds=3).eval()
    again.load_state_dict(once.state_dict())
    for cascade in (once, again):
        move = torch.Generator().manual_seed(1)
        with torch.no_grad():
            cascade.saliency.second.weight.copy_(torch.randn(1, 1, 5, 5, generator=move) * 0.1)
            nn.init.constant_(cascade.second.focusing[-1].map.bias, 0.2)
        let_stage_one_predict(cascade, 2.0)
    with torch.no_grad():
        located = once.locate(batch[0])
        first_round = once.segment(batch[0], located)
        second_round = once.segment(batch[0], once.narrow(located, first_round[:, 1:2]))
        assert not torch.equal(again.segment(batch[0], located), first_round)
        assert not torch.equal(second_round, first_round)


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
