import pytest
import torch

from pancascade.cascades import Qiu2024Settings, SingleStageSettings, build_cascade
from pancascade.checkpoint import HEADER, describe, load_checkpoint, load_tensors, save_checkpoint
from pancascade.errors import CheckpointError, OutputError
from pancascade.networks import NetworkSettings
from pancascade.networks.build import PRESETS
from pancascade.preprocessing import Canvas

SETTINGS = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    cascade = build_cascade(SETTINGS)
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, cascade, description=describe(SETTINGS, Canvas(size=(32, 32)), epoch=3))
    return cascade, path


def test_a_checkpoint_gives_back_weights_canvas_and_training(saved):
    cascade, path = saved
    loaded, description = load_checkpoint(path)
    assert all(torch.equal(a, b) for a, b in zip(cascade.parameters(), loaded.parameters(), strict=True))
    assert not loaded.training
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
    for a, b in zip(cascade.parameters(), loaded.parameters(), strict=True):
        assert b.dtype == torch.float32
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


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
