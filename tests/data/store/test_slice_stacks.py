import sys

import numpy as np
import pytest

from pancascade.data.store.arrays import SliceStack, digest_of, read_some, read_stack
from pancascade.errors import DataError
from pancascade.files.digests import content_digest

SLICES = np.random.default_rng(0).integers(-1024, 3000, (4, 40, 32)).astype(np.int16)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "stack.b2nd")[0]


@pytest.fixture
def digest(path):
    return content_digest(path)


def write(path, slices=SLICES):
    stack = SliceStack(len(slices), shape=slices.shape[1:], dtype=slices.dtype)
    for position, pixels in enumerate(slices):
        stack.put(position, pixels)
    return path, *stack.write(path)


def test_slices_come_back_exactly(path, digest):
    assert np.array_equal(read_stack(path, digest=digest), SLICES)
    found = read_some(path, [3, 1], digest=digest)
    assert [one.dtype for one in found] == [np.int16, np.int16]
    assert np.array_equal(found, SLICES[[3, 1]])


def test_slices_that_are_views_are_stored_as_they_look(tmp_path):
    turned = SLICES.transpose(0, 2, 1)[:, ::-1]
    path, digest, _ = write(tmp_path / "turned.b2nd", turned)
    assert np.array_equal(read_stack(path, digest=digest), turned)


def test_no_single_flipped_bit_gives_other_voxels(path, digest):
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 300).tolist():
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(bytes(flipped))
        with pytest.raises(DataError, match=r"stack\.b2nd: damaged, it is not as it was written"):
            read_some(path, [0], digest=digest)


def test_the_same_slices_are_the_same_bytes_and_their_digest_is_the_file_s(tmp_path):
    first, digest, size = write(tmp_path / "a.b2nd")
    second, _, _ = write(tmp_path / "b.b2nd")
    assert first.read_bytes() == second.read_bytes()
    assert digest == content_digest(first) == digest_of(first.read_bytes())
    assert size == first.stat().st_size


def test_a_missing_or_damaged_file_is_one_sentence(path, tmp_path):
    with pytest.raises(DataError, match=r"other\.b2nd: no such file, but the store lists it"):
        read_some(tmp_path / "other.b2nd", [0], digest="")
    path.write_bytes(path.read_bytes()[:200])
    # Of a file that was damaged before its digest was taken, the library's own refusal is worded.
    for digest in ("another", content_digest(path)):
        for read in (read_stack, lambda damaged, *, digest: read_some(damaged, [0], digest=digest)):
            with pytest.raises(DataError, match=r"stack\.b2nd: damaged"):
                read(path, digest=digest)


def test_without_the_extra_the_user_is_told_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(DataError, match=r"needs blosc2, .* pip install 'pancascade\[data\]'"):
        read_stack(path, digest="")
