import numpy as np
import pytest
from pydantic import ValidationError

from pancascade.imaging.volume import Box
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.models.model_calibration import Calibration, calibrated
from pancascade.metrics.calibration import LARGEST_OFFSET, TEMPERATURE_LIMITS, Scaling, apply_scaling


def _finding(seed=0):
    rng = np.random.default_rng(seed)
    organ = rng.uniform(0, 1, (8, 7, 6)).astype(np.float32)
    return RegionProbabilities(
        Box((1, 2, 3), (9, 9, 9)), organ, organ * rng.uniform(0, 1, organ.shape).astype(np.float32)
    )


def test_temperatures_of_one_leave_a_prediction_alone():
    prediction = _finding()
    assert calibrated(prediction, Calibration()) is prediction


def test_nothing_stays_nothing():
    assert calibrated(RegionProbabilities.nothing(), Calibration(tumour_temperature=2)).box is None


def test_each_map_has_its_own_temperature():
    prediction = _finding()
    cooled = calibrated(prediction, Calibration(organ_temperature=0.8, tumour_temperature=2))
    assert cooled.box == prediction.box
    assert cooled.organ.dtype == cooled.tumour.dtype == np.float32
    assert np.allclose(cooled.tumour, apply_scaling(prediction.tumour, Scaling(2)))
    free = cooled.organ > cooled.tumour
    assert np.allclose(cooled.organ[free], apply_scaling(prediction.organ, Scaling(0.8))[free])


@pytest.mark.parametrize(
    ("name", "value"),
    [("organ_temperature", 1e-300), ("tumour_temperature", 1e300), ("organ_offset", 1e4), ("tumour_offset", -1e4)],
)
def test_a_scaling_that_single_precision_cannot_hold_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        Calibration.model_validate({name: value})


def test_the_largest_allowed_scalings_keep_all_probabilities_finite():
    p = np.array([0, 1e-7, 0.4999, 0.5, 0.9, 1], np.float32)
    for temperature in TEMPERATURE_LIMITS:
        for offset in (-LARGEST_OFFSET, LARGEST_OFFSET):
            with np.errstate(all="raise", under="ignore"):
                scaled = apply_scaling(p, Scaling(temperature, offset))
            assert np.isfinite(scaled).all()
            assert (np.diff(scaled) >= 0).all()


@pytest.mark.parametrize("temperatures", [(0.5, 3.0), (3.0, 0.5), (2.0, 2.0)])
def test_the_tumour_is_nowhere_likelier_than_the_organ_it_is_part_of(temperatures):
    cooled = calibrated(_finding(), Calibration(organ_temperature=temperatures[0], tumour_temperature=temperatures[1]))
    assert (cooled.tumour <= cooled.organ).all()
    assert cooled.organ.max() <= 1


def test_masks_stay_the_same_with_thresholds_scaled_alike():
    prediction = _finding()
    calibration = Calibration(organ_temperature=1.3, organ_offset=-0.2, tumour_temperature=2.1, tumour_offset=-1.5)
    options = {"spacing_mm": (5.0, 5.0, 2.0), "organ_threshold": 0.6, "tumour_threshold": 0.7}
    before = prediction.labels((12, 12, 12), **options)
    options |= {
        "organ_threshold": float(apply_scaling(0.6, calibration.organ_scaling)),
        "tumour_threshold": float(apply_scaling(0.7, calibration.tumour_scaling)),
    }
    after = calibrated(prediction, calibration).labels((12, 12, 12), **options)
    assert set(np.unique(before)) == {0, 1, 2}
    assert np.array_equal(before, after)
