"""Slices to scroll: which, how large, and where their contours lie."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from result_examples import patient

from pancascade.imaging.volume import Volume
from pancascade.report.scan.slice_viewer import LONGEST_SIDE, MOST_SLICES, STORED, draw_slices


def _block(shape, *, at=None, affine=None):
    labels = np.zeros(shape, np.uint8)
    if at is not None:
        labels[at] = 1
    affine = np.diag([-1.0, -1.0, 2.0, 1.0]) if affine is None else affine
    return Volume(np.where(labels > 0, 240, -100).astype(np.int16), affine), Volume(labels, affine)


def _grey(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


def _points(path: str) -> np.ndarray:
    return np.array([[float(number) for number in pair.split(",")] for pair in re.findall(r"[\d.-]+,[\d.-]+", path)])


def test_the_slices_of_the_organ_are_there_and_the_largest_is_shown_first():
    found = draw_slices(*_block((40, 40, 30), at=np.s_[10:20, 10:20, 8:12]))
    assert [each.title.split()[1] for each in found.slices] == [str(k) for k in range(7, 15)]
    assert found.slices[found.first].organ


def test_contours_lie_on_the_borders_of_what_is_bright():
    found = draw_slices(*_block((200, 100, 5), at=np.s_[80:120, 40:60, 2]))
    shown = found.slices[found.first]
    bright = np.argwhere(_grey(shown.address) > 255 * (70 - STORED.lower_hu) / 800)
    points = _points(shown.organ)
    scale = found.width / 140  # the organ of 40 mm with 50 mm around
    assert points.min(axis=0) == pytest.approx(bright.min(axis=0)[::-1], abs=scale)
    assert points.max(axis=0) == pytest.approx(bright.max(axis=0)[::-1] + 1, abs=scale)


def test_the_number_and_the_size_of_slices_are_bounded():
    found = draw_slices(*_block((60, 30, 300), at=np.s_[10:20, 10:20, 5:295]))
    assert len(found.slices) <= MOST_SLICES
    assert max(found.width, found.height) == LONGEST_SIDE
    assert sum(len(each.address) for each in found.slices) < 60 * 40_000


def test_of_a_scan_without_a_finding_some_slices_are_shown_whole():
    found = draw_slices(*_block((40, 20, 200)))
    assert (found.width, found.height) == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert not any(each.organ or each.tumour for each in found.slices)


def test_windows_map_their_ends_to_black_and_white():
    found = draw_slices(*patient())
    for (_, slope, intercept), (low, high) in zip(found.windows, ((-100, 240), (-50, 160), (-300, 500)), strict=True):
        stored = [(hu - STORED.lower_hu) / (STORED.upper_hu - STORED.lower_hu) for hu in (low, high)]
        assert [slope * value + intercept for value in stored] == pytest.approx([0, 1])


def test_the_scale_bar_is_as_long_as_it_says():
    found = draw_slices(*_block((100, 50, 5)))
    length, pixels = found.bar
    assert pixels / found.width == pytest.approx(length / 100)
