import pytest
import torch
from safetensors.torch import save_file

from pancascade.errors import CheckpointError
from pancascade.methods.networks.pretrained import misfit, read_tensors

EXPECTED = {"a.weight": torch.rand(2, 3), "a.bias": torch.rand(2), "a.num_batches_tracked": torch.tensor(0)}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"a.num_batches_tracked": None}, ""),
        ({"a.bias": None}, "a.bias is missing"),
        ({"a.bias": None, "a.weight": None}, "a.weight is missing (and 1 more)"),
        ({"b.bias": torch.rand(1)}, "b.bias has no place in this encoder"),
        ({"b.bias": torch.rand(1), "b.weight": torch.rand(1)}, "b.bias has no place in this encoder (and 1 more)"),
        ({"a.weight": torch.rand(3, 2)}, "a.weight has shape (3, 2), expected (2, 3)"),
    ],
)
def test_what_keeps_weights_from_fitting_is_said_in_words(changed, words):
    weights = {name: tensor for name, tensor in (EXPECTED | changed).items() if tensor is not None}
    assert misfit(weights, EXPECTED) == words


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_tensors_come_back_by_their_names(tmp_path, name):
    (save_file if name.endswith("safetensors") else torch.save)(EXPECTED, tmp_path / name)
    found = read_tensors(tmp_path / name)
    assert found.keys() == EXPECTED.keys()
    assert all(torch.equal(found[key], EXPECTED[key]) for key in EXPECTED)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"", "not a readable file"), ([1], "holds a list"), ({1: torch.rand(1)}, "holds a dict")],
)
def test_a_file_without_named_tensors_is_refused_in_one_sentence(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError) as refusal:
        read_tensors(path)
    assert str(refusal.value).startswith(f"{path.name}: ")
    assert words in str(refusal.value)
