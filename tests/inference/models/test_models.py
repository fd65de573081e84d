import json
import shutil

import pytest
import torch
from abdomen_phantom import abdomen

from pancascade.cli import segment_options
from pancascade.errors import CheckpointError, PancascadeError, UnknownModelError
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.models.known_models import DEFAULT_MODEL, find_model, is_own, shipped_models
from pancascade.methods.cascades import SingleStage, SingleStageSettings
from pancascade.methods.checkpoint import ModelDescription, load_checkpoint, save_checkpoint
from pancascade.methods.networks import NetworkSettings
from pancascade.segmentation import segment

TINY = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"), labels=("pancreas", "tumour"))


def write_model(folder, **more):
    path = folder / "mine.json"
    path.write_text(json.dumps({"name": "mine", "summary": "x", "steps": [{"weights": "a.safetensors"}], **more}))
    return path


def constant_checkpoint(path, *, logits):
    """A tiny network that answers the same logit everywhere, whatever it sees."""
    cascade = SingleStage(TINY)
    with torch.no_grad():
        for parameter in cascade.parameters():
            parameter.zero_()
        cascade.network.head.bias.copy_(torch.tensor(logits))
    description = ModelDescription(cascade=TINY, canvas=Canvas(size=(32, 32), spacing_mm=8.0))
    save_checkpoint(path, cascade, description=description, half_precision=True)
    return str(path)


def test_a_name_is_own_unless_a_model_of_it_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT_MODEL).mkdir()
    (tmp_path / "a.safetensors").touch()
    assert not is_own(DEFAULT_MODEL)
    assert all(map(is_own, ("a.safetensors", "nothing", ".", f"./{DEFAULT_MODEL}", "../exported", "")))


def test_every_shipped_model_is_whole():
    models = shipped_models()
    assert DEFAULT_MODEL in [model.name for model in models]
    weights = set()
    for model in models:
        assert model.summary
        assert model.licence != "unstated"
        assert model.steps[0].input == "scan"
        assert model.card is not None
        assert "licen" in (model.folder / model.card).read_text(encoding="utf-8").lower()
        assert find_model(model.name) == model
        weights |= {model.folder / step.weights for step in model.steps}
    assert weights == set(models[0].folder.glob("*.safetensors")), "each file of weights belongs to a model"
    assert sum(path.stat().st_size for path in weights) <= 30 * 2**20
    for path in weights:
        cascade, description = load_checkpoint(path)
        assert not cascade.training
        assert cascade.labels
        assert description.canvas.spacing_mm is not None
        assert all(torch.isfinite(value).all() for value in cascade.state_dict().values())


def test_the_command_line_s_default_is_the_interface_s():
    assert segment_options.DEFAULT_MODEL == DEFAULT_MODEL


def test_a_model_of_one_s_own_by_the_path_of_its_json(tmp_path):
    path = write_model(tmp_path, card="card.md")
    (tmp_path / "card.md").write_text("# Mine")
    model = find_model(str(path))
    assert (model.name, model.folder, model.card_text()) == ("mine", tmp_path, "# Mine")


def test_a_card_that_is_not_utf_8_is_shown_as_far_as_it_can_be(tmp_path):
    path = write_model(tmp_path, card="card.md")
    (tmp_path / "card.md").write_bytes(b"# M\xfcller")
    assert find_model(str(path)).card_text() == "# M\ufffdller"


def test_a_model_without_a_card_shows_its_summary(tmp_path):
    assert find_model(str(write_model(tmp_path))).card_text() == "x"


def test_a_checkpoint_is_a_model_of_one_step(tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"x")
    model = find_model(str(path))
    assert model.name == "own"
    assert [step.weights for step in model.steps] == ["own.safetensors"]
    assert model.folder == tmp_path


@pytest.mark.parametrize("name", ["", "qiu2042", "no/such.safetensors", "no/such.json", "."])
def test_an_unknown_model_lists_the_shipped_ones(name):
    with pytest.raises(UnknownModelError, match=f"no such model; shipped: .*{DEFAULT_MODEL}"):
        find_model(name)


DAMAGED = {
    "no JSON": "{",
    "no object": "[]",
    "an unknown key": '{"name": "a", "summary": "b", "steps": [{"weights": "a"}], "colour": 3}',
    "a key is missing": '{"name": "a"}',
    "a wrong field": '{"name": "a", "summary": "b", "steps": [{"weights": "a", "field": "moon"}]}',
    "no step": '{"name": "a", "summary": "b", "steps": []}',
    "no step on the scan": '{"name": "a", "summary": "b", "steps": [{"weights": "a", "input": "roi"}]}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_model_description_is_one_sentence(tmp_path, text):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(UnknownModelError, match=r"mine\.json: ") as caught:
        find_model(str(tmp_path / "mine.json"))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_says_pancreas_everywhere_runs_through(tmp_path):
    scan, _ = abdomen()
    found = segment(scan, model=constant_checkpoint(tmp_path / "all.safetensors", logits=(9.0, -9.0)))
    assert found.model == "all"
    assert (found.mask.voxels == 1).all()
    assert any("large" in warning for warning in found.warnings)


def test_a_checkpoint_that_says_background_everywhere_finds_no_pancreas(tmp_path):
    scan, _ = abdomen()
    found = segment(scan, model=constant_checkpoint(tmp_path / "none.safetensors", logits=(-9.0, -9.0)))
    assert not found.mask.voxels.any()
    assert any("No pancreas" in warning for warning in found.warnings)


def test_weights_that_are_missing_or_damaged_are_one_sentence(tmp_path):
    scan, _ = abdomen()
    model = write_model(tmp_path)
    for content in (None, b"x", b"x" * 100):
        if content is not None:
            (tmp_path / "a.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.safetensors: ") as caught:
            segment(scan, model=str(model))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["banana", "cuda:99", ""])
def test_a_device_that_is_not_there_is_one_sentence(tmp_path, device):
    scan, _ = abdomen()
    model = constant_checkpoint(tmp_path / "a.safetensors", logits=(-9.0, -9.0))
    with pytest.raises(PancascadeError, match=r"Device .* cannot be used.*Try cpu") as caught:
        segment(scan, model=model, device=device)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_model_and_the_message_says_which_file_is(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(UnknownModelError, match=r"^run: a folder, no model\. Give a \.safetensors or \.json file\.$"):
        find_model(str(run))
    (run / "last.safetensors").write_bytes(b"")
    with pytest.raises(UnknownModelError, match=r"such as last\.safetensors"):
        find_model(str(run))
    (run / "best.safetensors").write_bytes(b"")
    with pytest.raises(UnknownModelError, match=r"^run: a folder of a training run\. Give its best\.safetensors"):
        find_model(str(run))


def test_a_folder_with_the_name_of_a_shipped_model_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / DEFAULT_MODEL).mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model(DEFAULT_MODEL).name == DEFAULT_MODEL


@pytest.mark.parametrize("text", ["[" * 100_000, '{"name": ' + "9" * 5000 + "}", "[]", "3", '{"steps": "x"}', "\xff"])
def test_a_description_that_cannot_be_used_is_one_short_sentence(tmp_path, text):
    (tmp_path / "tiny.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnknownModelError, match=r"^tiny\.json: ") as refused:
        find_model(str(tmp_path / "tiny.json"))
    assert len(str(refused.value)) <= 200
    assert "\n" not in str(refused.value)


def test_shipped_weights_in_each_other_s_place_are_refused(tmp_path, monkeypatch):
    from pancascade.inference.models import known_models, model_files

    model = find_model("qiu2024-small")
    assert [model.weights_of(step).name for step in model.steps] == ["pancreas.safetensors", "tumour.safetensors"]
    folder = tmp_path / "weights"
    shutil.copytree(model_files.shipped_folder(), folder)
    shutil.copy(folder / "tumour.safetensors", folder / "pancreas.safetensors")
    for module in (known_models, model_files):
        monkeypatch.setattr(module, "shipped_folder", lambda: folder)
    exchanged = find_model("qiu2024-small")
    with pytest.raises(UnknownModelError, match=r"pancreas\.safetensors: not the weights of the model's description"):
        exchanged.weights_of(exchanged.steps[0])
