"""Weights in torch's archives, with bits that flipped on a disk."""

import io
import json
import warnings
import zipfile

import pytest
import torch

from pancascade.errors import CheckpointError
from pancascade.inference.external.kinds import load_external
from pancascade.inference.external.sound_archives import require_sound


def saved(kind: str) -> bytes:
    content = io.BytesIO()
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 1).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if kind == "script":
            torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 4, 4, 4)), content)
        else:
            torch.save(network.state_dict(), content)
    return content.getvalue()


def with_flipped_weight(content: bytes) -> bytes:
    """One bit of the first weight is another one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (weights,) = (archive.read(name) for name in archive.namelist() if name.endswith("/data/0"))
    place = content.index(weights)
    return content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]


@pytest.mark.parametrize("kind", ["script", "weights"])
def test_a_flipped_bit_is_refused_though_torch_says_nothing(tmp_path, kind):
    path = tmp_path / "net.pt"
    path.write_bytes(saved(kind))
    require_sound(path, name="net")
    path.write_bytes(with_flipped_weight(path.read_bytes()))
    load = torch.jit.load if kind == "script" else torch.load
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        load(str(path))
    with pytest.raises(CheckpointError, match=r"net: net\.pt is damaged") as refusal:
        require_sound(path, name="net")
    assert len(str(refusal.value)) <= 200


def test_a_damaged_torchscript_file_is_no_model(tmp_path):
    path = tmp_path / "net.ts"
    path.write_bytes(with_flipped_weight(saved("script")))
    described = {"clip_hu": [-100, 240], "patch": [8, 8, 8], "labels": {"pancreas": [1]}}
    path.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"net\.ts is damaged"):
        load_external("torchscript", path, device="cpu")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_of_weights_is_left_to_whoever_loads_it(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    require_sound(tmp_path / "net.pt", name="net")
    require_sound(tmp_path, name="a folder")
    require_sound(tmp_path / "nothing.pt", name="nothing")
