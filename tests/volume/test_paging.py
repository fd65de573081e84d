from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancascade.volume import on_disk, release, sampled, slabs


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_on_disk_begins_with_zeros_and_keeps_what_is_written_after_its_memory_was_given_back(order):
    values = on_disk((3, 4, 5), np.int16, order=order)
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
    values = on_disk((512, 512, 64), np.int16)
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
    monkeypatch.setattr("pancascade.volume.paging.SLAB_VOXELS", 50)
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
        patch.setattr("pancascade.volume.paging.SLAB_VOXELS", slab)
        found = sampled(values, steps)
    assert np.array_equal(found, values[:: steps[0], :: steps[1], :: steps[2]])
