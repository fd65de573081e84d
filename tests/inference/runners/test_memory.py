"""A bound on the memory."""

import numpy as np
import pytest

from pancascade.errors import PancascadeError
from pancascade.imaging.volume import Volume, reorient
from pancascade.inference.runners import memory
from pancascade.inference.runners.memory import memory_notices, require_memory


def scan_of(slices: int) -> Volume:
    return Volume(np.broadcast_to(np.int16(0), (512, 512, slices)), np.diag([-1.0, -1.0, 1.0, 1.0]))


def test_many_slices_need_more_and_wide_ones_do_not():
    require_memory(scan_of(46), 0.9)
    require_memory(scan_of(1000), 2.0)
    with pytest.raises(PancascadeError, match=r"512 x 512 x 1000 voxels needs about 1\.8 GB, .* allows 0\.9\."):
        require_memory(scan_of(1000), 0.9)


def test_slices_are_counted_along_the_body_however_the_scan_is_stored():
    sagittal = reorient(reorient(scan_of(46), "SAR"), "LPS")
    require_memory(sagittal, 0.9)


def test_no_bound_asks_for_nothing_and_no_number_is_none():
    require_memory(scan_of(1000), None)
    with pytest.raises(PancascadeError):
        require_memory(scan_of(1), float("nan"))


def test_a_bound_that_was_not_kept_is_told(monkeypatch):
    monkeypatch.setattr(memory, "peak_memory_gb", lambda: 1.5)
    assert memory_notices(None) == memory_notices(1.6) == []
    (notice,) = memory_notices(1.4)
    assert (notice.code, notice.values["peak_gb"]) == ("memory_exceeded", 1.5)
