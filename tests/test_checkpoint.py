import pytest
import torch

from pancascade.cascades import Qiu2024Settings, SingleStageSettings, build_cascade
from pancascade.checkpoint import HEADER, describe, load_checkpoint, load_tensors, save_checkpoint, save_tensors
from pancascade.errors import CheckpointError, OutputError
from pancascade.networks import NetworkSettings
from pancascade.networks.build import PRESETS
from pancascade.preprocessing import Canvas

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
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(1)}, path)
    elif damage != "missing":
        path.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        load_tensors(path)


@pytest.mark.parametrize("header", [None, 3, {}, {"cascade": {"kind": "other"}}], ids=str)
def test_a_file_without_description_is_refused(tmp_path, header):
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, header=header)
    with pytest.raises(CheckpointError, match=r"x\.safetensors: its description is of another version"):
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

    monkeypatch.setattr("pancascade.checkpoint.save_file", interrupted)
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
