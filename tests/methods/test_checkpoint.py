import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pancascade.errors import CheckpointError, OutputError
from pancascade.imaging.preprocessing import Canvas, VolumeGrid
from pancascade.inference.backends.fused_networks import fused_for_inference
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.methods.cascades import Qiu2024Settings, SingleStageSettings, Zhao2019Settings, build_cascade
from pancascade.methods.checkpoint import (
    count_parameters,
    describe,
    load_checkpoint,
    load_tensors,
    read_training,
    save_checkpoint,
    save_tensors,
)
from pancascade.methods.networks import NetworkSettings
from pancascade.methods.networks.build import PRESETS
from pancascade.methods.weights_file import DIGEST, HEADER

SETTINGS = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    cascade = build_cascade(SETTINGS)
    cascade(torch.rand(2, 1, 32, 32))  # moves the statistics of batch normalisation
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, cascade, description=describe(SETTINGS, Canvas(size=(32, 32)), epoch=3))
    return cascade, path


def test_a_checkpoint_gives_back_weights_canvas_and_training(saved):
    cascade, path = saved
    loaded, description = load_checkpoint(path)
    found = loaded.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in cascade.state_dict().items())
    assert not loaded.training
    image = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(loaded(image), cascade.eval()(image), atol=1e-6)
    assert description.canvas == Canvas(size=(32, 32))
    assert description.training == {"epoch": 3}
    assert {"pancascade", "torch", "numpy"} == set(description.versions)


def test_a_checkpoint_survives_a_later_change_of_its_preset(saved, monkeypatch):
    monkeypatch.setitem(PRESETS["unet"], "tiny", {"widths": (8, 8, 8, 8, 8)})
    loaded, _ = load_checkpoint(saved[1])
    assert loaded.network.head.in_channels == 4


def test_half_precision_halves_the_file_and_keeps_three_digits(saved, tmp_path):
    cascade, path = saved
    small = tmp_path / "half.safetensors"
    save_checkpoint(small, cascade, description=describe(SETTINGS, Canvas()), half_precision=True)
    loaded, _ = load_checkpoint(small)
    assert small.stat().st_size < 0.75 * path.stat().st_size
    given, found = cascade.state_dict(), loaded.state_dict()
    assert given.keys() == found.keys()
    for name, value in given.items():
        assert found[name].dtype == value.dtype
        assert torch.allclose(value, found[name], rtol=1e-3, atol=1e-6)


def test_statistics_that_exceed_half_precision_are_kept(saved, tmp_path):
    cascade = saved[0]
    name = next(key for key in cascade.state_dict() if key.endswith("running_var"))
    cascade.state_dict()[name].fill_(1e6)
    save_checkpoint(
        tmp_path / "half.safetensors", cascade, description=describe(SETTINGS, Canvas()), half_precision=True
    )
    loaded, _ = load_checkpoint(tmp_path / "half.safetensors")
    assert torch.equal(loaded.state_dict()[name], cascade.state_dict()[name])


def test_a_checkpoint_is_safetensors_with_json_and_no_pickle(saved):
    content = saved[1].read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert HEADER.encode() in content[8 : 8 + length]
    assert not content.startswith((b"PK", b"\x80"))


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "other"])
def test_a_damaged_checkpoint_is_refused_by_name(saved, tmp_path, damage):
    path = tmp_path / "damaged.safetensors"
    content = saved[1].read_bytes()
    contents = {"empty": b"", "truncated": content[:-100], "text": b"hello world, this is no checkpoint"}
    if damage == "other":
        save_file({"a": torch.zeros(1)}, path)
    elif damage != "missing":
        path.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        load_tensors(path)


@pytest.mark.parametrize("header", [None, 3, {}, {"cascade": {"kind": "other"}}], ids=str)
def test_a_file_without_description_is_refused(tmp_path, header):
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, header=header)
    with pytest.raises(CheckpointError, match=r"x\.safetensors: its description is damaged or of another version"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="not a readable pancascade checkpoint"):
        load_checkpoint(tmp_path)


def test_tensors_come_back_as_they_were_whatever_their_layout(tmp_path):
    tensors = {
        "view": torch.arange(12.0).reshape(3, 4).T,
        "channels last": torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "part": torch.arange(10)[3:5],
        "number": torch.tensor(7),
    }
    tensors["same"] = tensors["part"]
    save_tensors(tmp_path / "x.safetensors", tensors, header={"epoch": 2})
    found, header = load_tensors(tmp_path / "x.safetensors")
    assert header == {"epoch": 2}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(value, found[name]) for name, value in tensors.items())


def test_an_interrupted_write_leaves_the_former_checkpoint(saved, monkeypatch):
    _, path = saved
    before = path.read_bytes()

    def interrupted(tensors, target, metadata):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("pancascade.methods.checkpoint.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {"a": torch.zeros(1)}, header={})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_weights_of_another_cascade_are_refused(saved, tmp_path):
    path = tmp_path / "mixed.safetensors"
    other = Qiu2024Settings(first=SETTINGS.network, second=SETTINGS.network)
    save_checkpoint(path, saved[0], description=describe(other, Canvas()))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_checkpoint(path)


def test_an_unwritable_place_is_refused(saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "file" / "x.safetensors", saved[0], description=describe(SETTINGS, Canvas()))


def rewritten(path, tensors, header, *, digest=None):
    """A file as an older version wrote it, without a digest, or with a given one."""
    texts = {HEADER: json.dumps(header)} | ({} if digest is None else {DIGEST: digest})
    save_file(tensors, path, metadata=texts)


def test_no_single_flipped_bit_gives_other_weights(saved):
    cascade, path = saved
    content, wanted = path.read_bytes(), cascade.state_dict()
    generator = torch.Generator().manual_seed(0)
    for place in torch.randint(8 * len(content), (300,), generator=generator).tolist():
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(bytes(flipped))
        try:
            found = load_checkpoint(path)[0].state_dict()
        except CheckpointError as error:
            assert str(error).startswith(path.name)
            assert len(str(error)) <= 200
        else:  # padding between the header and the tensors
            assert all(torch.equal(value, found[name]) for name, value in wanted.items())


def test_changed_weights_are_refused_where_there_is_a_digest_and_not_where_there_is_none(saved):
    _, path = saved
    tensors, header = load_tensors(path)
    with safe_open(path, framework="pt") as file:
        digest = file.metadata()[DIGEST]
    name = next(iter(tensors))
    rewritten(path, tensors, header, digest=digest)
    load_checkpoint(path)
    tensors[name] = tensors[name] + 1
    rewritten(path, tensors, header, digest=digest)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged, it is not as it was written"):
        load_checkpoint(path)
    rewritten(path, tensors, header)
    assert torch.equal(load_checkpoint(path)[0].state_dict()[name], tensors[name])


def test_a_changed_description_is_refused_like_changed_weights(saved):
    _, path = saved
    tensors, header = load_tensors(path)
    with safe_open(path, framework="pt") as file:
        digest = file.metadata()[DIGEST]
    header["canvas"]["window"]["upper_hu"] = 250.0
    rewritten(path, tensors, header, digest=digest)
    with pytest.raises(CheckpointError, match="damaged, it is not as it was written"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["pancreas", "tumour"])
def test_shipped_weights_are_read(name):
    cascade, description = load_checkpoint(Path(str(files("pancascade"))) / "weights" / f"{name}.safetensors")
    assert description.training
    assert all(bool(torch.isfinite(value).all()) for value in cascade.state_dict().values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(saved, value):
    cascade, path = saved
    before = path.read_bytes()
    tensors, header = load_tensors(path)
    with torch.no_grad():
        cascade.network.head.bias[0] = value
    with pytest.raises(CheckpointError, match=r"network\.head\.bias holds NaN or infinity"):
        save_checkpoint(path, cascade, description=describe(SETTINGS, Canvas(size=(32, 32))))
    assert path.read_bytes() == before
    rewritten(path, tensors | {"network.head.bias": cascade.network.head.bias.detach()}, header)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: network\.head\.bias holds NaN or infinity"):
        load_checkpoint(path)


def test_weights_too_large_for_half_precision_are_not_shipped(saved, tmp_path):
    cascade, _ = saved
    with torch.no_grad():
        cascade.network.head.bias[0] = 1e6
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        save_checkpoint(
            tmp_path / "x.safetensors", cascade, description=describe(SETTINGS, Canvas()), half_precision=True
        )
    assert not (tmp_path / "x.safetensors").exists()


def test_a_full_disk_is_one_sentence(saved, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("pancascade.methods.checkpoint.save_file", full)
    with pytest.raises(OutputError, match=r"x\.safetensors: cannot be written, the disk is full"):
        save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, header={})


DESCRIPTIONS = {
    "no object": 3,
    "other cascade": {"cascade": {"kind": "nothing"}},
    "negative width": {"cascade": {"kind": "single_stage", "network": {"name": "unet", "options": {"widths": [-1]}}}},
    "width of 0": {"cascade": {"kind": "single_stage", "network": {"name": "unet", "options": {"widths": [0] * 5}}}},
    "far too wide": {
        "cascade": {"kind": "single_stage", "network": {"name": "unet", "options": {"widths": [100000] * 5}}}
    },
    "neighbours that no network takes": {"canvas": {"size": [64, 64], "neighbours": 1}},
    "unknown network": {"cascade": {"kind": "single_stage", "network": {"name": "nothing"}}},
}


@pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS.keys())
def test_a_description_of_which_no_network_comes_is_one_sentence(saved, description):
    _, path = saved
    tensors, header = load_tensors(path)
    changed = header | description if isinstance(description, dict) else description
    rewritten(path, tensors, changed)
    with pytest.raises(CheckpointError, match=r"^weights\.safetensors: ") as refused:
        load_checkpoint(path)
    message = str(refused.value)
    assert len(message) <= 200
    assert "pydantic" not in message
    assert "\n" not in message


def test_lost_counters_of_normalisations_are_damage(saved):
    _, path = saved
    tensors, header = load_tensors(path)
    lost = [name for name in tensors if name.endswith("num_batches_tracked")]
    assert lost
    rewritten(path, {name: tensor for name, tensor in tensors.items() if name != lost[0]}, header)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: 1 of its tensors are missing"):
        load_checkpoint(path)


def test_the_state_of_a_training_is_no_model_and_the_message_says_which_file_is(saved):
    _, path = saved
    tensors, _ = load_tensors(path)
    rewritten(path, tensors, {"epoch": 1, "step": 2, "best": 0.5, "history": []})
    for read in (load_checkpoint, read_training):
        with pytest.raises(CheckpointError, match=r"Give the run's best\.safetensors"):
            read(path)


def test_parameters_are_counted_before_normalisations_are_folded(saved):
    cascade, path = saved
    assert count_parameters(path) == sum(parameter.numel() for parameter in cascade.parameters())
    engine = load_runner(path, torch.device("cpu"))
    folded = fused_for_inference(engine.cascade.cascade)
    assert count_parameters(path) > sum(parameter.numel() for parameter in folded.parameters())


def test_weights_from_before_a_reading_was_an_option_stay_what_they_were(tmp_path):
    network = NetworkSettings(name="unet3d", preset="tiny")
    settings = Zhao2019Settings(first=network, second=network)
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, build_cascade(settings), description=describe(settings, VolumeGrid(kind="volume")))
    assert load_checkpoint(path)[0].settings.enlarging == "linear"
    tensors, header = load_tensors(path)
    for name in ("label_reduction", "enlarging", "centre_normaliser"):
        del header["cascade"][name]
    save_tensors(path, tensors, header=header)
    for found in (load_checkpoint(path)[0].settings, load_checkpoint(path)[1].cascade):
        assert (found.label_reduction, found.enlarging) == ("middle_voxel", "repeat")
        assert found.centre_normaliser == "diagonal"
