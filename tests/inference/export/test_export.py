import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pancascade.errors import ExportError, OutputError
from pancascade.imaging.preprocessing import Canvas, VolumeGrid, Window
from pancascade.inference.export import formats as export_formats
from pancascade.inference.export import model as exporting
from pancascade.inference.export.comparison import image_on_network_grid, require_same
from pancascade.inference.export.model import export_model
from pancascade.inference.models.model import Model, Step
from pancascade.methods.cascades import build_cascade
from pancascade.methods.cascades.lsnet import LSNetSettings
from pancascade.methods.cascades.qiu2024 import Qiu2024Settings
from pancascade.methods.cascades.single_stage import SingleStageSettings
from pancascade.methods.cascades.zhao2019_settings import Zhao2019Settings
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.methods.networks import NetworkSettings

CANVAS = Canvas(size=(48, 64), spacing_mm=2.0, window=Window(lower_hu=-50, upper_hu=150))


def tiny(name: str) -> NetworkSettings:
    return NetworkSettings(name=name, preset="tiny")


QIU = Qiu2024Settings(
    first=tiny("multiscale_unet"), second=tiny("focusing_net"), crop_size=(32, 48), first_scale=0.7, margin=7
)
UNET = SingleStageSettings(network=tiny("unet"))
LSNET = LSNetSettings(first=tiny("localization_net"), second=tiny("resnet_unet"))


@pytest.fixture
def make_model(tmp_path):
    """A model of our own whose checkpoints are random cascades."""

    def make(*settings, canvas=CANVAS) -> Model:
        steps = []
        for number, each in enumerate(settings):
            torch.manual_seed(number)
            name = f"{each.kind}.safetensors"
            save_checkpoint(tmp_path / name, build_cascade(each).eval(), description=describe(each, canvas))
            steps.append(Step(weights=name, input="roi" if number else "scan"))
        (tmp_path / "card.md").write_text("# Card\n")
        more = {"licence": "CC0", "card": "card.md", "folder": tmp_path, "organ_threshold": 0.4}
        return Model(name="mine", summary="a test", steps=tuple(steps), **more)

    return make


def test_every_network_of_every_step_is_written_with_what_one_needs_to_chain_them(make_model, tmp_path):
    pytest.importorskip("openvino")
    reported = []
    made = export_model(make_model(QIU, LSNET), tmp_path / "out", file_format="openvino", reported=reported.append)
    description = json.loads((tmp_path / "out" / "export.json").read_text())
    assert description == json.loads(made.model_dump_json())
    stems = ["1_qiu2024_first", "1_qiu2024_saliency", "1_qiu2024_second", "2_lsnet_first", "2_lsnet_second"]
    files = {f"{stem}.{end}" for stem in stems for end in ("xml", "bin")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | {
        "export.json",
        "model-card.md",
        "LICENCE.txt",
    }
    assert [network.file for network in reported] == [f"{stem}.xml" for stem in stems]
    first, second = description["steps"]
    shapes = [network["input_shape"] for network in first["networks"]]
    assert shapes == [["batch", 1, 32, 48], ["batch", 1, 48, 64], ["batch", 1, 32, 48]]
    assert [output["name"] for output in first["networks"][2]["outputs"]] == ["ml", "fm5", "fm4", "fm3", "fm2"]
    assert [output["shape"] for output in second["networks"][0]["outputs"]] == [
        ["batch", 1, 12, 16],
        ["batch", 4, 12, 16],
    ]
    assert first["canvas"]["spacing_mm"] == 2.0
    assert first["canvas"]["window"] == {"lower_hu": -50.0, "upper_hu": 150.0}
    assert (first["cascade"]["margin"], first["cascade"]["first_scale"]) == (7, 0.7)
    assert first["labels"] == ["pancreas", "tumour"]
    assert second["step"]["input"] == "roi"
    assert description["organ_threshold"] == 0.4
    assert description["licence"] == "CC0"
    assert "CC0" in (tmp_path / "out" / "LICENCE.txt").read_text()
    assert (tmp_path / "out" / "model-card.md").read_text() == "# Card\n"


def test_a_model_that_sees_neighbours_is_written_with_as_many_channels(make_model, tmp_path):
    pytest.importorskip("openvino")
    five = NetworkSettings(name="efficient_unet", preset="tiny", options={"in_channels": 5})
    settings = Qiu2024Settings(first=five, second=five, crop_size=(32, 48), helper_organs=("liver",), presence=True)
    canvas = CANVAS.model_copy(update={"neighbours": 2})
    made = export_model(make_model(settings, canvas=canvas), tmp_path / "out", file_format="openvino")
    (step,) = made.steps
    shapes = {network.network: network.input_shape for network in step.networks}
    assert shapes == {"first": ("batch", 5, 48, 64), "saliency": ("batch", 1, 48, 64), "second": ("batch", 5, 32, 48)}
    assert step.networks[0].outputs[0].shape == ("batch", 3, 48, 64)
    assert (step.canvas["neighbours"], step.cascade["presence"]) == (2, True)
    assert "presence" in step.chain[0]
    assert "canvas.neighbours" in made.axes


def test_openvino_files_answer_batches_of_any_size_under_the_names_described(make_model, tmp_path):
    openvino = pytest.importorskip("openvino")
    made = export_model(make_model(QIU), tmp_path / "out", file_format="openvino")
    network = made.steps[0].networks[2]
    model = openvino.Core().compile_model(tmp_path / "out" / network.file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for batch in (1, 5):
        found = model({network.input_name: np.zeros((batch, 1, 32, 48), np.float32)})
        assert found[network.outputs[-1].name].shape == (batch, 1, 32, 48)


def test_onnx_files_answer_as_torch_for_batches_of_any_size(make_model, tmp_path):
    for needed in ("onnx", "onnxscript"):
        pytest.importorskip(needed)
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make_model(UNET)
    made = export_model(model, tmp_path / "out", file_format="onnx")
    (network,) = made.steps[0].networks
    assert network.largest_difference < 1e-4
    assert b".py" not in (tmp_path / "out" / network.file).read_bytes()  # torch's notes of where each node came from
    session = onnxruntime.InferenceSession(tmp_path / "out" / network.file, providers=["CPUExecutionProvider"])
    cascade, _ = exporting.load_checkpoint(model.folder / "single_stage.safetensors")
    for batch in (1, 4):
        images = torch.rand(batch, 1, 48, 64)
        (answer,) = session.run([network.outputs[0].name], {network.input_name: images.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(answer, cascade.network(images).numpy(), atol=1e-4)


@pytest.mark.parametrize("before", [False, True])
def test_a_network_that_answers_differently_leaves_nothing_behind(make_model, tmp_path, monkeypatch, before):
    pytest.importorskip("openvino")
    out = tmp_path / "out"
    if before:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    true = export_formats.run_file
    monkeypatch.setattr(exporting, "run_file", lambda *a, **k: [maps + 1 for maps in true(*a, **k)])
    with pytest.raises(ExportError, match=r"1_single_stage_network\.xml: .* differs from torch's"):
        export_model(make_model(UNET), out, file_format="openvino")
    assert out.exists() == before
    assert not before or [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_no_fault_of_the_network(make_model, tmp_path, monkeypatch):
    openvino = pytest.importorskip("openvino")

    def full(*_, **__):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "save_model", full)
    with pytest.raises(OutputError, match=r"1_single_stage_network\.xml: cannot be written\. Free some space"):
        export_model(make_model(UNET), tmp_path / "out", file_format="openvino")
    assert not (tmp_path / "out").exists()


def test_maps_of_another_shape_and_numbers_that_are_none_are_refused():
    zeros = np.zeros((1, 1, 4, 4), np.float32)
    with pytest.raises(ExportError, match="gives maps of"):
        require_same([zeros[:, :, :2]], [zeros], file="a.onnx")
    with pytest.raises(ExportError, match="differs from torch's by nan"):
        require_same([zeros + np.nan], [zeros], file="a.onnx")
    assert require_same([zeros + 5e-4], [zeros], file="a.onnx") == pytest.approx(5e-4)
    assert require_same([zeros + 100.05], [zeros + 100], file="a.onnx") == pytest.approx(0.05, rel=1e-2)


def test_cascades_on_volumes_are_refused(make_model, tmp_path):
    pytest.importorskip("openvino")
    settings = Zhao2019Settings(first=tiny("unet3d"), second=tiny("unet3d"))
    with pytest.raises(ExportError, match="zhao2019 works on volumes"):
        export_model(make_model(settings, canvas=VolumeGrid(kind="volume")), tmp_path / "out", file_format="openvino")
    assert not (tmp_path / "out").exists()


def test_missing_libraries_are_named_before_any_work(make_model, tmp_path, monkeypatch):
    monkeypatch.setattr(export_formats, "find_spec", lambda name: None if name == "onnxscript" else SimpleNamespace())
    with pytest.raises(ExportError, match=r'needs onnxscript\. Run pip install "pancascade\[export\]"'):
        export_model(make_model(UNET), tmp_path / "out", file_format="onnx")
    assert not (tmp_path / "out").exists()


def test_the_drawn_image_is_one_that_networks_may_see():
    image = image_on_network_grid((48, 64))
    assert image.shape == (1, 1, 48, 64)
    assert image.min() == 0
    assert image.max() == 1
    assert len(image.unique()) >= 5
