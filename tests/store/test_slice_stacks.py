import sys

import numpy as np
import pytest

from pancascade.errors import DataError
from pancascade.io import content_digest
from pancascade.store.arrays import SliceStack, digest_of, read_some, read_stack

SLICES = np.random.default_rng(0).integers(-1024, 3000, (4, 40, 32)).astype(np.int16)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "stack.b2nd")[0]


def write(path, slices=SLICES):
    stack = SliceStack(len(slices), shape=slices.shape[1:], dtype=slices.dtype)
    for position, pixels in enumerate(slices):
        stack.put(position, pixels)
    return path, *stack.write(path)


def test_slices_come_back_exactly(path):
    assert np.array_equal(read_stack(path), SLICES)
    found = read_some(path, [3, 1])
    assert [one.dtype for one in found] == [np.int16, np.int16]
    assert np.array_equal(found, SLICES[[3, 1]])


def test_slices_that_are_views_are_stored_as_they_look(tmp_path):
    turned = SLICES.transpose(0, 2, 1)[:, ::-1]
    assert np.array_equal(read_stack(write(tmp_path / "turned.b2nd", turned)[0]), turned)


def test_a_slice_is_read_without_the_others(path):
    content = bytearray(path.read_bytes())
    content[int(len(content) * 0.6) : int(len(content) * 0.7)] = bytes(
        int(len(content) * 0.7) - int(len(content) * 0.6)
    )
    path.write_bytes(bytes(content))
    assert np.array_equal(read_some(path, [0]), SLICES[[0]])
    try:
        others = read_some(path, [1, 2, 3])
    except DataError:
        return
    assert not np.array_equal(others, SLICES[1:])


def test_the_same_slices_are_the_same_bytes_and_their_digest_is_the_file_s(tmp_path):
    first, digest, size = write(tmp_path / "a.b2nd")
    second, _, _ = write(tmp_path / "b.b2nd")
    assert first.read_bytes() == second.read_bytes()
    assert digest == content_digest(first) == digest_of(first.read_bytes())
    assert size == first.stat().st_size


def test_a_missing_or_damaged_file_is_one_sentence(path, tmp_path):
    with pytest.raises(DataError, match=r"other\.b2nd: no such file, but the store lists it"):
        read_some(tmp_path / "other.b2nd", [0])
    path.write_bytes(path.read_bytes()[:200])
    for read in (read_stack, lambda damaged: read_some(damaged, [0])):
        with pytest.raises(DataError, match=r"stack\.b2nd: damaged"):
            read(path)


def test_without_the_extra_the_user_is_told_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(DataError, match=r"needs blosc2, .* pip install 'pancascade\[data\]'"):
        read_stack(path)
