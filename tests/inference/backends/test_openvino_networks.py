"""OpenVINO must answer what torch answers in float32: probabilities differ by at most `BOUNDS`, on average by `MEANS`.

In bfloat16 torch itself is further away: up to 0.08 on the same slices.
"""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pancascade.errors import PancascadeError
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import find_placement
from pancascade.imaging.preprocessing.network_grid import to_network_grid
from pancascade.imaging.volume import reorient
from pancascade.inference.backends import openvino_networks
from pancascade.inference.backends.openvino_networks import OpenVinoNetwork, accelerate, accelerated, backend_name
from pancascade.methods.cascades import build_cascade
from pancascade.methods.cascades.coarse_to_fine import CoarseToFineSettings
from pancascade.methods.cascades.dsms_unet import DsmsUNetSettings
from pancascade.methods.cascades.lsnet import LSNetSettings
from pancascade.methods.cascades.qiu2024 import Qiu2024Settings
from pancascade.methods.cascades.single_stage import SingleStageSettings
from pancascade.methods.cascades.zhao2019_settings import Zhao2019Settings
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.build import PRESETS, build

pytest.importorskip("openvino")

ROOT = Path(__file__).parents[3]
BOUNDS = {"f32": 1e-4, "bf16": 0.05}
SHIPPED_BOUNDS = {"f32": 1e-4, "bf16": 0.2}
"""Depthwise networks differ more at single pixels of an edge; on average and in the mask as little as others."""
SHIPPED_PARTS = {"pancreas": (slice(192), slice(-256, None)), "tumour": (slice(40, 168), slice(104, 296))}
"""Rows and columns that the networks see: a part of the slice, since a whole one takes seconds; the organ's region."""
MEANS = {"f32": 1e-6, "bf16": 1e-3}
SHIPPED_AGREEMENT = {"f32": 0.9999, "bf16": 0.999}
"""Share of pixels on the same side of ½."""
CPU = torch.device("cpu")


def tiny(name: str, **options) -> NetworkSettings:
    return NetworkSettings(name=name, preset="tiny", options=options)


CASCADES = {
    "qiu2024": Qiu2024Settings(first=tiny("multiscale_unet"), second=tiny("focusing_net"), crop_size=(32, 48)),
    "lsnet": LSNetSettings(first=tiny("localization_net"), second=tiny("resnet_unet")),
    "dsms_unet": DsmsUNetSettings(network=tiny("dsms_unet"), target="nested"),
    "coarse_to_fine": CoarseToFineSettings(
        first=tiny("unet"), second=tiny("focusing_net"), crop_size=(32, 32), first_scale=0.5
    ),
    "single_stage": SingleStageSettings(network=tiny("unet"), labels=("pancreas", "tumour")),
}


def cascade_of(name: str):
    torch.manual_seed(3)
    return build_cascade(CASCADES[name]).eval()


def disc(count: int, size: tuple[int, int]) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    return ((rows**2 + columns**2) < 0.3).float().expand(count, 1, -1, -1)


@torch.inference_mode()
def both_answers(
    plain, fast, images: torch.Tensor, probabilities: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Stage 1's probabilities, and the final ones after the same hand-over, by torch and by OpenVINO."""
    handed_over = plain.from_mask(images, probabilities)
    return [
        (plain.locate(images).probabilities, fast.locate(images).probabilities),
        (plain.segment(images, handed_over), fast.segment(images, handed_over)),
    ]


def require_openvino_ran(cascade) -> None:
    replaced = [child for child in cascade.children() if isinstance(child, OpenVinoNetwork)]
    assert replaced
    for network in replaced:
        assert network.given_up is None
        assert len(network.sizes) == 1


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("name", CASCADES)
def test_the_papers_cascades_answer_as_with_torch(name, precision):
    plain = cascade_of(name)
    fast = accelerate(plain, precision=precision)
    images = torch.rand(3, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    for by_torch, by_openvino in both_answers(plain, fast, images, disc(3, (64, 96))):
        assert by_openvino.dtype == torch.float32
        assert (by_torch - by_openvino).abs().max() <= BOUNDS[precision]
    require_openvino_ran(fast)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("weights", ["pancreas", "tumour"])
def test_shipped_weights_answer_as_with_torch_on_slices_of_the_example(weights, precision):
    plain, description = load_checkpoint(ROOT / "src" / "pancascade" / "weights" / f"{weights}.safetensors")
    rows, columns = SHIPPED_PARTS[weights]
    images = example_on(description.canvas, slices=(16, 20))[..., rows, columns]
    fast = accelerate(plain, precision=precision)
    located, segmented = both_answers(plain, fast, images, plain.locate(images).probabilities.detach())
    for by_torch, by_openvino in (located, segmented):
        assert (by_torch - by_openvino).abs().max() <= SHIPPED_BOUNDS[precision]
        assert (by_torch - by_openvino).abs().mean() <= MEANS[precision]
        assert ((by_torch >= 0.5) == (by_openvino >= 0.5)).float().mean() >= SHIPPED_AGREEMENT[precision]
    assert (located[0] >= 0.5).any()
    require_openvino_ran(fast)


def example_on(canvas, *, slices: tuple[int, ...]) -> torch.Tensor:
    volume = reorient(read_volume(ROOT / "examples" / "pancreatic_ct.nii.gz"), "LPS")
    hu = np.ascontiguousarray(volume.voxels[:, :, list(slices)].transpose(2, 1, 0))
    column_mm, row_mm, _ = volume.spacing_mm
    placement = find_placement(hu, spacing_mm=(row_mm, column_mm), canvas=canvas, grow=canvas.larger_slices == "grow")
    shown = torch.from_numpy(to_network_grid(canvas.window.apply(hu)[:, None], placement))
    return shown.expand(-1, canvas.channels, -1, -1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multiscale_unet", {"skips": "authors", "up_sampling": "authors"}),
        ("focusing_net", {"source": "encoder", "discover": "false_positives"}),
        ("focusing_net", {"source": "authors", "discover": "false_negatives", "eq8": "literal"}),
        ("focusing_net", {"localization": False, "focusing": False}),
        ("localization_net", {"basis": "fcn", "distance": "exp"}),
        ("localization_net", {"in_channels": 3, "normalisation": "imagenet"}),
        ("resnet_unet", {"basis": "fcn", "normalisation": "imagenet"}),
        ("dsms_unet", {"skips": "kcm"}),
        ("unet", {"out_channels": 2}),
        ("efficient_unet", {"out_channels": 2, "presence": True}),
        ("efficient_unet", {"widths": (8, 8, 4, 4, 4)}),
        ("fcn8s", {"in_channels": 3, "normalisation": "imagenet"}),
        ("dense_unet", {}),
        ("focusing_resnet", {"depth": 18}),
    ],
)
def test_every_reading_of_every_network_on_slices_has_a_counterpart(name, options):
    torch.manual_seed(5)
    network = build(name, preset="tiny", **options).eval()
    fast = OpenVinoNetwork(network, precision="f32")
    images = torch.rand(2, 1, 48, 80)
    with torch.inference_mode():
        wanted, answer = network(images), fast(images)
    assert fast.given_up is None
    assert fast.sizes == [(1, 48, 80)]
    assert type(answer) is type(wanted)
    for one, other in zip(as_tuple(wanted), as_tuple(answer), strict=True):
        assert other.shape == one.shape
        torch.testing.assert_close(other, one, atol=1e-3, rtol=1e-3)


def as_tuple(answer) -> tuple[torch.Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def test_the_list_of_networks_tested_is_the_list_of_networks():
    """A new network shall be added above, or named here with the reason."""
    on_volumes, too_small, when_trained = (
        {"unet3d"},
        {"saliency"},
        {"monai"},
    )  # tests/training/test_baselines_trained.py
    tested = {
        "multiscale_unet",
        "focusing_net",
        "localization_net",
        "resnet_unet",
        "dsms_unet",
        "unet",
        "efficient_unet",
        "fcn8s",
        "dense_unet",
        "focusing_resnet",
    }
    assert set(PRESETS) == tested | on_volumes | too_small | when_trained


def test_batches_of_any_size_are_answered_image_by_image():
    network = build("focusing_net", preset="tiny").eval()
    fast = OpenVinoNetwork(network, precision="f32")
    images = torch.rand(7, 1, 32, 32)
    with torch.inference_mode():
        answers = {count: fast(images[:count])[-1] for count in (5, 1, 7, 2)}
        alone = torch.cat([fast(image[None])[-1] for image in images])
    assert len(fast.sizes) == 1
    for count, answer in answers.items():
        torch.testing.assert_close(answer, alone[:count], atol=1e-4, rtol=1e-4)


def test_an_answer_stays_when_the_next_one_comes():
    fast = OpenVinoNetwork(build("unet", preset="tiny").eval(), precision="f32")
    with torch.inference_mode():
        first = fast(torch.zeros(1, 1, 32, 32))
        kept = first.clone()
        fast(torch.ones(1, 1, 32, 32))
    assert torch.equal(first, kept)


def test_each_size_is_compiled_once_and_only_some_are_kept(monkeypatch):
    compiled = []
    true = openvino_networks._compile

    def counting(network, image, *, precision):
        compiled.append(tuple(image.shape))
        return true(network, image, precision=precision)

    monkeypatch.setattr(openvino_networks, "_compile", counting)
    fast = OpenVinoNetwork(build("unet", preset="tiny").eval(), precision="f32")
    sizes = [(16 * side, 32) for side in range(1, openvino_networks.SIZES_KEPT + 2)]
    with torch.inference_mode():
        for size in (*sizes, sizes[-1]):
            assert fast(torch.rand(1, 1, *size)).shape == (1, 1, *size)
    assert compiled == [(1, 1, *size) for size in sizes]
    assert len(fast.sizes) == openvino_networks.SIZES_KEPT


class Exotic(nn.Module):
    def forward(self, images):
        return torch.cumsum(images, dim=-1)


def test_what_has_no_counterpart_is_run_by_torch_and_the_reason_is_logged(caplog):
    fast = OpenVinoNetwork(Exotic().eval(), precision="f32", name="first")
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        answer = fast(torch.ones(2, 1, 4, 4))
        fast(torch.ones(2, 1, 4, 4))
    assert torch.equal(answer[0, 0, 0], torch.tensor([1.0, 2, 3, 4]))
    assert fast.given_up == "aten.cumsum"
    (record,) = caplog.records
    assert record.getMessage() == "OpenVINO cannot run the network first (aten.cumsum); torch runs it."


def test_an_answer_that_is_not_torch_s_is_not_used(monkeypatch, caplog):
    from pancascade.inference.backends import openvino_operators

    monkeypatch.setitem(openvino_operators.OPERATORS, "aten.relu_", openvino_operators.same)
    torch.manual_seed(5)
    network = build("unet", preset="tiny").eval()
    fast = OpenVinoNetwork(network, precision="f32")
    images = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(fast(images), network(images))
    assert "differs from torch's" in fast.given_up
    assert len(caplog.records) == 1


def test_a_graph_that_loses_the_batch_is_not_run(monkeypatch):
    """OpenVINO would not refuse it, but crash."""
    from openvino import opset13 as ops

    from pancascade.inference.backends import openvino_operators

    def fixed(values, *_):
        return ops.reshape(values, ops.constant(np.array([1, 1, 32, 32])), False)

    class Reshaping(nn.Module):
        def forward(self, images):
            return images.view(len(images), 1, 32, 32).sigmoid()

    monkeypatch.setitem(openvino_operators.OPERATORS, "aten.view", fixed)
    fast = OpenVinoNetwork(Reshaping().eval(), precision="f32")
    with torch.inference_mode():
        assert fast(torch.rand(3, 1, 32, 32)).shape == (3, 1, 32, 32)
    assert "aten.view gives [1,1,32,32]" in fast.given_up


def test_images_that_the_network_cannot_take_fail_as_with_torch():
    network = build("unet", preset="tiny").eval()
    images = torch.rand(1, 1, 33, 32)
    with pytest.raises(RuntimeError) as by_torch:
        network(images)
    with pytest.raises(RuntimeError) as by_openvino:
        OpenVinoNetwork(network, precision="f32")(images)
    assert str(by_openvino.value) == str(by_torch.value)


def test_the_cascade_itself_stays_with_torch_and_shares_its_weights():
    plain = cascade_of("qiu2024")
    fast = accelerate(plain, precision="f32")
    assert fast is not plain
    assert not any(isinstance(child, OpenVinoNetwork) for child in plain.children())
    assert fast.first.network is plain.first
    assert fast.saliency is plain.saliency


def test_volumes_stay_with_torch():
    settings = Zhao2019Settings(first=tiny("unet3d"), second=tiny("unet3d"))
    plain = build_cascade(settings).eval()
    fast, name = accelerated(plain, CPU)
    assert fast.first is plain.first
    assert name in ("torch f32", "torch bf16")


def test_the_runner_is_chosen_and_named(monkeypatch):
    plain = cascade_of("single_stage")
    fast, name = accelerated(plain, CPU)
    assert isinstance(fast.network, OpenVinoNetwork)
    assert name == f"OpenVINO {fast.network.precision}"
    by_torch, name = accelerated(plain, CPU, backend="torch")
    assert name.startswith("torch ")
    assert type(by_torch.network) is type(plain.network)
    monkeypatch.setattr(openvino_networks, "openvino_available", lambda: False)
    assert accelerated(plain, CPU)[1] == name
    with pytest.raises(PancascadeError, match="pip install openvino"):
        accelerated(plain, CPU, backend="openvino")


def test_the_name_tells_what_was_given_up():
    fast = accelerate(cascade_of("qiu2024"), precision="f32")
    assert backend_name(fast, CPU) == "OpenVINO f32"
    fast.second.given_up = "a reason"
    assert backend_name(fast, CPU).startswith("OpenVINO f32, torch ")
    assert backend_name(fast, CPU).endswith(" for second")
    fast.first.given_up = "a reason"
    assert backend_name(fast, CPU) == backend_name(cascade_of("qiu2024"), CPU)


def test_openvino_is_for_the_cpu():
    plain = cascade_of("single_stage")
    assert accelerated(plain, torch.device("meta"))[0] is plain
    with pytest.raises(PancascadeError, match="runs on the CPU, not on meta"):
        accelerated(plain, torch.device("meta"), backend="openvino")
