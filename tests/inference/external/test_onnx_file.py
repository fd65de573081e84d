"""An ONNX file with a description beside it, as a step of a model."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from abdomen_phantom import PANCREAS_HU, abdomen, dice
from onnx import TensorProto, helper
from onnx_models import DESCRIPTION, by_brightness, write_convolution
from scipy import ndimage

from pancascade.errors import CheckpointError, MemoryShortageError, PancascadeError
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Volume, reorient, restore
from pancascade.inference.external import tiles
from pancascade.inference.external.kinds import load_external
from pancascade.inference.external.network_description import NetworkDescription
from pancascade.inference.models.known_models import find_model
from pancascade.inference.runners.loading import load_models, load_runners
from pancascade.segmentation import segment

WEIGHTS = np.random.default_rng(1).normal(0, 1, (3, 1, 3, 3, 3))
BIAS = np.array([0.1, 0.0, -0.2])


def softmax(answer):
    raised = np.exp(answer - answer.max(axis=0))
    return raised / raised.sum(axis=0)


def by_hand(scan: Volume, axes: str) -> np.ndarray:
    """The same convolution by SciPy on the whole array, whose axes point there; turned back."""
    turned = reorient(scan, axes)
    shown = np.clip((turned.voxels.astype(float) + 100) / 340, 0, 1)
    answer = [
        ndimage.correlate(shown, kernel[0], mode="constant") + bias for kernel, bias in zip(WEIGHTS, BIAS, strict=True)
    ]
    return np.stack([restore(turned.with_voxels(one), scan).voxels for one in softmax(np.stack(answer))[1:]])


@pytest.mark.parametrize("axes", ["LPS", "SPL"])
def test_one_patch_answers_on_the_grid_of_the_file_as_by_hand(file, tmp_path, axes):
    patch = [26, 26, 26]
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, BIAS, described={"axes": axes, "patch": patch})
    scan = read_volume(file)
    maps = load_external("onnx", path, device="cpu").probabilities(scan)
    inside = (slice(None), *(slice(2, -2),) * 3)  # the patch is padded with the lowest value, SciPy's with 0
    assert maps.shape == (2, *scan.shape)
    assert np.abs(maps - by_hand(scan, axes))[inside].max() < 1e-5


def test_overlapping_patches_answer_what_the_whole_does_where_the_network_sees_one_voxel(volume, tmp_path):
    point = WEIGHTS[:, :, 1:2, 1:2, 1:2]
    path = write_convolution(tmp_path / "net.onnx", point, BIAS, described={"patch": [8, 32, 5]})
    maps = load_external("onnx", path, device="cpu").probabilities(volume)
    shown = np.clip((volume.voxels.astype(float) + 100) / 340, 0, 1)
    expected = softmax(point.reshape(3, 1, 1, 1) * shown + BIAS.reshape(3, 1, 1, 1))[1:]
    assert np.abs(maps - expected).max() < 1e-5


def test_a_network_of_slices_sees_each(volume, tmp_path):
    flat = WEIGHTS[:, :, 1]
    described = {"axes": "SPL", "dimensions": 2, "patch": [1, 32, 32]}
    path = write_convolution(tmp_path / "net.onnx", flat, BIAS, described=described)
    maps = load_external("onnx", path, device="cpu").probabilities(volume)
    shown = np.clip((volume.voxels.astype(float) + 100) / 340, 0, 1)[:, :, 4].T
    answer = [
        ndimage.correlate(shown, kernel[0], mode="constant") + bias for kernel, bias in zip(flat, BIAS, strict=True)
    ]
    assert np.abs(maps[:, :, :, 4].transpose(0, 2, 1) - softmax(np.stack(answer))[1:])[:, 2:-2, 2:-2].max() < 1e-5


def test_patches_cover_every_voxel_and_end_at_the_end():
    assert tiles.starts((20, 8, 9), (8, 8, 8), 0.5) == [[0, 4, 8, 12], [0], [0, 1]]
    weight = tiles.gaussian_weight((9, 5, 1))
    assert (weight[4, 2, 0], weight.shape) == (1, (9, 5, 1))
    assert np.array_equal(weight, weight[::-1])
    assert weight.min() >= 1e-3


def test_all_of_segment_stands_around_it(tmp_path):
    scan, truth = abdomen()
    path = by_brightness(tmp_path / "bright.onnx", patch=[32, 32, 16], spacing_mm=[5, 5, 5], overlap=0.25)
    found = segment(scan, model=str(path))
    assert dice(found.mask.voxels > 0, truth > 0) > 0.85
    assert dice(found.mask.voxels == 2, truth == 2) > 0.7
    assert (found.model, found.runs_on) == ("bright.onnx", "ONNX Runtime CPU")


def test_what_is_too_large_or_in_the_wrong_place_is_withheld_as_a_cascade_s_organ_is(tmp_path):
    scan, truth = abdomen()
    small, large = (by_brightness(tmp_path / f"{name}.onnx", patch=[58, 46, 20]) for name in ("small", "large"))
    all_muscle, bias = np.array([0, 60, 0.0]).reshape(3, 1, 1, 1, 1), np.array([0, -15.0, -99.0])
    write_convolution(large, all_muscle, bias, described={"patch": [58, 46, 20]})
    bare, _ = abdomen(pancreas=False, tumour=False)
    hu = bare.voxels.copy()
    hu[8:20, 28:36, 4:12] = PANCREAS_HU
    aside = bare.with_voxels(hu)
    for case, path in ((scan, large), (aside, small)):
        found = segment(case, model=str(path))
        assert not found.mask.voxels.any()
        assert found.location.plausibility < 0.2
        assert "doubtful_withheld" in {notice.code for notice in found.notices}
        kept = segment(case, model=str(path), keep_doubtful=True)
        assert kept.mask.voxels.any()
    good = segment(scan, model=str(small))
    assert good.location.plausibility > 0.5
    assert dice(good.mask.voxels > 0, truth > 0) > 0.85


def test_it_finds_the_tumour_in_a_given_pancreas(tmp_path):
    scan, truth = abdomen()
    path = by_brightness(tmp_path / "bright.onnx", patch=[32, 32, 16])
    found = segment(scan, model=str(path), pancreas=scan.with_voxels((truth > 0).astype(np.uint8)))
    assert np.array_equal(found.mask.voxels > 0, truth > 0)
    assert dice(found.mask.voxels == 2, truth == 2) > 0.9


def test_channels_that_overlap_are_parted():
    description = NetworkDescription.model_validate(DESCRIPTION | {"activation": "sigmoid", "nested": True})
    shown = np.zeros((3, 1, 1, 2), np.float32)
    shown[1:, 0, 0, 0] = 2, -2
    maps = description.activate(shown)
    assert maps[1, 0, 0, 0] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)


@pytest.mark.parametrize(
    ("described", "fault"),
    [
        ({"labels": {"tumour": [2]}}, "labels.pancreas: is missing"),
        ({"labels": {"pancreas": [5]}}, "returns 3 channels"),
        ({"axes": "XYZ"}, "axes"),
        ({"patch": [4000, 4000, 4000]}, "larger than memory"),
        ({"clip_hu": [5, -5]}, "clip_hu"),
        ({"clip_hu": [-100, 1e308]}, "clip_hu"),
        ({"mean_hu": 5}, "give both or none"),
        ({"mean_hu": 5, "std_hu": 1e-300}, "std_hu"),
        ({"colour": "red"}, "no such key"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_in_one_sentence(volume, tmp_path, described, fault):
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, BIAS, described=described)
    with pytest.raises(PancascadeError, match=fault) as refusal:
        load_external("onnx", path, device="cpu").probabilities(volume)
    assert len(str(refusal.value)) <= 200


def broken_json(path):
    path.with_suffix(".json").write_text('{"axes": ')


def no_json(path):
    path.with_suffix(".json").unlink()


def no_onnx(path):
    path.write_bytes(b"no network")


def two_channels(path):
    write_convolution(path, np.concatenate([WEIGHTS, WEIGHTS], axis=1), BIAS, channels=2)


def other_sides(path):
    write_convolution(path, WEIGHTS, BIAS, sides=[16, 16, 16])


def no_input(path):
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["answer"], value_float=1.0)],
        "none",
        [],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def two_dimensions(path):
    path.with_suffix(".json").write_text(json.dumps(DESCRIPTION | {"dimensions": 2, "patch": [1, 8, 8]}))


def weights_elsewhere(path):
    content = onnx.load(path)
    onnx.save(content, path, save_as_external_data=True, location="net.data", size_threshold=0)


def no_weights(path):
    weights_elsewhere(path)
    path.with_name("net.data").unlink()


def half_of_the_weights(path):
    weights_elsewhere(path)
    weights = path.with_name("net.data")
    weights.write_bytes(weights.read_bytes()[:10])


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (broken_json, "not readable JSON"),
        (no_json, "needs net.json beside it"),
        (no_onnx, "cannot be loaded as ONNX"),
        (two_channels, "takes nx2x"),
        (other_sides, "takes patches of 16x16x16"),
        (no_input, "takes no input"),
        (two_dimensions, "Correct dimensions"),
        (no_weights, "another file beside it, which is missing"),
        (half_of_the_weights, "another file beside it, which is missing"),
    ],
)
def test_a_file_that_is_no_such_network_is_refused_in_one_sentence(tmp_path, spoil, fault):
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, BIAS)
    spoil(path)
    with pytest.raises(PancascadeError, match=fault) as refusal:
        load_external("onnx", path, device="cpu")
    assert str(refusal.value).startswith("net.")
    assert len(str(refusal.value)) <= 200


def test_an_answer_that_is_no_number_is_refused(volume, tmp_path):
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, np.array([0, np.nan, 0]))
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        load_external("onnx", path, device="cpu").probabilities(volume)


def test_too_little_memory_is_one_sentence(volume, tmp_path, monkeypatch):
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, BIAS)
    network = load_external("onnx", path, device="cpu")

    def too_much(*_):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

    monkeypatch.setattr(network, "_predict", too_much)
    with pytest.raises(MemoryShortageError, match="not enough memory"):
        network.probabilities(volume)


def test_a_library_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write_convolution(tmp_path / "net.onnx", WEIGHTS, BIAS)
    monkeypatch.setattr("pancascade.inference.external.network.find_spec", lambda name: None)
    with pytest.raises(PancascadeError, match=r"pancascade\[export\]"):
        load_external("onnx", path, device="cpu")


def test_a_model_s_file_chains_it_with_other_steps(tmp_path):
    by_brightness(tmp_path / "bright.onnx", patch=[32, 32, 16])
    steps = [
        {"kind": "onnx", "weights": "bright.onnx"},
        {"kind": "onnx", "weights": "bright.onnx", "input": "roi", "margin_mm": 20},
    ]
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "summary": "two steps", "steps": steps}))
    scan, truth = abdomen()
    found = segment(scan, model=str(tmp_path / "mine.json"))
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9


@pytest.fixture
def two_steps(tmp_path):
    """A model whose first step is blind, and whose second one finds organ and tumour in a region."""
    by_brightness(tmp_path / "bright.onnx", patch=[32, 32, 16])
    write_convolution(tmp_path / "blind.onnx", np.zeros((3, 1, 1, 1, 1)), np.array([9, 0, 0]))
    steps = [
        {"kind": "onnx", "weights": "blind.onnx"},
        {"kind": "onnx", "weights": "bright.onnx", "input": "roi", "margin_mm": 20},
    ]
    (tmp_path / "two.json").write_text(json.dumps({"name": "two", "summary": "two steps", "steps": steps}))
    return tmp_path / "two.json"


def test_another_network_finds_the_pancreas_in_the_place_of_a_model_s_first_step(two_steps, tmp_path):
    scan, truth = abdomen()
    assert not segment(scan, model=str(two_steps)).mask.voxels.any()
    found = segment(scan, model=str(two_steps), pancreas_model=str(tmp_path / "bright.onnx"))
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert dice(found.mask.voxels == 2, truth == 2) > 0.9
    assert found.model == "two after bright.onnx"


def test_a_model_in_a_folder_is_given_by_a_relative_path_too(two_steps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    near = str(two_steps.relative_to(tmp_path.parent))
    (loaded,) = load_models(near, "cpu", pancreas_model=str(tmp_path / "bright.onnx"))
    assert [Path(step.weights).name for step in loaded.model.steps] == ["bright.onnx", "bright.onnx"]


def test_a_model_without_a_step_for_a_region_takes_no_other_pancreas(two_steps, tmp_path):
    path = str(tmp_path / "bright.onnx")
    with pytest.raises(PancascadeError, match="has no step for a region"):
        segment(abdomen()[0], model=path, pancreas_model=path)


def test_what_needs_a_cascade_refuses_other_networks(two_steps):
    with pytest.raises(PancascadeError, match="no cascade"):
        load_runners(find_model(str(two_steps)), "cpu")


def test_a_step_of_another_program_takes_over_no_map(two_steps):
    two_steps.write_text(two_steps.read_text().replace('"input"', '"rois_from": "previous_step", "input"'))
    with pytest.raises(PancascadeError, match="leave rois_from at self"):
        find_model(str(two_steps))
