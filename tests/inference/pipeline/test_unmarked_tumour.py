"""Tumour is marked only where the scan's score is high enough, and a threshold brings it back."""

import json
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import abdomen

from pancascade.imaging.volume import Box
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.labels import Label
from pancascade.results.location import Thresholds
from pancascade.segmentation import segment
from pancascade.segmentation.thresholding import with_thresholds


@pytest.fixture
def with_least(make_model):
    def make(least: float) -> str:
        path = Path(make_model())
        path.write_text(json.dumps(json.loads(path.read_text()) | {"least_tumour_score": least}))
        return str(path)

    return make


def codes(found) -> list[str]:
    return [notice.code for notice in found.notices]


def test_below_the_least_score_no_tumour_is_marked_and_it_is_said(with_least):
    scan, _ = abdomen()
    usual = segment(scan, model=with_least(0.0))
    assert (usual.mask.voxels == Label.TUMOUR).any()
    assert "tumour_unmarked" not in codes(usual)
    least = (1 + usual.tumour_score) / 2
    assert usual.tumour_score < least < 1
    found = segment(scan, model=with_least(least))
    assert not (found.mask.voxels == Label.TUMOUR).any()
    assert np.array_equal(found.mask.voxels > 0, usual.mask.voxels > 0)
    assert "tumour_unmarked" in codes(found)
    assert not found.thresholds.tumour_marked
    assert found.thresholds.tumour == usual.thresholds.tumour
    assert np.array_equal(found.region_probabilities, usual.region_probabilities)


def test_the_former_threshold_marks_it_again(with_least):
    scan, _ = abdomen()
    usual = segment(scan, model=with_least(0.0))
    found = segment(scan, model=with_least((1 + usual.tumour_score) / 2))
    again = with_thresholds(found, usual.thresholds)
    assert np.array_equal(again.mask.voxels, usual.mask.voxels)
    assert "tumour_unmarked" not in codes(again)


def test_another_threshold_of_the_organ_alone_marks_no_tumour_either(with_least):
    scan, _ = abdomen()
    usual = segment(scan, model=with_least(0.0))
    found = segment(scan, model=with_least((1 + usual.tumour_score) / 2))
    again = with_thresholds(found, found.thresholds.model_copy(update={"organ": 0.4}))
    assert not (again.mask.voxels == Label.TUMOUR).any()
    assert "tumour_unmarked" in codes(again)


def test_not_even_certainty_is_marked_below_the_least_score():
    organ = np.ones((6, 6, 6), np.float32)
    found = RegionProbabilities(Box.whole((6, 6, 6)), organ, organ.copy())
    none = found.labels(
        (6, 6, 6), spacing_mm=(2.0, 2.0, 2.0), tumour_threshold=Thresholds(tumour_marked=False).least_tumour
    )
    assert (none == Label.PANCREAS).all()


def test_a_scan_without_tumour_is_told_nothing_of_it(with_least):
    scan, _ = abdomen(tumour=False)
    assert "tumour_unmarked" not in codes(segment(scan, model=with_least(0.9)))
