import numpy as np
import pytest

from pancascade.imaging.preprocessing import patient_box
from pancascade.imaging.volume import Box, Volume

SPACING = (1.5, 1.5, 3.0)


def scan_with_body(*, centre=(100, 90), table=True):
    voxels = np.full((200, 180, 20), -1000, np.int16)
    i, j = np.ogrid[:200, :180]
    voxels[(((i - centre[0]) / 60) ** 2 + ((j - centre[1]) / 40) ** 2) <= 1] = 40
    if table:
        voxels[20:180, 150:153] = 200
    return Volume(voxels, np.diag((*SPACING, 1.0)))


def test_the_body_box_holds_the_body_and_spans_all_slices():
    box = patient_box(scan_with_body())
    assert box.contains(Box((40, 50, 0), (161, 131, 20)))
    assert (box.start[2], box.stop[2]) == (0, 20)


def test_the_body_box_leaves_the_table_and_most_air_out():
    box = patient_box(scan_with_body())
    assert box.stop[1] <= 150
    assert np.prod(box.shape) < 0.5 * 200 * 180 * 20


@pytest.mark.parametrize("centre", [(70, 60), (130, 110)])
def test_the_body_box_follows_the_body(centre):
    box = patient_box(scan_with_body(centre=centre, table=False))
    middle = [(a + b) / 2 for a, b in zip(box.start[:2], box.stop[:2], strict=True)]
    assert np.allclose(middle, centre, atol=5)


def test_a_scan_of_air_is_looked_at_whole():
    empty = Volume(np.full((40, 40, 5), -1000, np.int16), np.diag((*SPACING, 1.0)))
    assert patient_box(empty) == Box.whole((40, 40, 5))
