import numpy as np
import pytest

from pancascade.imaging.volume import Box
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.pipeline.tumour_score import patient_tumour_score

SPACING_MM = (1.0, 1.0, 2.0)
SHAPE = (60, 60, 30)


def _ball(radius_mm, at):
    distance = np.linalg.norm((np.indices(SHAPE).reshape(3, -1).T - at) * SPACING_MM, axis=1)
    return (distance <= radius_mm).reshape(SHAPE).astype(np.float32)


def _finding(tumour, organ=None):
    organ = 0.9 * _ball(22, (30, 30, 15)) if organ is None else organ
    return RegionProbabilities(Box((5, 6, 7), (65, 66, 37)), np.maximum(organ, tumour), tumour.astype(np.float32))


def test_without_a_prediction_there_is_no_tumour_score():
    assert patient_tumour_score(RegionProbabilities.nothing(), SPACING_MM) == 0


def test_a_healthy_pancreas_is_not_suspicious():
    assert patient_tumour_score(_finding(np.zeros(SHAPE)), SPACING_MM) == 0


def test_a_large_tumour_scores_its_probability_above_or_below_any_threshold():
    for probability in (0.3, 0.95):
        found = patient_tumour_score(_finding(probability * _ball(12, (30, 30, 15))), SPACING_MM)
        assert found == pytest.approx(probability, abs=0.01)


def test_a_speck_scores_less_than_a_lump_of_the_same_probability():
    speck, lump = (patient_tumour_score(_finding(0.9 * _ball(r, (30, 30, 15))), SPACING_MM) for r in (1.5, 7))
    assert speck < 0.1
    assert lump > 0.7


def test_it_does_not_matter_on_which_grid_a_tumour_lies():
    fine = np.repeat(_ball(7, (30, 30, 15)), 2, axis=2)
    organ = np.repeat(_ball(22, (30, 30, 15)), 2, axis=2)
    halved = RegionProbabilities(Box((5, 6, 7), (65, 66, 67)), organ, fine)
    whole = _finding(_ball(7, (30, 30, 15)))
    assert patient_tumour_score(halved, (1.0, 1.0, 1.0)) == pytest.approx(
        patient_tumour_score(whole, SPACING_MM), abs=0.02
    )


def test_what_lies_far_from_the_pancreas_does_not_count():
    organ = 0.9 * _ball(9, (14, 14, 15))
    far, near = 0.4 * _ball(6, (50, 50, 15)), 0.4 * _ball(6, (28, 14, 15))
    assert patient_tumour_score(_finding(far, np.maximum(organ, far)), SPACING_MM) < 0.01
    assert patient_tumour_score(_finding(near, np.maximum(organ, near)), SPACING_MM) > 0.2


def test_where_no_pancreas_is_likelier_than_not_all_of_the_prediction_counts():
    faint = 0.4 * _ball(9, (50, 50, 15))
    assert patient_tumour_score(_finding(faint, faint), SPACING_MM) == pytest.approx(0.4, abs=0.03)
