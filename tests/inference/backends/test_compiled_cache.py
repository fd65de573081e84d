"""Compiled networks on disk."""

import os

import pytest
import torch

from pancascade.inference.backends import openvino_graph
from pancascade.inference.backends.openvino_networks import OpenVinoNetwork
from pancascade.methods.networks import build

pytest.importorskip("openvino")

IMAGES = torch.rand(3, 1, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pancascade" / "openvino"


@pytest.fixture
def recorded(monkeypatch) -> list[str]:
    """The networks that were written down anew."""
    names, record = [], openvino_graph.record

    def watched(network, images):
        names.append(type(network).__name__)
        return record(network, images)

    monkeypatch.setattr(openvino_graph, "record", watched)
    return names


def network(name="unet", seed=0):
    torch.manual_seed(seed)
    return build(name, preset="tiny", **({"widths": (2, 4)} if name == "unet" else {})).eval()


def answers(one, images=IMAGES):
    fast = OpenVinoNetwork(one, precision="f32")
    found = fast(images)
    assert fast.given_up is None
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", ["focusing_net", "unet"])
def test_the_second_program_takes_what_the_first_one_compiled(cache, recorded, name):
    first, second = answers(network(name)), answers(network(name))
    assert len(recorded) == 1
    assert len(list(cache.iterdir())) == 1
    assert len(first) == len(second)
    for one, other, wanted in zip(first, second, _tuple(network(name)(IMAGES)), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(other, wanted.detach(), atol=1e-3, rtol=1e-3)


def _tuple(maps):
    return maps if isinstance(maps, tuple) else (maps,)


def test_other_weights_and_other_sizes_are_compiled_anew(cache, recorded):
    answers(network(seed=0))
    answers(network(seed=1))
    answers(network(seed=0), IMAGES[..., :32])
    assert len(recorded) == 3
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"nothing", b'{"note": "x", "digest": "y"}\nblob'])
def test_a_damaged_file_is_compiled_anew_and_replaced(cache, recorded, damage):
    wanted = answers(network())
    (path,) = cache.iterdir()
    path.write_bytes(damage)
    assert all(map(torch.equal, answers(network()), wanted))
    assert len(recorded) == 2
    assert all(map(torch.equal, answers(network()), wanted))
    assert len(recorded) == 2  # the new file was read; its size varies with the names of what was compiled before


def test_one_wrong_byte_is_noticed(cache, recorded):
    answers(network())
    (path,) = cache.iterdir()
    blob = bytearray(path.read_bytes())
    blob[-100] ^= 1
    path.write_bytes(bytes(blob))
    answers(network())
    assert len(recorded) == 2


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch, recorded):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    answers(network())
    answers(network())
    assert len(recorded) == 2


def test_what_was_not_used_for_long_is_deleted(cache, monkeypatch):
    monkeypatch.setattr("pancascade.inference.backends.compiled_cache.KEPT", 2)
    answers(network(seed=0))
    (first,) = cache.iterdir()
    answers(network(seed=1))
    (second,) = set(cache.iterdir()) - {first}
    os.utime(first, (200, 200))
    os.utime(second, (100, 100))
    answers(network(seed=2))
    assert first.exists()
    assert not second.exists()
    assert len(list(cache.iterdir())) == 2


def test_what_is_used_again_counts_as_new(cache):
    answers(network())
    (path,) = cache.iterdir()
    os.utime(path, (100, 100))
    answers(network())
    assert path.stat().st_mtime > 100


class Leaky(torch.nn.Module):
    """A network whose print does not show its option."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, images):
        return torch.nn.functional.leaky_relu(images, self.slope)


def test_networks_that_differ_in_an_option_alone_are_not_confused(cache):
    for slope in (0.1, 0.5):
        (found,) = answers(Leaky(slope).eval(), IMAGES - 0.5)
        torch.testing.assert_close(found, Leaky(slope)(IMAGES - 0.5), atol=1e-3, rtol=1e-3)
