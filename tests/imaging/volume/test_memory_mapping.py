import errno
import os
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancascade.errors import PancascadeError
from pancascade.imaging.volume import memory_mapped, release, sampled, slabs
from pancascade.imaging.volume.memory_mapping import _reserve


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_on_disk_begins_with_zeros_and_keeps_what_is_written_after_its_memory_was_given_back(order):
    values = memory_mapped((3, 4, 5), np.int16, order=order)
    assert not values.any()
    wanted = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    values[...] = wanted
    release(values)
    assert np.array_equal(values, wanted)
    turned = values.transpose(2, 0, 1)[::-1, :, 1:]
    release(turned)
    assert np.array_equal(turned, wanted.transpose(2, 0, 1)[::-1, :, 1:])


def test_the_memory_of_an_array_in_memory_stays():
    values = np.arange(6)
    release(values)
    assert values.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_memory_of_pages_is_really_given_back():
    values = memory_mapped((512, 512, 64), np.int16)
    values[...] = 7
    before = resident_kb()
    release(values)
    assert resident_kb() < before - 20_000
    assert int(values[3, 4, 5]) == 7


def resident_kb() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_slabs_are_the_array_along_the_axis_on_which_memory_jumps_farthest(order, monkeypatch):
    monkeypatch.setattr("pancascade.imaging.volume.memory_mapping.SLAB_VOXELS", 50)
    values = np.asarray(np.arange(3 * 4 * 10).reshape(3, 4, 10), order=order)
    axis = 0 if order == "C" else 2
    pieces = list(slabs(values))
    assert len(pieces) > 1
    assert np.array_equal(np.concatenate(pieces, axis=axis), values)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    steps=st.tuples(*[st.integers(1, 4)] * 3),
    axes=st.permutations([0, 1, 2]),
    slab=st.integers(1, 40),
)
def test_a_sample_is_every_so_many_voxels_however_memory_is_laid_out(shape, steps, axes, slab):
    values = np.arange(np.prod(shape)).reshape(shape).transpose(axes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pancascade.imaging.volume.memory_mapping.SLAB_VOXELS", slab)
        found = sampled(values, steps)
    assert np.array_equal(found, values[:: steps[0], :: steps[1], :: steps[2]])


def full(*_) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_sentence_before_anything_is_mapped(monkeypatch):
    """A page that finds no room later would end the program by SIGBUS."""
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(PancascadeError, match=r"no room for 0\.01 GB of voxels .*TMPDIR") as refused:
        memory_mapped((1000, 1000, 5), np.int16)
    assert len(str(refused.value)) < 200


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="a system that cannot reserve")
def test_the_room_is_really_reserved():
    """Blocks are there before anything is written."""
    with TemporaryFile() as file:
        _reserve(file, 2**20)
        assert os.fstat(file.fileno()).st_blocks * 512 >= 2**20
        assert os.fstat(file.fileno()).st_size == 2**20


@pytest.mark.parametrize("missing", [True, False])
def test_a_system_that_cannot_reserve_writes_zeros(monkeypatch, missing):
    def refuse(*_) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if missing:
        monkeypatch.delattr("os.posix_fallocate", raising=False)
    else:
        monkeypatch.setattr("os.posix_fallocate", refuse, raising=False)
    monkeypatch.setattr("pancascade.imaging.volume.memory_mapping._BLOCK", 1000)
    values = memory_mapped((30, 40, 7), np.int16)
    assert values.shape == (30, 40, 7)
    assert not values.any()
    with TemporaryFile() as file:
        _reserve(file, 2500)
        assert os.fstat(file.fileno()).st_size == 2500


def test_where_memory_cannot_be_given_back_nothing_is(monkeypatch):
    monkeypatch.delattr("mmap.MADV_DONTNEED")
    values = memory_mapped((3, 4, 5), np.int16)
    values[...] = 3
    release(values)
    assert (values == 3).all()
