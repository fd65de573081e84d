import math

import pytest
import torch
from pydantic import ValidationError

from pancascade.labels import Label
from pancascade.methods.cascades.dsms_unet import DsmsUNet, DsmsUNetSettings
from pancascade.methods.losses import bce_loss
from pancascade.methods.networks import NetworkSettings

TINY = {"widths": (4, 4, 8, 8, 8)}


def tiny(network=None, **options):
    torch.manual_seed(0)
    settings = NetworkSettings(name="dsms_unet", options={**TINY, **(network or {})})
    return DsmsUNet(DsmsUNetSettings(network=settings, **options))


@pytest.fixture
def batch():
    labels = torch.zeros(2, 32, 48, dtype=torch.uint8)
    labels[:, 8:20, 8:20] = Label.PANCREAS
    labels[:, 10:15, 16:26] = Label.TUMOUR
    return torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(1)), labels


def losses_of(cascade, batch):
    (losses,) = cascade.losses(*batch, phase="train", generator=torch.Generator())
    return losses


def logit(*probabilities):
    return torch.tensor([[[[math.log(p / (1 - p)) for p in probabilities]]]])


def answering(cascade, monkeypatch, segmentation, restored):
    monkeypatch.setattr(cascade.network, "with_restoration", lambda _: (segmentation, restored))
    return cascade


VECTOR = (torch.tensor([[[[0.5, 0.25]]]]), torch.tensor([[[1, 0]]]))


def test_the_vector_of_the_specification(monkeypatch):
    cascade = answering(tiny(), monkeypatch, logit(0.9, 0.2), logit(0.5, 0.5))
    losses = losses_of(cascade, VECTOR)
    assert float(losses["pancreas"]) / 10 == pytest.approx(0.164252, abs=1e-6)
    assert float(losses["restored"]) == pytest.approx(0.693147, abs=1e-6)
    assert float(sum(losses.values())) == pytest.approx(2.335668, abs=2e-6)


def test_a_perfect_restoration_costs_the_images_entropy_and_teaches_nothing(monkeypatch):
    restored = logit(0.5, 0.25).requires_grad_()
    losses = losses_of(answering(tiny(), monkeypatch, logit(0.9, 0.2), restored), VECTOR)
    losses["restored"].backward()
    assert losses["restored"].item() == pytest.approx(0.627741, abs=1e-6)
    assert float(restored.grad.abs().max()) < 1e-7


def test_segmentation_weighs_ten_times_as_much_as_restoration(batch):
    cascade = tiny()
    segmentation, restored = cascade.network.with_restoration(batch[0])
    together = (batch[1] > 0)[:, None]
    losses = losses_of(cascade, batch)
    assert list(losses) == ["pancreas", "restored"]
    assert torch.allclose(losses["pancreas"], 10 * bce_loss(segmentation, together))
    assert torch.allclose(losses["restored"], bce_loss(restored, batch[0]))


def test_the_weights_are_options(batch):
    usual = losses_of(tiny(), batch)
    changed = losses_of(tiny(segmentation_weight=2.0, restoration_weight=3.0), batch)
    assert torch.allclose(changed["pancreas"], usual["pancreas"] / 5)
    assert torch.allclose(changed["restored"], usual["restored"] * 3)


def test_two_nested_maps_share_the_weight_of_one(batch):
    cascade = tiny(target="nested")
    segmentation, _ = cascade.network.with_restoration(batch[0])
    targets = torch.stack((batch[1] > 0, batch[1] == Label.TUMOUR), dim=1)
    losses = losses_of(cascade, batch)
    assert list(losses) == ["pancreas", "tumour", "restored"]
    assert torch.allclose(losses["tumour"], 5 * bce_loss(segmentation[:, 1:], targets[:, 1:]))
    mean = torch.nn.functional.binary_cross_entropy_with_logits(segmentation, targets.float())
    assert torch.allclose(losses["pancreas"] + losses["tumour"], 10 * mean)


def test_each_loss_teaches_its_own_decoder_and_both_teach_the_encoder(batch):
    def taught_by(name):
        cascade = tiny()
        losses_of(cascade, batch)[name].backward()
        network = cascade.network
        parts = {"encoder": network.encoder, "decoder": network.decoder, "restoration": network.restoration}
        return {
            part
            for part, module in parts.items()
            if any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in module.parameters())
        }

    assert taught_by("restored") == {"encoder", "restoration"}
    assert taught_by("pancreas") == {"encoder", "decoder"}


def test_without_restoration_decoder_only_the_segmentation_is_taught(batch):
    assert list(losses_of(tiny({"restoration": False}), batch)) == ["pancreas"]


@torch.no_grad()
def test_testing_never_restores(batch):
    cascade = tiny().eval()
    runs = []
    cascade.network.restoration.register_forward_hook(lambda *hooked: runs.append(hooked))
    maps = cascade(batch[0])
    assert runs == []
    probability = torch.sigmoid(cascade.network(batch[0]))
    assert torch.allclose(maps, torch.cat((1 - probability, probability), dim=1), atol=1e-6)
    assert cascade.labels == (Label.PANCREAS,)
    assert not cascade.locates


@torch.no_grad()
def test_nested_maps_are_composed_into_three_classes(batch):
    cascade = tiny(target="nested").eval()
    organ, tumour = torch.sigmoid(cascade.network(batch[0])).split(1, dim=1)
    expected = torch.cat(((1 - tumour) * (1 - organ), (1 - tumour) * organ, tumour), dim=1)
    assert torch.allclose(cascade(batch[0]), expected, atol=1e-6)
    assert cascade.labels == (Label.PANCREAS, Label.TUMOUR)


def test_training_resumes_with_the_restoration_decoder(batch):
    trained, fresh = tiny(), tiny()
    optimiser = torch.optim.SGD(trained.parameters(), lr=0.1)
    sum(losses_of(trained, batch).values()).backward()
    optimiser.step()
    assert not torch.equal(losses_of(trained, batch)["restored"], losses_of(fresh, batch)["restored"])
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(losses_of(trained, batch)["restored"], losses_of(fresh, batch)["restored"])


def test_another_network_is_refused_and_the_way_to_train_it_named():
    with pytest.raises(ValidationError, match="train a unet by the cascade single_stage"):
        DsmsUNetSettings(network=NetworkSettings(name="unet"))
