"""How far a model's steps agree, and the confidence that was fitted to it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, dice
from pydantic import ValidationError

from pancascade.imaging.volume import Box
from pancascade.inference.localization.location_confidence import (
    DISAGREE,
    LocationFit,
    LogisticFit,
    agreement_of,
    with_agreement,
    with_fitted_confidence,
)
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.pipeline.result_warnings import location_notices
from pancascade.results.location import Location
from pancascade.segmentation import segment

FIT = LocationFit(
    right=LogisticFit(constant=-4.0, agreement=8.0, plausibility=0.0),
    dice=LogisticFit(constant=-2.0, agreement=3.0, plausibility=1.0),
)


def cube(start: int, stop: int, *, value: float = 1.0, location: Location | None = None) -> RegionProbabilities:
    box = Box((start,) * 3, (stop,) * 3)
    organ = np.full(box.shape, value, np.float32)
    return RegionProbabilities(box, organ, np.zeros_like(organ), location)


def located(**reported) -> RegionProbabilities:
    return replace(RegionProbabilities.nothing(), location=Location(confidence=0.9, **reported))


def test_agreement_is_the_dice_of_both_organs():
    one, other = cube(0, 4), cube(2, 6)
    assert agreement_of(one, [other]) == pytest.approx(2 * 8 / (64 + 64))
    assert agreement_of(one, [one]) == 1


def test_only_what_is_likelier_than_not_counts():
    assert agreement_of(cube(0, 4), [cube(0, 4, value=0.49)]) == 0


def test_regions_are_added_up():
    both = [cube(0, 4), cube(4, 6)]
    assert agreement_of(cube(0, 4), both) == pytest.approx(2 * 64 / (64 + 64 + 8))


def test_nothing_agrees_with_nothing_not_at_all():
    assert agreement_of(RegionProbabilities.nothing(), [RegionProbabilities.nothing()]) == 0
    assert agreement_of(cube(0, 4), [RegionProbabilities.nothing()]) == 0


def test_the_fitted_confidence_is_the_logistic_function_of_agreement_and_plausibility():
    found = with_fitted_confidence(located(agreement=0.75, plausibility=1.0), FIT).location
    assert found.confidence == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-3)
    assert found.expected_dice == pytest.approx(1 / (1 + np.exp(-1.25)), abs=1e-3)
    assert found.reasons == ()


def test_a_fit_with_huge_factors_stays_within_0_and_1():
    assert LogisticFit(constant=-1e300, agreement=0, plausibility=0).of(1, 1) == 0
    assert LogisticFit(constant=1e300, agreement=0, plausibility=0).of(1, 1) == 1
    with pytest.raises(ValidationError):
        LogisticFit(constant=float("nan"), agreement=0, plausibility=0)


def test_disagreement_is_told_as_a_reason():
    assert with_fitted_confidence(located(agreement=DISAGREE, plausibility=1.0), FIT).location.reasons == ()
    found = with_fitted_confidence(located(agreement=0.4, plausibility=1.0), FIT)
    assert found.location.reasons == ("steps_disagree",)
    (notice,) = location_notices(found.location)
    assert notice.code == "location_doubtful"
    assert "the model's networks disagree about it" in notice.sentence


def test_the_expected_dice_is_told_with_the_confidence():
    (notice,) = location_notices(with_fitted_confidence(located(agreement=0.9, plausibility=1.0), FIT).location)
    assert notice.code == "located"
    assert "(expected Dice 0.85)" in notice.sentence
    assert notice.values["expected_dice"] == pytest.approx(0.846, abs=1e-3)


@pytest.mark.parametrize("reported", [{}, {"agreement": 0.5}, {"plausibility": 0.5}])
def test_without_a_fit_or_what_it_needs_the_confidence_stays(reported):
    assert with_fitted_confidence(located(**reported), FIT).location.confidence == 0.9
    whole = located(agreement=0.1, plausibility=0.1)
    assert with_fitted_confidence(whole, None) is whole
    assert with_agreement(RegionProbabilities.nothing(), 0.5).location is None


def test_a_model_of_two_steps_tells_agreement_and_fitted_confidence(make_model):
    scan, truth = abdomen()
    path = Path(make_model(HounsfieldCascade(), HounsfieldCascade()))
    assert segment(scan, model=str(path)).location.expected_dice is None
    path.write_text(json.dumps(json.loads(path.read_text()) | {"location_fit": FIT.model_dump()}))
    found = segment(scan, model=str(path))
    assert dice(found.mask.voxels > 0, truth > 0) > 0.9
    assert found.location.agreement > 0.9
    assert found.location.confidence == pytest.approx(FIT.right.of(found.location.agreement, 1), abs=1e-3)
    assert found.location.expected_dice is not None
