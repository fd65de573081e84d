"""Stage 1 of Qiu's cascade with helper organs, and with a word on whether a slice shows the pancreas."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pancascade.errors import RecipeError
from pancascade.labels import HELPERS_UNKNOWN, HelperOrgan, Label
from pancascade.methods.cascades import Qiu2024Settings, build_cascade
from pancascade.methods.cascades.helper_organs import FirstMaps, helper_loss
from pancascade.methods.networks import NetworkSettings

ORGANS = (HelperOrgan.LIVER, HelperOrgan.KIDNEYS)


def tiny(**options):
    torch.manual_seed(0)
    first = NetworkSettings(name="efficient_unet", preset="tiny")
    second = NetworkSettings(name="unet", preset="tiny")
    settings = {"first": first, "second": second, "crop_size": (32, 32), "margin": 4, "first_loss": "dice_bce"}
    return build_cascade(Qiu2024Settings(**{**settings, **options}))


@pytest.fixture
def batch():
    """Two slices with pancreas and a liver, the second of which outlines no helper organ."""
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, 20:30, 30:50] = Label.PANCREAS
    labels[0, 10:40, 4:20] = HelperOrgan.LIVER
    labels[1][labels[1] == 0] = HELPERS_UNKNOWN
    return images, labels


def losses_of(cascade, batch, phase):
    return next(cascade.losses(*batch, phase=phase, generator=torch.Generator().manual_seed(0)))


def test_the_loss_is_the_mean_cross_entropy_of_known_pixels_by_hand():
    """Four pixels: liver, background, pancreas, and one of which nothing is known; σ(logit) = 0.8, or 0.5 for 0."""
    labels = torch.tensor([[[HelperOrgan.LIVER, 0, Label.PANCREAS, HELPERS_UNKNOWN]]])
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0] = math.log(4)
    liver = -(math.log(0.8) + 2 * math.log(0.2))
    kidneys = -3 * math.log(0.5)
    assert float(helper_loss(logits, labels, ORGANS)) == pytest.approx((liver + kidneys) / 6)


def test_where_nothing_is_known_the_loss_is_zero_and_so_is_its_gradient():
    logits = torch.randn(2, 2, 4, 4, requires_grad=True)
    loss = helper_loss(logits, torch.full((2, 4, 4), HELPERS_UNKNOWN), ORGANS)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_only_known_pixels_have_a_gradient(batch):
    logits = torch.randn(2, 2, 64, 64, requires_grad=True)
    helper_loss(logits, batch[1], ORGANS).backward()
    known = batch[1] != HELPERS_UNKNOWN
    assert torch.equal((logits.grad != 0).all(dim=1), known)
    assert known[0].all()
    assert torch.equal(known[1], batch[1][1] == Label.PANCREAS)


def test_the_pancreas_counts_as_no_helper_organ_whatever_else_is_known():
    """Where a map is sure of liver on the pancreas it is pulled down, also in slices that outline no liver."""
    labels = torch.full((1, 2, 2), HELPERS_UNKNOWN)
    labels[0, 0, 0] = Label.TUMOUR
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    helper_loss(logits, labels, ORGANS[:1]).backward()
    assert logits.grad[0, 0, 0, 0] > 0
    assert int((logits.grad != 0).sum()) == 1


def test_p_is_the_product_of_the_pixel_s_and_the_slice_s_probability():
    organ = torch.full((2, 1, 3, 4), math.log(4))
    maps = FirstMaps(organ, torch.zeros(2, 0, 3, 4), torch.tensor([[0.0], [100.0]]))
    assert maps.probabilities[0].unique().tolist() == pytest.approx([0.4])
    assert maps.probabilities[1].unique().tolist() == pytest.approx([0.8])
    assert FirstMaps(organ, torch.zeros(2, 0, 3, 4), None).probabilities.unique().tolist() == pytest.approx([0.8])


@torch.no_grad()
def test_maps_of_the_network_are_told_apart(batch):
    cascade = tiny(helper_organs=("liver", "kidneys"), presence=True).eval()
    assert cascade.helpers == ORGANS
    answer = cascade.first(batch[0])
    assert answer.shape[1] == 4
    maps = cascade.first_maps(batch[0])
    assert torch.equal(maps.organ, answer[:, :1])
    assert torch.equal(maps.helpers, answer[:, 1:3])
    assert torch.equal(maps.presence, answer[:, 3:, 0, 0])
    assert torch.equal(cascade.first_logits(batch[0]), answer[:, :1])
    only = tiny(presence=True).eval().first_maps(batch[0])
    assert only.helpers.shape[1] == 0
    assert only.presence is not None


@torch.no_grad()
def test_stage_2_is_handed_the_product_and_no_helper_organ(batch):
    cascade = tiny(helper_organs=("liver",), presence=True, first_scale=0.5).eval()
    nn.init.zeros_(cascade.first.head.weight)
    cascade.first.head.bias.copy_(torch.tensor([math.log(9), 5.0]))
    nn.init.zeros_(cascade.first.presence.weight)
    nn.init.constant_(cascade.first.presence.bias, math.log(4))
    located = cascade.locate(batch[0])
    assert located.probabilities.shape == (2, 1, 64, 64)
    assert located.probabilities.unique().numpy() == pytest.approx(0.72)
    assert all(located.boxes)
    nn.init.constant_(cascade.first.presence.bias, 0.0)  # P = 0.45
    assert not any(cascade.locate(batch[0]).boxes)


@torch.no_grad()
def test_losses_have_their_weights(batch):
    one, other = (
        losses_of(tiny(helper_organs=("liver",), presence=True, **weights).eval(), batch, "first")
        for weights in ({"helper_weight": 1, "presence_weight": 1}, {"helper_weight": 0.25, "presence_weight": 0})
    )
    assert list(one) == ["first", "helpers", "presence"]
    assert float(other["helpers"]) == pytest.approx(0.25 * float(one["helpers"]), rel=1e-5)
    assert float(other["presence"]) == 0 < float(one["presence"])
    assert float(other["first"]) == float(one["first"])


@torch.no_grad()
def test_the_presence_learns_from_slices_with_and_without_pancreas(batch):
    cascade = tiny(presence=True, presence_weight=1).eval()
    nn.init.zeros_(cascade.first.presence.weight)
    nn.init.constant_(cascade.first.presence.bias, math.log(4))
    labels = batch[1].clone()
    labels[0] = HelperOrgan.LIVER  # another organ is no pancreas
    found = losses_of(cascade, (batch[0], labels), "first")["presence"]
    assert float(found) == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2, rel=1e-5)


def test_helper_organs_teach_no_stage_2_and_are_no_target(batch):
    """Labels of helper organs, and of background where they are unknown, change none of the other losses."""
    plain = batch[1].clone()
    plain[plain > Label.TUMOUR] = 0
    for phase in ("S", "I", "J"):
        cascade = tiny(helper_organs=("liver",), second_labels=("pancreas", "tumour")).eval()
        with torch.no_grad():
            found, expected = (losses_of(cascade, (batch[0], labels), phase) for labels in (batch[1], plain))
        for name in expected.keys() - {"helpers"}:
            assert float(found[name]) == float(expected[name]), (phase, name)
    losses_of(cascade, batch, "J")["helpers"].backward()
    assert all(p.grad is None for p in cascade.second.parameters())


def test_without_both_options_stage_1_and_its_losses_are_those_of_the_paper(batch):
    cascade = tiny()
    assert cascade.first.presence is None
    assert cascade.first.head.out_channels == 1
    assert list(losses_of(cascade, batch, "first")) == ["first"]


def test_settings_of_checkpoints_from_before_the_options_are_still_valid():
    old = Qiu2024Settings().model_dump(mode="json")
    for key in ("helper_organs", "helper_weight", "presence", "presence_weight"):
        del old[key]
    again = Qiu2024Settings.model_validate(old)
    assert again == Qiu2024Settings()
    assert (again.helper_organs, again.presence) == ((), False)
    new = Qiu2024Settings(helper_organs=("liver",), presence=True)
    assert Qiu2024Settings.model_validate_json(new.model_dump_json()) == new


def test_an_organ_without_a_label_is_refused():
    with pytest.raises(ValidationError, match="helper_organs"):
        Qiu2024Settings(helper_organs=("heart",))


def test_a_network_that_cannot_tell_presence_is_refused():
    with pytest.raises(RecipeError, match=r"'unet' does not take these options: .*presence"):
        tiny(first=NetworkSettings(name="unet", preset="tiny"), presence=True)


def test_the_boundary_measure_is_fitted_to_the_pancreas_alone(batch, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "pancascade.methods.cascades.qiu2024_losses.pretrain_boundary_encoder",
        lambda _, maps, **more: seen.append(maps),
    )
    for labels in (("pancreas", "tumour"), ("tumour",)):
        tiny(boundary_form="encoder", helper_organs=("liver",), second_labels=labels).prepare(batch[1], seed=0)
    for maps in seen:
        assert torch.equal(maps > 0, batch[1] == Label.PANCREAS)
