"""Cascades whose networks are ONNX files, against the same cascades of torch."""

import json

import numpy as np
import pytest
import torch

from pancascade.errors import CheckpointError, ExportError, OutputError, UnknownModelError
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.backends.torch_cascade import TorchCascade
from pancascade.inference.export.runnable import export_runnable
from pancascade.inference.graphs.graph_network import graph_network
from pancascade.inference.graphs.loading import load_graphs
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Model, Step
from pancascade.inference.models.model_files import shipped_folder
from pancascade.methods.cascades import CoarseToFineSettings, Qiu2024Settings, SingleStageSettings, build_cascade
from pancascade.methods.cascades.lsnet import LSNetSettings
from pancascade.methods.checkpoint import describe, load_checkpoint, save_checkpoint
from pancascade.methods.networks import NetworkSettings

pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("operators_listed_once")

CANVAS = Canvas(size=(48, 64), spacing_mm=2.0)
TINY = NetworkSettings(name="unet", options={"widths": [2, 4]})
SETTINGS = {
    "qiu2024": Qiu2024Settings(
        first=TINY, second=TINY, crop_size=(32, 48), first_scale=0.7, margin=4, helper_organs=("liver",)
    ),
    "coarse_to_fine": CoarseToFineSettings(
        first=TINY, second=TINY, crop_size=(32, 32), margin=3, second_labels=("pancreas", "tumour")
    ),
    "single_stage": SingleStageSettings(network=TINY, labels=("pancreas", "tumour"), scale=0.5),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, operators_listed_once):
    """One model of three steps, which has seen nothing, written with its ONNX files."""
    folder = tmp_path_factory.mktemp("model")
    for number, (kind, settings) in enumerate(SETTINGS.items()):
        torch.manual_seed(number)
        cascade = build_cascade(settings).eval()
        for parameter in cascade.parameters():  # maps that are neither empty nor full
            parameter.data *= 2
        save_checkpoint(folder / f"{kind}.safetensors", cascade, description=describe(settings, CANVAS, trained_on=[]))
    steps = tuple(Step(weights=f"{kind}.safetensors") for kind in SETTINGS)
    export_runnable(Model(name="mine", summary="a test", steps=steps, folder=folder), folder / "out")
    return folder / "out"


def images(count=3, channels=1, size=CANVAS.size):
    return np.random.default_rng(0).random((count, channels, *size), dtype=np.float32)


def require_same(graphs, cascade, shown, *, atol=2e-5):
    torchs = TorchCascade(cascade, torch.device("cpu"), reduced=False)
    assert (graphs.labels, graphs.first_target, graphs.locates) == (
        torchs.labels,
        torchs.first_target,
        torchs.locates,
    )
    located, wanted = graphs.locate(shown), torchs.locate(shown)
    np.testing.assert_allclose(located.probabilities, wanted.probabilities, atol=atol)
    boxes = np.zeros((len(shown), 1, *shown.shape[2:]), np.float32)
    boxes[1:, :, 10:30, 20:41] = 0.9
    for one, other in ((located, wanted), (graphs.from_mask(shown, boxes), torchs.from_mask(shown, boxes))):
        assert one.boxes == other.boxes
        np.testing.assert_allclose(graphs.segment(shown, one), torchs.segment(shown, other), atol=atol)


def test_a_model_is_written_after_another_one_of_the_same_networks(tmp_path):
    """Their ONNX files are equal, so that only the weights tell their compiled networks apart."""
    for seed in (0, 1):
        folder, settings = tmp_path / str(seed), SETTINGS["single_stage"]
        folder.mkdir()
        torch.manual_seed(seed)
        checkpoint = folder / "w.safetensors"
        save_checkpoint(checkpoint, build_cascade(settings).eval(), description=describe(settings, CANVAS))
        model = Model(name="mine", summary="a test", steps=(Step(weights=checkpoint.name),), folder=folder)
        export_runnable(model, folder / "out")
    one, other = (tmp_path / seed / "out" / "w.network.onnx" for seed in "01")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_the_answer_is_that_of_torch(exported, kind, backend):
    pytest.importorskip(backend)
    cascade, description = load_checkpoint(exported / f"{kind}.safetensors")
    graphs, canvas, trained_on = load_graphs(exported / f"{kind}.safetensors", backend=backend)
    assert (canvas, trained_on) == (description.canvas, ())
    for size in (CANVAS.size, (96, 64), (64, 128)):  # the canvas grows with the scan
        require_same(graphs.exact(), cascade, images(size=size))


@pytest.mark.parametrize("name", ["pancreas", "tumour"])
def test_the_shipped_networks_answer_as_torch_does(name):
    pytest.importorskip("openvino")
    path = shipped_folder() / f"{name}.safetensors"
    graphs, canvas, _ = load_graphs(path, backend="openvino")
    height, width = canvas.size
    more = 32 if canvas.larger_slices == "grow" else 0
    for size in sorted({(height, width), (height + more, width + more)}):
        require_same(graphs.exact(), load_checkpoint(path)[0], images(2, canvas.channels, size), atol=1e-3)


def test_the_written_model_is_found_and_says_what_the_first_one_said(exported):
    model = find_model(str(exported))
    assert [step.weights for step in model.steps] == [f"{kind}.safetensors" for kind in SETTINGS]
    assert (model.name, model.card_text()) == ("mine", "a test")


def test_shipped_weights_never_stand_in_for_those_of_a_model_that_lost_them(exported, tmp_path):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    listed = json.loads((tmp_path / "model.json").read_text())
    listed["steps"][0]["weights"] = "pancreas.safetensors"
    (tmp_path / "model.json").write_text(json.dumps(listed))
    model = find_model(str(tmp_path))
    with pytest.raises(UnknownModelError, match=r"^pancreas\.safetensors: not the weights of the model"):
        model.weights_of(model.steps[0])


def copied(exported, tmp_path):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / "single_stage.safetensors"


def test_one_wrong_byte_anywhere_is_refused(exported, tmp_path):
    checkpoint = copied(exported, tmp_path)
    for name in ("single_stage.safetensors", "single_stage.network.onnx"):
        path = tmp_path / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        with pytest.raises(CheckpointError, match=rf"^{name}: damaged, it is not as it was written\. Copy it again\.$"):
            load_graphs(checkpoint, backend="openvino")
        path.write_bytes(whole)


def test_files_of_other_weights_are_refused(exported, tmp_path):
    checkpoint = copied(exported, tmp_path)
    description = tmp_path / "single_stage.graphs.json"
    reported = json.loads(description.read_text())
    description.write_text(json.dumps({**reported, "weights": "0" * 32}))
    with pytest.raises(
        CheckpointError, match=r"^single_stage\.graphs\.json: belongs to other weights than single_stage"
    ):
        load_graphs(checkpoint, backend="openvino")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("{", "cannot be read"),
        ("[]", "not a list of networks"),
        ('{"weights": "x", "networks": {"a": {"file": "../a.onnx", "digest": "x"}}}', "not a list of networks"),
    ],
)
def test_a_damaged_list_of_files_is_refused(exported, tmp_path, damage, sentence):
    checkpoint = copied(exported, tmp_path)
    (tmp_path / "single_stage.graphs.json").write_text(damage)
    with pytest.raises(CheckpointError, match=rf"^single_stage\.graphs\.json: {sentence}"):
        load_graphs(checkpoint, backend="openvino")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_canvas_that_does_not_grow_has_one_size(backend):
    pytest.importorskip(backend)
    network = graph_network(shipped_folder() / "pancreas.first.onnx", backend=backend, weights="")
    with pytest.raises(CheckpointError, match="written for images of 192x256 pixels, but this scan needs 192x288"):
        network(images(1, 1, (192, 288)))


def test_a_list_that_lacks_a_network_is_refused(exported, tmp_path):
    copied(exported, tmp_path)
    description = tmp_path / "qiu2024.graphs.json"
    listed = json.loads(description.read_text())
    del listed["networks"]["saliency"]
    description.write_text(json.dumps(listed))
    with pytest.raises(CheckpointError, match=r"description is damaged .*there is no network saliency"):
        load_graphs(tmp_path / "qiu2024.safetensors", backend="openvino")


def test_a_missing_network_is_refused(exported, tmp_path):
    checkpoint = copied(exported, tmp_path)
    (tmp_path / "single_stage.network.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"^single_stage\.network\.onnx: there is no such file\."):
        load_graphs(checkpoint, backend="openvino")


@pytest.mark.parametrize(
    "settings",
    [
        LSNetSettings(
            first=NetworkSettings(name="localization_net", preset="tiny"),
            second=NetworkSettings(name="resnet_unet", preset="tiny"),
        ),
        Qiu2024Settings(
            first=TINY, second=TINY, first_labels=("pancreas",), second_labels=("pancreas",), recurrence_rounds=2
        ),
    ],
    ids=["lsnet", "recurrence"],
)
def test_a_cascade_that_needs_torch_between_its_networks_is_not_written(tmp_path, settings):
    save_checkpoint(tmp_path / "a.safetensors", build_cascade(settings).eval(), description=describe(settings, CANVAS))
    model = Model(name="mine", summary="a test", steps=(Step(weights="a.safetensors"),), folder=tmp_path)
    with pytest.raises(ExportError, match=r"^a\.safetensors: a cascade of the kind .* needs torch between"):
        export_runnable(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_never_replaces_the_checkpoint_that_it_is_made_of(exported, tmp_path):
    model = find_model(str(exported))
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    with pytest.raises(OutputError, match="which is read"):
        export_runnable(model, exported)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
