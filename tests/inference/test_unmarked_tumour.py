"""Tumour is marked only where the scan's score is high enough, and a threshold brings it back."""

import json
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import abdomen

from pancascade.inference import segment
from pancascade.inference.segmenter import NOT_MARKED
from pancascade.inference.thresholding import with_thresholds
from pancascade.labels import Label


@pytest.fixture
def with_least(make_model):
    def make(least: float) -> str:
        path = Path(make_model())
        path.write_text(json.dumps(json.loads(path.read_text()) | {"least_suspicion": least}))
        return str(path)

    return make


def codes(found) -> list[str]:
    return [notice.code for notice in found.notices]


def test_below_the_least_score_no_tumour_is_marked_and_it_is_said(with_least):
    scan, _ = abdomen()
    usual = segment(scan, model=with_least(0.0))
    assert (usual.mask.voxels == Label.TUMOUR).any()
    assert "tumour_unmarked" not in codes(usual)
    least = (1 + usual.tumour_suspicion) / 2
    assert usual.tumour_suspicion < least < 1
    found = segment(scan, model=with_least(least))
    assert not (found.mask.voxels == Label.TUMOUR).any()
    assert np.array_equal(found.mask.voxels > 0, usual.mask.voxels > 0)
    assert "tumour_unmarked" in codes(found)
    assert found.thresholds.tumour == NOT_MARKED
    assert np.array_equal(found.region_probabilities, usual.region_probabilities)


def test_the_former_threshold_marks_it_again(with_least):
    scan, _ = abdomen()
    usual = segment(scan, model=with_least(0.0))
    found = segment(scan, model=with_least((1 + usual.tumour_suspicion) / 2))
    again = with_thresholds(found, usual.thresholds)
    assert np.array_equal(again.mask.voxels, usual.mask.voxels)
    assert "tumour_unmarked" not in codes(again)


def test_a_scan_without_tumour_is_told_nothing_of_it(with_least):
    scan, _ = abdomen(tumour=False)
    assert "tumour_unmarked" not in codes(segment(scan, model=with_least(0.9)))
